"""Commands on sorted sets: members as canonical JSON with their scores."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.services._collection_input import (
    CollectionInput,
    canonical,
    member_of,
    pop_count,
    range_of,
)

Bound = tuple[float, bool]
"""A limit of scores, and whether it is excluded."""


def zadd(params: CollectionInput, scores: dict[str, float]) -> int:
    """Add members with their scores; how many are new."""
    if params.nx and params.xx:
        raise InvalidInput("`nx` and `xx` exclude each other.")
    if params.mapping is not None:
        sent = {canonical(member): _score(score) for member, score in params.mapping.items()}
    elif params.score is not None:
        sent = {member_of(params): float(params.score)}
    else:
        raise InvalidInput("`mapping`, or `value` with `score`, is missing.")

    added = 0
    for member, score in sent.items():
        there = member in scores
        # As in Redis: NX only adds, XX only changes.
        if (params.nx and there) or (params.xx and not there):
            continue
        scores[member] = score
        added += not there
    return added


def _score(score: Any) -> float:
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise InvalidInput("A score must be a number.")
    return float(score)


def zincrby(params: CollectionInput, scores: dict[str, float]) -> float:
    """Add to a member's score; the new score."""
    member = member_of(params)
    if params.score is None:
        raise InvalidInput("`score`, the increment, is missing.")
    score = scores.get(member, 0.0) + params.score
    # Scores are stored as JSON, which has no infinity.
    if not math.isfinite(score):
        raise InvalidInput("The score would be too large.")
    scores[member] = score
    return score


def _ranked(scores: dict[str, float], *, reverse: bool = False) -> list[tuple[str, float]]:
    """Members by score, equal ones by their text, as Redis does."""

    def place(entry: tuple[str, float]) -> tuple[float, str]:
        # By the text itself: the quotes and escapes of JSON would sort in another way.
        member = json.loads(entry[0])
        return entry[1], member if isinstance(member, str) else entry[0]

    return sorted(scores.items(), key=place, reverse=reverse)


def _shown(params: CollectionInput, entries: Iterable[tuple[str, float]]) -> list[Any]:
    if params.with_scores:
        return [[json.loads(member), score] for member, score in entries]
    return [json.loads(member) for member, _ in entries]


def zrange(params: CollectionInput, scores: dict[str, float], *, reverse: bool = False) -> list[Any]:
    """Return members by rank."""
    ranked = _ranked(scores, reverse=reverse)
    return _shown(params, ranked[range_of(params.start, params.stop, len(ranked))])


def between(params: CollectionInput, scores: dict[str, float]) -> dict[str, float]:
    """Return members whose scores are within `min` and `max`."""
    (low, no_low), (high, no_high) = _bound(params.min), _bound(params.max)
    return {
        member: score
        for member, score in scores.items()
        if (score > low if no_low else score >= low) and (score < high if no_high else score <= high)
    }


def _bound(limit: float | str) -> Bound:
    if not isinstance(limit, str):
        return float(limit), False
    excluded = limit.startswith("(")
    try:
        bound = float(limit.removeprefix("("))
    except ValueError:
        bound = float("nan")
    if bound != bound:  # noqa: PLR0124  # NaN
        raise InvalidInput('`min` and `max` are numbers, "(5" without 5 itself, "-inf" or "+inf".')
    return bound, excluded


def zrangebyscore(params: CollectionInput, scores: dict[str, float], *, reverse: bool = False) -> list[Any]:
    """Return members by score."""
    found = _ranked(between(params, scores), reverse=reverse)[params.offset :]
    # As in Redis, a negative count is no limit.
    if params.count is not None and params.count >= 0:
        found = found[: params.count]
    return _shown(params, found)


def rank(params: CollectionInput, scores: dict[str, float], *, reverse: bool = False) -> int | None:
    """Return a member's rank; None without it."""
    member = member_of(params)
    if member not in scores:
        return None
    return [text for text, _ in _ranked(scores, reverse=reverse)].index(member)


def zpop(params: CollectionInput, scores: dict[str, float], *, reverse: bool) -> list[Any]:
    """Take members out at one end."""
    taken = _ranked(scores, reverse=reverse)[: pop_count(params)]
    for member, _ in taken:
        del scores[member]
    return [[json.loads(member), score] for member, score in taken]


def zdelete(members: Iterable[str], scores: dict[str, float]) -> int:
    """Delete members; how many."""
    gone = list(members)
    for member in gone:
        del scores[member]
    return len(gone)


def zremrangebyrank(params: CollectionInput, scores: dict[str, float]) -> int:
    """Delete members by rank; how many."""
    ranked = _ranked(scores)[range_of(params.start, params.stop, len(scores))]
    return zdelete((member for member, _ in ranked), scores)
