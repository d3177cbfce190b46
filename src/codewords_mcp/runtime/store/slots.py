"""Limits across processes that share the database: exact, since they are counted under locks.

To take a slot, a process locks every limit of the run, counts, and writes the run's start, all in
one transaction. Of two replicas that do so at once, the second counts the first one's run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, true

from codewords_mcp.runtime.model.limits import Limit, LimitScope, Scope
from codewords_mcp.runtime.model.run_state import ACTIVE, SUSPENDED
from codewords_mcp.runtime.store import advisory_locks
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.tables import runs


def lock(connection: Connection, scope: LimitScope) -> None:
    """Lock the counters of this scope until the transaction ends.

    A key belongs to one caller, so its lock covers both.
    """
    names = {limit.name for limit in scope.limits if limit.scope != "key"} | {("caller", scope.owner)}
    advisory_locks.lock(connection, names)


def exhausted_limit(connection: Connection, scope: LimitScope) -> tuple[Limit, int] | None:
    """Return the first exhausted limit with its number of active runs; None if there is capacity."""
    bounded = [limit for limit in scope.limits if limit.runs is not None]
    for limit, active in zip(bounded, _counts(connection, bounded, scope, _active()), strict=True):
        max_runs = limit.max_runs(nested=scope.nested)
        if max_runs is not None and active >= max_runs:
            return limit, active
    return None


def require_queue_capacity(connection: Connection, scope: LimitScope) -> None:
    """Raise TooBusy if the queue of this scope is full.

    Runs count as waiting beyond the slots that are free for them: some are about to start, as after a start of the runtime.
    """
    bounded = [limit for limit in scope.limits if limit.waiting is not None]
    active = _counts(connection, bounded, scope, _active())
    # Runs that wait for a person are in no queue, however many they are.
    waiting = and_(runs.c.status == "queued", func.coalesce(runs.c.waits_for, "").not_in(SUSPENDED))
    queued = _counts(connection, bounded, scope, waiting)
    for limit, taken, count in zip(bounded, active, queued, strict=True):
        beyond = count - max((limit.runs or 0) - taken, 0)
        if limit.waiting is not None and beyond >= limit.waiting:
            raise limit.refusal(beyond)


def are_ahead(connection: Connection, scope: LimitScope) -> bool:
    """Whether runs alike wait in the durable queue, whose time has come: a new one goes behind them."""
    query = select(runs.c.id).where(
        runs.c.status == "queued",
        runs.c.in_queue.is_(True),
        runs.c.service_id == scope.service_id,
        _of_key(scope),
        or_(runs.c.not_before.is_(None), runs.c.not_before <= now()),
    )
    return connection.execute(query.limit(1)).first() is not None


def active_elsewhere(connection: Connection, executor: str) -> Counter[tuple[Scope, str]]:
    """Count the active runs of other executors, under each limit's name."""
    key_id = func.coalesce(runs.c.key_id, "")
    query = (
        select(runs.c.owner, key_id, runs.c.service_id, func.count())
        .where(_active(), runs.c.executor != executor)
        .group_by(runs.c.owner, key_id, runs.c.service_id)
    )
    counts: Counter[tuple[Scope, str]] = Counter()

    for owner, key, service_id, count in connection.execute(query):
        names: Iterable[tuple[Scope, str]] = (
            ("key", f"{owner}/{key}"), ("caller", owner), ("workflow", service_id), ("home", ""),
        )  # fmt: skip
        for name in names:
            counts[name] += count

    return counts


def _active() -> ColumnElement[bool]:
    # Replays take no slot.
    return and_(runs.c.status.in_(ACTIVE), runs.c.mode.is_distinct_from("replay"))


def _counts(
    connection: Connection, limits: list[Limit], scope: LimitScope, which: ColumnElement[bool]
) -> list[int]:
    if not limits:
        return []
    # One pass over the active runs for all limits.
    columns = [func.count().filter(_under(limit, scope)) for limit in limits]
    return list(connection.execute(select(*columns).where(which)).one())


def _under(limit: Limit, scope: LimitScope) -> ColumnElement[bool]:
    conditions: dict[Scope, ColumnElement[bool]] = {
        "key": _of_key(scope),
        "caller": runs.c.owner == scope.owner,
        "workflow": runs.c.service_id == scope.service_id,
        "home": true(),
    }
    return conditions[limit.scope]


def _of_key(scope: LimitScope) -> ColumnElement[bool]:
    return and_(runs.c.owner == scope.owner, func.coalesce(runs.c.key_id, "") == scope.key_id)
