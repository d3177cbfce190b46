"""Numbers of a whole home for `/metrics`: each by an index, and bounded."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from sqlalchemy import Connection, func, select

from codewords_mcp.runtime.model.alert import UNRESOLVED
from codewords_mcp.runtime.store import executors, retention
from codewords_mcp.runtime.store.recovery import NOT_SUSPENDED
from codewords_mcp.runtime.store.tables import alerts, runs, workflows
from codewords_mcp.runtime.store.tables import executors as replicas

MAX_COUNTED: Final = 10_000
"""Waiting runs that are counted at most."""


class HomeCounts(NamedTuple):
    """Numbers of a home. `oldest_waiting_s` is the age of the oldest run that waits for its turn, 0 without one."""

    workflows: int
    waiting_runs: int
    suspended_runs: int
    oldest_waiting_s: float
    open_alerts: int
    replicas: int
    database_bytes: int
    free_bytes: int


def read(connection: Connection, replica_ttl: float) -> HomeCounts:
    """Read them. The home of a SQLite database has one replica."""
    at = executors.clock(connection)
    waiting = (
        select(runs.c.created_at, NOT_SUSPENDED.label("waits"))
        .where(runs.c.status == "queued")
        .order_by(runs.c.owner, runs.c.created_at)
        # Counting a very long queue would cost more than its number is worth.
        .limit(MAX_COUNTED)
        .subquery()
    )
    by_kind = select(waiting.c.waits, func.count(), func.min(waiting.c.created_at)).group_by(waiting.c.waits)
    found = {bool(row[0]): (row[1], row[2]) for row in connection.execute(by_kind)}
    count, oldest = found.get(True, (0, None))
    size = retention.size(connection)
    alive = 1
    if connection.dialect.name != "sqlite":
        since = at - int(replica_ttl * 1e6)
        alive = connection.execute(
            select(func.count()).select_from(replicas).where(replicas.c.seen_at >= since)
        ).scalar_one()

    return HomeCounts(
        workflows=connection.execute(select(func.count()).select_from(workflows)).scalar_one(),
        waiting_runs=count,
        suspended_runs=found.get(False, (0, None))[0],
        oldest_waiting_s=0.0 if oldest is None else max(0.0, (at - oldest) / 1e6),
        open_alerts=connection.execute(
            select(func.count()).select_from(alerts).where(alerts.c.status.in_(UNRESOLVED))
        ).scalar_one(),
        replicas=alive,
        database_bytes=size.bytes,
        free_bytes=size.free,
    )


def names(connection: Connection, service_ids: Collection[str]) -> dict[str, str]:
    """The names of workflows by their ids."""
    query = select(workflows.c.id, workflows.c.name).where(workflows.c.id.in_(service_ids))
    return {row.id: row.name for row in connection.execute(query)}
