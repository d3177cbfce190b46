"""Attempts whose process was killed: what their journal has on record, as exchanges of a recording and as calls of a trace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from codewords_mcp.runtime.recording.attempt_trace import (
    AttemptTrace,
    decode_attempts,
    encode_attempts,
    trace_exchanges,
)
from codewords_mcp.runtime.recording.exchanges import Exchange
from codewords_mcp.runtime.recording.journal import JournalEntry

CUT: Final = "its process was killed: reads that were not answered yet are not on record"
NO_ANSWER: Final = "its process was killed before the answer was on record"


def exchanges_of(entries: Sequence[JournalEntry], began: int) -> tuple[Exchange, ...]:
    """The entries as exchanges. `began` is the time that theirs count from, in µs since 1970."""
    return tuple(_exchange(number, entry, began) for number, entry in enumerate(entries))


def with_killed_attempts(
    stored: bytes | None, entries: Sequence[JournalEntry], starts: Mapping[int, int]
) -> bytes:
    """The stored trace of a run, with the attempts that it lacks. `starts`: the begin of each attempt, in µs since 1970."""
    known = decode_attempts(stored)
    return encode_attempts([*known, *_traces(entries, starts, {one.number for one in known})])


def _traces(
    entries: Sequence[JournalEntry], starts: Mapping[int, int], known: Collection[int]
) -> list[AttemptTrace]:
    by_attempt: defaultdict[int, list[JournalEntry]] = defaultdict(list)
    for entry in entries:
        # An attempt that ended in order has stored a trace of its own, with times of all it did.
        if entry.attempt in starts and entry.attempt not in known:
            by_attempt[entry.attempt].append(entry)
    return [
        trace_exchanges(number, starts[number], exchanges_of(found, starts[number]), CUT)
        for number, found in sorted(by_attempt.items())
    ]


def _exchange(number: int, entry: JournalEntry, began: int) -> Exchange:
    started = (entry.began - began) / 1e6
    answer = entry.answer
    if answer is None:
        return Exchange(number, entry.request, "sent", started, note=NO_ANSWER)
    return Exchange(
        number,
        entry.request,
        "sent",
        started,
        (entry.ended - began) / 1e6,
        answer.status,
        answer.headers,
        # A journal has no times of pieces.
        ((0.0, answer.body),) if answer.body else (),
        len(answer.body),
        whole=True,
        usage=entry.usage,
    )
