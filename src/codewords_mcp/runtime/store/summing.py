"""Ended runs, and what they asked models, come into the sums by day: in the background, each once.

A run is summed some time after its end, by one process at a time, a short transaction for many: nobody's run waits for it, and
replicas do not wait for each other. It may be broken off anywhere. What replicas of a version leave that knows nothing of
this is not summed, and so it is found here; a home of such a version is summed up from its first run on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from sqlalchemy import Connection, Select, func, literal_column, or_, select, text

from codewords_mcp.errors import StorageFailed
from codewords_mcp.runtime.model.run_state import UNFINISHED
from codewords_mcp.runtime.store import model_usage as calls
from codewords_mcp.runtime.store import usage
from codewords_mcp.runtime.store.clock import now, to_text
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.tables import UNSUMMED, runs
from codewords_mcp.runtime.store.usage_tables import model_usage

EVERY = 20.0
"""Seconds between two rounds."""
SETTLED = 30_000_000
"""µs after its end from which on a run is summed: what its sandbox used is on record then, as a rule."""
AT_ONCE = 100
"""Runs, or accounts of model calls, in one transaction: some milliseconds, for which other writers wait."""
BREATH = 0.005
"""Seconds between two transactions."""
_LOCK = 0x73756D73
"""Of PostgreSQL's advisory locks, the one of who sums."""
log = structlog.get_logger(__name__)


async def keep_summed(database: Database) -> None:
    """Round by round, until it is cancelled."""
    while True:
        try:
            await sum_up(database)
        except StorageFailed as error:
            log.warning("what runs used is not summed up", reason=error.message)
        await asyncio.sleep(EVERY)


async def sum_up(database: Database) -> None:
    """All that there is. Raises StorageFailed."""
    for due, piece in ((_due_runs, _sum_runs), (_due_calls, _sum_calls)):
        more = await database.read(_is_any, due())
        while more:
            more = await database.write(_sum_alone, piece)
            await asyncio.sleep(BREATH)


def _is_any(connection: Connection, due: Select[str]) -> bool:
    return connection.execute(due.limit(1)).first() is not None


def _sum_alone(connection: Connection, piece: Callable[[Connection], bool]) -> bool:
    return _is_alone(connection) and piece(connection)


def _is_alone(connection: Connection) -> bool:
    """Until the transaction ends; False where another process is at it."""
    if connection.dialect.name != "postgresql":
        return True
    asked = text("SELECT pg_try_advisory_xact_lock(:lock)")
    return bool(connection.execute(asked, {"lock": _LOCK}).scalar_one())


def _due_runs() -> Select[str]:
    over = runs.c.status.not_in(UNFINISHED) & (
        func.coalesce(runs.c.completed_at, runs.c.created_at) < now() - SETTLED
    )
    return select(runs.c.id).where(text(UNSUMMED), over).order_by(runs.c.created_at)


def _sum_runs(connection: Connection) -> bool:
    """Whether there is more. What is locked, as by a process that records what it used, is left for the next round."""
    some = _due_runs().limit(AT_ONCE).with_for_update(skip_locked=True)
    ids = list(connection.execute(some).scalars())
    if ids:
        usage.sum_up(connection, ids)
    return len(ids) == AT_ONCE


def _due_calls() -> Select[str]:
    """Accounts of runs that are over, and of days that are."""
    at = now()
    over = or_(runs.c.id.is_(None), runs.c.completed_at < at - SETTLED)
    of_run = (model_usage.c.run_id != literal_column("''")) & over
    query = select(model_usage.c.id).outerjoin(runs, runs.c.id == model_usage.c.run_id)
    return query.where(model_usage.c.summed.is_(None), or_(model_usage.c.day < to_text(at)[:10], of_run))


def _sum_calls(connection: Connection) -> bool:
    """Whether there is more."""
    some = _due_calls().limit(AT_ONCE).with_for_update(of=model_usage, skip_locked=True)
    ids = list(connection.execute(some).scalars())
    if ids:
        calls.sum_up(connection, ids)
    return len(ids) == AT_ONCE
