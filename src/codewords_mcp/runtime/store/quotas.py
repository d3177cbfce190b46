"""Quotas of owners, and what counts against them."""

from __future__ import annotations

from sqlalchemy import Connection, and_, delete, func, select

from codewords_mcp.runtime.model.quota import OwnerQuota, QuotaLimits
from codewords_mcp.runtime.model.run_state import ACTIVE, SUSPENDED
from codewords_mcp.runtime.store import advisory_locks, inserts
from codewords_mcp.runtime.store.tables import owner_quotas, runs

_COUNTED = and_(runs.c.version.is_not(None), runs.c.mode.is_distinct_from("replay"))
"""Runs of workflows. Calls of library services belong to the run that makes them."""


def every(connection: Connection) -> list[OwnerQuota]:
    """All quotas, by their owners."""
    found = connection.execute(select(owner_quotas).order_by(owner_quotas.c.owner)).mappings()
    return [
        OwnerQuota(
            owner=row["owner"], limits=QuotaLimits(**{name: row[name] for name in QuotaLimits.model_fields})
        )
        for row in found
    ]


def put(connection: Connection, owner: str, limits: QuotaLimits, at: int) -> None:
    """Set or replace the quota of an owner."""
    inserts.put(connection, owner_quotas, {"owner": owner, **limits.model_dump(), "updated_at": at})


def remove(connection: Connection, owner: str) -> bool:
    """Remove a quota; False if there was none."""
    return connection.execute(delete(owner_quotas).where(owner_quotas.c.owner == owner)).rowcount == 1


def lock_runs(connection: Connection, owner: str) -> None:
    """Let nobody else count this owner's runs before the transaction ends: two at once could pass together."""
    advisory_locks.lock(connection, [("quota_runs", owner)])


def runs_since(connection: Connection, owner: str, at: int) -> int:
    """The number of runs of workflows that this owner began from a time in µs on."""
    recent = select(func.count()).where(runs.c.owner == owner, runs.c.created_at > at, _COUNTED)
    return connection.execute(recent).scalar_one()


def nth_newest(connection: Connection, owner: str, number: int) -> int | None:
    """The time in µs at which the run began that is the newest but `number`; None without so many."""
    newest = select(runs.c.created_at).where(runs.c.owner == owner, _COUNTED)
    return connection.execute(newest.order_by(runs.c.created_at.desc()).offset(number).limit(1)).scalar()


def active_runs(connection: Connection, owner: str) -> tuple[int, int]:
    """(Runs that hold a slot, runs that wait for one.)"""
    slots = and_(runs.c.status.in_(ACTIVE), runs.c.mode.is_distinct_from("replay"))
    waiting = and_(runs.c.status == "queued", func.coalesce(runs.c.waits_for, "").not_in(SUSPENDED))
    columns = func.count().filter(slots), func.count().filter(waiting)
    open_runs = runs.c.status.in_((*ACTIVE, "queued"))
    found = connection.execute(select(*columns).where(runs.c.owner == owner, open_runs)).one()
    return found[0], found[1]
