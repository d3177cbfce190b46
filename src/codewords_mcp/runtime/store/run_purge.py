"""Removal of old runs, and their number."""

from __future__ import annotations

from sqlalchemy import (
    Connection,
    delete,
    func,
    select,
    text,
)

from codewords_mcp.runtime.model.run_state import UNFINISHED
from codewords_mcp.runtime.store.tables import REPLAYS, runs

PURGED_AT_ONCE = 200
"""In one transaction: 8 ms, for which other writers wait."""


def purge(connection: Connection, older_than: int) -> int:
    """Delete finished runs that are summed, and those of provisioned ids that no run used, from before `older_than` (µs), at most
    `PURGED_AT_ONCE`. How many.
    """
    # said so that the index on the time is taken: nearly all runs are over, and summed
    over = runs.c.status.not_in(UNFINISHED) & (runs.c.summed.is_(True) | (runs.c.status == "provisioned"))
    some = select(runs.c.id).where(over, runs.c.created_at < older_than).order_by(runs.c.created_at)
    ids = list(connection.execute(some.limit(PURGED_AT_ONCE)).scalars())
    if ids:
        connection.execute(delete(runs).where(runs.c.id.in_(ids)))
    return len(ids)


def purge_replays(connection: Connection, older_than: int) -> int:
    """Delete replays that are over and from before `older_than` (µs), at most `PURGED_AT_ONCE`. How many."""
    over = text(REPLAYS), runs.c.status.not_in(UNFINISHED), runs.c.created_at < older_than
    some = select(runs.c.id).where(*over).limit(PURGED_AT_ONCE)
    ids = list(connection.execute(some).scalars())
    if ids:
        connection.execute(delete(runs).where(runs.c.id.in_(ids)))
    return len(ids)


def count(connection: Connection) -> int:
    """All runs on record."""
    return connection.execute(select(func.count()).select_from(runs)).scalar_one()
