"""Lists, sets, sorted sets and hashes under one key, with Redis's own commands and answers.

A command changes a collection in memory; its caller loads and stores it in one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from codewords_mcp.errors import Conflict, InvalidInput
from codewords_mcp.runtime.services._collection_input import (
    MAX_MEMBERS,
    CollectionInput,
    canonical,
    member_of,
    members_of,
    pop_count,
    range_of,
)
from codewords_mcp.runtime.services._sorted_sets import (
    between,
    rank,
    zadd,
    zdelete,
    zincrby,
    zpop,
    zrange,
    zrangebyscore,
    zremrangebyrank,
)

Answer = Any
"""JSON of any form, as a member or field was sent."""


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


def _field(params: CollectionInput) -> str:
    if params.field is None:
        raise InvalidInput("`field` is missing.")
    return params.field


def _fields(params: CollectionInput) -> list[str]:
    return params.fields or [_field(params)]


# Lists


def _push(params: CollectionInput, items: list[Any], *, left: bool) -> int:
    sent = members_of(params)
    if left:
        # Redis pushes one after another, so the last one that was sent becomes the first.
        items[:0] = reversed(sent)
    else:
        items.extend(sent)
    return len(items)


def _pop(params: CollectionInput, items: list[Any], *, left: bool) -> Answer:
    count = pop_count(params)
    if not items:
        return None

    if left:
        taken, items[:] = items[:count], items[count:]
    else:
        keep = max(len(items) - count, 0)
        # In the order of popping: the last member comes first.
        taken, items[:] = items[keep:][::-1], items[:keep]
    if params.count is not None:
        return taken
    return taken[0]


def _index(params: CollectionInput, items: list[Any]) -> int | None:
    if params.index is None:
        raise InvalidInput("`index` is missing.")
    if params.index < 0:
        index = params.index + len(items)
    else:
        index = params.index
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
    member, count = member_of(params), params.count or 0
    places = [place for place, item in enumerate(items) if canonical(item) == member]
    if count < 0:
        places = places[count:]
    elif count > 0:
        places = places[:count]

    # From the end, so that the places that are left stay true.
    for place in reversed(places):
        del items[place]
    return len(places)


def _ltrim(params: CollectionInput, items: list[Any]) -> bool:
    items[:] = items[range_of(params.start, params.stop, len(items))]
    return True


# Sets


def _sadd(params: CollectionInput, members: dict[str, None]) -> int:
    before = len(members)
    members.update(dict.fromkeys(map(canonical, members_of(params))))
    return len(members) - before


def _remove(params: CollectionInput, members: dict[str, Any]) -> int:
    before = len(members)
    for member in members_of(params):
        members.pop(canonical(member), None)
    return before - len(members)


def _spop(params: CollectionInput, members: dict[str, None]) -> Answer:
    # Redis takes members at random, so any of them will do.
    taken = list(members)[: pop_count(params)]
    for member in taken:
        del members[member]

    if params.count is not None:
        return _members(taken)
    return json.loads(taken[0]) if taken else None


def _members(texts: Iterable[str]) -> list[Any]:
    return [json.loads(text) for text in texts]


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
    "lrange": Command("list", lambda p, c: c[range_of(p.start, p.stop, len(c))], reads=True),
    "llen": Command("list", lambda _, c: len(c), reads=True),
    "lindex": Command("list", _lindex, reads=True),
    "lset": Command("list", _lset),
    "lrem": Command("list", _lrem),
    "ltrim": Command("list", _ltrim),
    "sadd": Command("set", _sadd, creates=True),
    "srem": Command("set", _remove),
    "spop": Command("set", _spop),
    "smembers": Command("set", lambda _, c: _members(c), reads=True),
    "sismember": Command("set", lambda p, c: member_of(p) in c, reads=True),
    "scard": Command("set", lambda _, c: len(c), reads=True),
    "zadd": Command("zset", zadd, creates=True),
    "zincrby": Command("zset", zincrby, creates=True),
    "zrem": Command("zset", _remove),
    "zscore": Command("zset", lambda p, c: c.get(member_of(p)), reads=True),
    "zcard": Command("zset", lambda _, c: len(c), reads=True),
    "zcount": Command("zset", lambda p, c: len(between(p, c)), reads=True),
    "zrank": Command("zset", rank, reads=True),
    "zrevrank": Command("zset", lambda p, c: rank(p, c, reverse=True), reads=True),
    "zrange": Command("zset", zrange, reads=True),
    "zrevrange": Command("zset", lambda p, c: zrange(p, c, reverse=True), reads=True),
    "zrangebyscore": Command("zset", zrangebyscore, reads=True),
    "zrevrangebyscore": Command("zset", lambda p, c: zrangebyscore(p, c, reverse=True), reads=True),
    "zpopmin": Command("zset", lambda p, c: zpop(p, c, reverse=False)),
    "zpopmax": Command("zset", lambda p, c: zpop(p, c, reverse=True)),
    "zremrangebyscore": Command("zset", lambda p, c: zdelete(between(p, c), c)),
    "zremrangebyrank": Command("zset", zremrangebyrank),
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
