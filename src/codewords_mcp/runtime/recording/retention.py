"""Choice of the recordings of a workflow that are removed when there is no room for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from codewords_mcp.runtime.model.recording import RecordingInfo

NEWEST: Final = 20
"""Recordings of failed runs, and of successful ones, that go after the others: as many as a replay takes."""


def surplus(recordings: Sequence[RecordingInfo], max_bytes: int) -> list[str]:
    """Run ids of those that do not fit. `recordings` are all of one workflow, the latest first.

    Kept first: pinned ones, whatever they take; then the latest of each shape of input, the latest failed ones, the
    latest successful ones, and the rest, latest first.
    """
    ranked = sorted(enumerate(_ranks(recordings)), key=_rank_then_age)
    removed: list[str] = []
    total = 0
    for index, rank in ranked:
        one = recordings[index]
        total += one.bytes
        if total > max_bytes and rank > 0:
            # A smaller one that comes later may still fit.
            total -= one.bytes
            removed.append(one.run_id)
    return removed


def _rank_then_age(item: tuple[int, int]) -> tuple[int, int]:
    index, rank = item
    return rank, index


def _ranks(recordings: Sequence[RecordingInfo]) -> list[int]:
    shapes: set[str] = set()
    failed = good = 0
    ranks: list[int] = []
    for one in recordings:
        succeeded = one.status == "succeeded"
        good += succeeded
        failed += not succeeded
        if one.pinned:
            rank = 0
        # The newest of each kind of run says what a workflow does, better than many that are alike.
        elif one.shape not in shapes:
            rank = 1
        elif not succeeded and failed <= NEWEST:
            rank = 2
        elif succeeded and good <= NEWEST:
            rank = 3
        else:
            rank = 4
        shapes.add(one.shape)
        ranks.append(rank)
    return ranks
