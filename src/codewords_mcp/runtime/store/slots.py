"""Limits where several processes share the database: counted and taken under locks, so that they hold exactly.

Who takes a slot locks every limit that it is counted under, counts, and writes that the run starts, in one
transaction: of two replicas that do so at the same moment, one counts the other's run.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, text, true

from codewords_mcp.runtime.model.limits import Limit, LimitScope, Scope
from codewords_mcp.runtime.model.run_state import ACTIVE
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.tables import runs

_LOCK = text("SELECT pg_advisory_xact_lock(:key)")


def lock(connection: Connection, place: LimitScope) -> None:
    """Hold what this place is counted on until the transaction ends. A key is one caller's, so that its lock does for
    both; SQLite has one writer anyway.
    """
    if connection.dialect.name == "sqlite":
        return
    names = {limit.name for limit in place.limits if limit.scope != "key"} | {("caller", place.owner)}
    for key in sorted(
        _number(*name) for name in names
    ):  # in one order everywhere, so that nobody waits in a ring
        connection.execute(_LOCK, {"key": key})


def full(connection: Connection, place: LimitScope) -> tuple[Limit, int] | None:
    """The first limit under which as many runs are active as may be, with how many; None where there is room."""
    bounded = [limit for limit in place.limits if limit.runs is not None]
    for limit, active in zip(bounded, _counts(connection, bounded, place, _active()), strict=True):
        max_runs = limit.max_runs(nested=place.nested)
        if max_runs is not None and active >= max_runs:
            return limit, active
    return None


def check_line(connection: Connection, place: LimitScope) -> None:
    """Whether one more may wait. Raises TooBusy."""
    bounded = [limit for limit in place.limits if limit.waiting is not None]
    waiting = runs.c.status == "queued"
    for limit, count in zip(bounded, _counts(connection, bounded, place, waiting), strict=True):
        if limit.waiting is not None and count >= limit.waiting:
            raise limit.refusal(count)


def are_ahead(connection: Connection, place: LimitScope) -> bool:
    """Whether runs alike wait in the durable line, whose time has come: a new one goes behind them."""
    query = select(runs.c.id).where(
        runs.c.status == "queued",
        runs.c.in_queue.is_(True),
        runs.c.service_id == place.service_id,
        _of_key(place),
        or_(runs.c.not_before.is_(None), runs.c.not_before <= now()),
    )
    return connection.execute(query.limit(1)).first() is not None


def held_elsewhere(connection: Connection, executor: str) -> Counter[tuple[Scope, str]]:
    """How many active runs other executors hold, under each limit's name."""
    key_id = func.coalesce(runs.c.key_id, "")
    query = (
        select(runs.c.owner, key_id, runs.c.service_id, func.count())
        .where(_active(), runs.c.executor != executor)
        .group_by(runs.c.owner, key_id, runs.c.service_id)
    )
    held: Counter[tuple[Scope, str]] = Counter()

    for owner, key, service_id, count in connection.execute(query):
        names: Iterable[tuple[Scope, str]] = (
            ("key", f"{owner}/{key}"), ("caller", owner), ("workflow", service_id), ("home", ""),
        )  # fmt: skip
        for name in names:
            held[name] += count

    return held


def _active() -> ColumnElement[bool]:
    return runs.c.status.in_(ACTIVE)


def _counts(
    connection: Connection, limits: list[Limit], place: LimitScope, which: ColumnElement[bool]
) -> list[int]:
    if not limits:
        return []
    columns = [func.count().filter(_under(limit, place)) for limit in limits]
    return list(connection.execute(select(*columns).where(which)).one())


def _under(limit: Limit, place: LimitScope) -> ColumnElement[bool]:
    conditions: dict[Scope, ColumnElement[bool]] = {
        "key": _of_key(place),
        "caller": runs.c.owner == place.owner,
        "workflow": runs.c.service_id == place.service_id,
        "home": true(),
    }
    return conditions[limit.scope]


def _of_key(place: LimitScope) -> ColumnElement[bool]:
    return and_(runs.c.owner == place.owner, func.coalesce(runs.c.key_id, "") == place.key_id)


def _number(*name: Any) -> int:
    """A lock's number, 63 bits."""
    digest = hashlib.blake2b("\0".join(name).encode(), digest_size=8, person=b"codewords").digest()
    return int.from_bytes(digest, "big") >> 1
