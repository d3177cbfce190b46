"""Lists, sets, sorted sets and hashes under one key, with Redis's own commands and answers.

A command changes a collection in memory; its caller loads and stores it in one transaction.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import AliasChoices, Field, FiniteFloat

from codewords_mcp.errors import Conflict, InvalidInput
from codewords_mcp.runtime.services.base import Input

MAX_MEMBERS: Final = 10_000
"""Members of one key. Each change writes the whole key, so larger collections belong in a table."""
Answer = Any
"""JSON of any form, as a member or field was sent."""
Bound = tuple[float, bool]
"""A limit of scores, and whether it is excluded."""


class CollectionInput(Input):
    """Fields of the commands on collections, named as in Redis's documentation."""

    value: Any = Field(
        default=None,
        description="Any JSON; returned unchanged. A member of a set or list; for `incr` and `hincrby` the increment.",
    )
    values: list[Any] | None = Field(
        default=None,
        max_length=MAX_MEMBERS,
        validation_alias=AliasChoices("values", "members"),
        description="Several members instead of `value`.",
    )
    field: str | None = Field(default=None, max_length=512, description="A field of a hash.")
    fields: list[str] | None = Field(default=None, max_length=MAX_MEMBERS)
    mapping: dict[str, Any] | None = Field(
        default=None,
        max_length=MAX_MEMBERS,
        description="For `hset` fields and their values, for `zadd` members and their scores.",
    )
    score: FiniteFloat | None = Field(
        default=None, description="For `zadd` with `value`; the increment of `zincrby`."
    )
    index: int | None = Field(default=None, description="For `lindex` and `lset`; -1 is the last.")
    start: int = Field(default=0, description="The first of a range; -1 is the last member.")
    stop: int = Field(
        default=-1, validation_alias=AliasChoices("stop", "end"), description="The last of a range, included."
    )
    min: FiniteFloat | str = Field(default="-inf", description='A score; "(5" excludes 5, "-inf" is none.')
    max: FiniteFloat | str = Field(default="+inf")
    count: int | None = Field(
        default=None,
        description="How many to pop, list or scan at most. For `lrem` as in Redis: negative from the end, 0 all.",
    )
    offset: int = Field(default=0, ge=0, description="How many members of a range of scores to leave out.")
    with_scores: bool = Field(
        default=False,
        validation_alias=AliasChoices("with_scores", "withscores"),
        description="Members of sorted sets as [member, score].",
    )
    nx: bool = Field(default=False, description="For `set` and `zadd`: only if it is not there.")
    xx: bool = Field(default=False, description="For `set` and `zadd`: only if it is there.")


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `run(params, collection)` returns its answer, and changes the collection unless it `reads`.

    `creates`: it may make a key. An answer of None means that there was nothing.
    """

    kind: str
    run: Callable[[Any, Any], Answer]
    reads: bool = False
    creates: bool = False


EMPTY: Final[dict[str, Callable[[], Any]]] = {"list": list, "set": dict, "zset": dict, "hash": dict}
"""Empty collections. Members of sets and sorted sets are keys of a dict, as canonical JSON."""
NAMES: Final = {
    "list": "a list",
    "set": "a set",
    "zset": "a sorted set",
    "hash": "a hash",
    "string": "a value",
}


def kind_of(text: str) -> str:
    """The type of a stored value, in Redis's words. Text of JSON never begins with one of these names and a colon."""
    kind = text.partition(":")[0]
    return kind if kind in EMPTY else "string"


def load(kind: str, text: str | None) -> Answer:
    """The collection of a stored text; an empty one for None. Raises InvalidInput for another type."""
    if text is None:
        return EMPTY[kind]()

    require_kind(kind, text)
    loaded = json.loads(text.partition(":")[2])
    if kind == "set":
        return dict.fromkeys(loaded)
    return loaded


def dump(kind: str, collection: Any) -> str | None:
    """The text to store; None for an empty collection, whose key is removed. Raises Conflict beyond the limit."""
    if not collection:
        return None
    if len(collection) > MAX_MEMBERS:
        raise Conflict(
            f"A key has {MAX_MEMBERS} members at most.",
            hint="Remove some (`ltrim`, `zremrangebyrank`), or keep them in a table of the service `database`.",
        )
    return f"{kind}:{json.dumps(list(collection) if kind == 'set' else collection)}"


def require_kind(kind: str, text: str) -> None:
    """Raises InvalidInput where the stored text is of another type."""
    found = kind_of(text)
    if found != kind:
        raise InvalidInput(
            f"WRONGTYPE: this key holds {NAMES[found]}, and the action is for {NAMES[kind]}.",
            hint="Use another key, or delete this one first.",
        )


def _text(member: Any) -> str:
    """A member as canonical JSON, so that equal members are equal texts."""
    return json.dumps(member, sort_keys=True, ensure_ascii=False)


def _sent(params: CollectionInput) -> list[Any]:
    """The members of a call. Raises InvalidInput without any."""
    if params.values:
        return params.values
    if "value" not in params.model_fields_set:
        raise InvalidInput("`value` or `values` is missing.")
    return [params.value]


def _one(params: CollectionInput) -> str:
    if "value" not in params.model_fields_set:
        raise InvalidInput("`value`, the member, is missing.")
    return _text(params.value)


def _field(params: CollectionInput) -> str:
    if params.field is None:
        raise InvalidInput("`field` is missing.")
    return params.field


def _fields(params: CollectionInput) -> list[str]:
    return params.fields or [_field(params)]


def _cut(start: int, stop: int, length: int) -> slice:
    """A range of Redis, which includes its end, as a slice."""
    first = max(start + length, 0) if start < 0 else start
    last = stop + length if stop < 0 else stop
    return slice(first, max(last + 1, 0))


def _pop_count(params: CollectionInput) -> int:
    count = 1 if params.count is None else params.count
    if count < 0:
        raise InvalidInput("`count` must not be negative here.")
    return count


# Lists


def _push(params: CollectionInput, items: list[Any], *, left: bool) -> int:
    sent = _sent(params)
    if left:
        items[:0] = reversed(sent)
    else:
        items.extend(sent)
    return len(items)


def _pop(params: CollectionInput, items: list[Any], *, left: bool) -> Answer:
    count = _pop_count(params)
    if not items:
        return None

    if left:
        taken, items[:] = items[:count], items[count:]
    else:
        keep = max(len(items) - count, 0)
        taken, items[:] = items[keep:][::-1], items[:keep]
    return taken if params.count is not None else taken[0]


def _index(params: CollectionInput, items: list[Any]) -> int | None:
    if params.index is None:
        raise InvalidInput("`index` is missing.")
    index = params.index + len(items) if params.index < 0 else params.index
    return index if 0 <= index < len(items) else None


def _lindex(params: CollectionInput, items: list[Any]) -> Answer:
    index = _index(params, items)
    return None if index is None else items[index]


def _lset(params: CollectionInput, items: list[Any]) -> bool:
    index = _index(params, items)
    if index is None:
        raise InvalidInput("The list has no such index.", hint="`llen` says how long it is.")
    items[index] = params.value
    return True


def _lrem(params: CollectionInput, items: list[Any]) -> int:
    member, count = _one(params), params.count or 0
    places = [place for place, item in enumerate(items) if _text(item) == member]
    if count < 0:
        places = places[count:]
    elif count > 0:
        places = places[:count]

    for place in reversed(places):
        del items[place]
    return len(places)


def _ltrim(params: CollectionInput, items: list[Any]) -> bool:
    items[:] = items[_cut(params.start, params.stop, len(items))]
    return True


# Sets


def _sadd(params: CollectionInput, members: dict[str, None]) -> int:
    before = len(members)
    members.update(dict.fromkeys(map(_text, _sent(params))))
    return len(members) - before


def _remove(params: CollectionInput, members: dict[str, Any]) -> int:
    before = len(members)
    for member in _sent(params):
        members.pop(_text(member), None)
    return before - len(members)


def _spop(params: CollectionInput, members: dict[str, None]) -> Answer:
    taken = list(members)[: _pop_count(params)]
    for member in taken:
        del members[member]

    if params.count is not None:
        return _members(taken)
    return json.loads(taken[0]) if taken else None


def _members(texts: Iterable[str]) -> list[Any]:
    return [json.loads(text) for text in texts]


# Sorted sets


def _zadd(params: CollectionInput, scores: dict[str, float]) -> int:
    if params.nx and params.xx:
        raise InvalidInput("`nx` and `xx` exclude each other.")
    if params.mapping is not None:
        sent = {_text(member): _score(score) for member, score in params.mapping.items()}
    elif params.score is not None:
        sent = {_one(params): float(params.score)}
    else:
        raise InvalidInput("`mapping`, or `value` with `score`, is missing.")

    added = 0
    for member, score in sent.items():
        there = member in scores
        if (params.nx and there) or (params.xx and not there):
            continue
        scores[member] = score
        added += not there
    return added


def _score(score: Any) -> float:
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise InvalidInput("A score must be a number.")
    return float(score)


def _zincrby(params: CollectionInput, scores: dict[str, float]) -> float:
    member = _one(params)
    if params.score is None:
        raise InvalidInput("`score`, the increment, is missing.")
    score = scores.get(member, 0.0) + params.score
    if not math.isfinite(score):
        raise InvalidInput("The score would be too large.")
    scores[member] = score
    return score


def _ranked(scores: dict[str, float], *, reverse: bool = False) -> list[tuple[str, float]]:
    """Members by score, equal ones by their text, as Redis does."""

    def place(entry: tuple[str, float]) -> tuple[float, str]:
        member = json.loads(entry[0])
        return entry[1], member if isinstance(member, str) else entry[0]

    return sorted(scores.items(), key=place, reverse=reverse)


def _shown(params: CollectionInput, entries: Iterable[tuple[str, float]]) -> list[Any]:
    if params.with_scores:
        return [[json.loads(member), score] for member, score in entries]
    return [json.loads(member) for member, _ in entries]


def _zrange(params: CollectionInput, scores: dict[str, float], *, reverse: bool = False) -> list[Any]:
    ranked = _ranked(scores, reverse=reverse)
    return _shown(params, ranked[_cut(params.start, params.stop, len(ranked))])


def _between(params: CollectionInput, scores: dict[str, float]) -> dict[str, float]:
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


def _zrangebyscore(params: CollectionInput, scores: dict[str, float], *, reverse: bool = False) -> list[Any]:
    found = _ranked(_between(params, scores), reverse=reverse)[params.offset :]
    # As in Redis, a negative count is no limit.
    if params.count is not None and params.count >= 0:
        found = found[: params.count]
    return _shown(params, found)


def _rank(params: CollectionInput, scores: dict[str, float], *, reverse: bool = False) -> int | None:
    member = _one(params)
    if member not in scores:
        return None
    return [text for text, _ in _ranked(scores, reverse=reverse)].index(member)


def _zpop(params: CollectionInput, scores: dict[str, float], *, reverse: bool) -> list[Any]:
    taken = _ranked(scores, reverse=reverse)[: _pop_count(params)]
    for member, _ in taken:
        del scores[member]
    return [[json.loads(member), score] for member, score in taken]


def _zdelete(members: Iterable[str], scores: dict[str, float]) -> int:
    gone = list(members)
    for member in gone:
        del scores[member]
    return len(gone)


def _zremrangebyrank(params: CollectionInput, scores: dict[str, float]) -> int:
    ranked = _ranked(scores)[_cut(params.start, params.stop, len(scores))]
    return _zdelete((member for member, _ in ranked), scores)


# Hashes


def _hset(params: CollectionInput, entries: dict[str, Any]) -> int:
    sent = dict(params.mapping or {})
    if params.field is not None and "value" in params.model_fields_set:
        sent[params.field] = params.value
    if not sent:
        raise InvalidInput("`mapping`, or `field` with `value`, is missing.")

    before = len(entries)
    entries.update(sent)
    return len(entries) - before


def _hsetnx(params: CollectionInput, entries: dict[str, Any]) -> bool:
    field = _field(params)
    if field in entries:
        return False
    entries[field] = params.value
    return True


def _hdel(params: CollectionInput, entries: dict[str, Any]) -> int:
    before = len(entries)
    for field in _fields(params):
        entries.pop(field, None)
    return before - len(entries)


def _hincrby(params: CollectionInput, entries: dict[str, Any]) -> int:
    field = _field(params)
    entries[field] = add_whole(entries.get(field, 0), 1 if params.value is None else params.value, "hincrby")
    return entries[field]


def add_whole(current: Any, increment: Any, action: str) -> int:
    """The sum of two whole numbers. Raises InvalidInput where one is something else."""
    # A bool is an int in Python.
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in (current, increment)):
        raise InvalidInput(
            f"`{action}` needs whole numbers.", hint="The stored value, or `value`, is something else."
        )
    return current + increment


COMMANDS: Final[dict[str, Command]] = {
    "lpush": Command("list", lambda p, c: _push(p, c, left=True), creates=True),
    "rpush": Command("list", lambda p, c: _push(p, c, left=False), creates=True),
    "lpop": Command("list", lambda p, c: _pop(p, c, left=True)),
    "rpop": Command("list", lambda p, c: _pop(p, c, left=False)),
    "lrange": Command("list", lambda p, c: c[_cut(p.start, p.stop, len(c))], reads=True),
    "llen": Command("list", lambda _, c: len(c), reads=True),
    "lindex": Command("list", _lindex, reads=True),
    "lset": Command("list", _lset),
    "lrem": Command("list", _lrem),
    "ltrim": Command("list", _ltrim),
    "sadd": Command("set", _sadd, creates=True),
    "srem": Command("set", _remove),
    "spop": Command("set", _spop),
    "smembers": Command("set", lambda _, c: _members(c), reads=True),
    "sismember": Command("set", lambda p, c: _one(p) in c, reads=True),
    "scard": Command("set", lambda _, c: len(c), reads=True),
    "zadd": Command("zset", _zadd, creates=True),
    "zincrby": Command("zset", _zincrby, creates=True),
    "zrem": Command("zset", _remove),
    "zscore": Command("zset", lambda p, c: c.get(_one(p)), reads=True),
    "zcard": Command("zset", lambda _, c: len(c), reads=True),
    "zcount": Command("zset", lambda p, c: len(_between(p, c)), reads=True),
    "zrank": Command("zset", _rank, reads=True),
    "zrevrank": Command("zset", lambda p, c: _rank(p, c, reverse=True), reads=True),
    "zrange": Command("zset", _zrange, reads=True),
    "zrevrange": Command("zset", lambda p, c: _zrange(p, c, reverse=True), reads=True),
    "zrangebyscore": Command("zset", _zrangebyscore, reads=True),
    "zrevrangebyscore": Command("zset", lambda p, c: _zrangebyscore(p, c, reverse=True), reads=True),
    "zpopmin": Command("zset", lambda p, c: _zpop(p, c, reverse=False)),
    "zpopmax": Command("zset", lambda p, c: _zpop(p, c, reverse=True)),
    "zremrangebyscore": Command("zset", lambda p, c: _zdelete(_between(p, c), c)),
    "zremrangebyrank": Command("zset", _zremrangebyrank),
    "hset": Command("hash", _hset, creates=True),
    "hsetnx": Command("hash", _hsetnx, creates=True),
    "hincrby": Command("hash", _hincrby, creates=True),
    "hget": Command("hash", lambda p, c: c.get(_field(p)), reads=True),
    "hmget": Command("hash", lambda p, c: [c.get(field) for field in _fields(p)], reads=True),
    "hgetall": Command("hash", lambda _, c: c, reads=True),
    "hdel": Command("hash", _hdel),
    "hexists": Command("hash", lambda p, c: _field(p) in c, reads=True),
    "hkeys": Command("hash", lambda _, c: list(c), reads=True),
    "hvals": Command("hash", lambda _, c: list(c.values()), reads=True),
    "hlen": Command("hash", lambda _, c: len(c), reads=True),
}
"""Commands by name: Redis's own, in lower case."""
