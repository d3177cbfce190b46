"""Add ended runs and their model calls to the sums by day, each once, in the background.

A run is summed some time after its end, by one process at a time, in short transactions of many
rows. So no run waits for the summing, and replicas don't wait for each other. It may be interrupted
anywhere. Older versions that do not sum leave rows unsummed, which are found here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

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
"""Age in µs of an ended run before it is summed: usually its sandbox's usage is recorded by then.
"""
AT_ONCE = 100
"""Runs, or accounts of model calls, in one transaction: it blocks other writers for milliseconds.
"""
BREATH = 0.005
"""Seconds between two transactions."""
_LOCK = 0x73756D73
"""PostgreSQL's advisory lock of the process that sums."""
log = structlog.get_logger(__name__)


async def keep_summed(database: Database) -> None:
    """Round by round, until it is cancelled."""
    while True:
        try:
            await sum_up(database)
        except StorageFailed as error:
            # The sums are complete without it, since queries add the rest; the next round tries
            # again.
            log.warning("what runs used is not summed up", reason=error.message)
        await asyncio.sleep(EVERY)


async def sum_up(database: Database, *, at_once: int = AT_ONCE, settled_us: int = SETTLED) -> None:
    """All that ended `settled_us` ago, `at_once` in a transaction. Raises StorageFailed."""
    for due, piece in (
        (_due_runs(settled_us), partial(_sum_runs, at_once=at_once, settled_us=settled_us)),
        (_due_calls(settled_us), partial(_sum_calls, at_once=at_once, settled_us=settled_us)),
    ):
        # A read first: most rounds have nothing to do, and must not take the place of a write.
        more = await database.read(_is_any, due)
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
    statement = text("SELECT pg_try_advisory_xact_lock(:lock)")
    return bool(connection.execute(statement, {"lock": _LOCK}).scalar_one())


def _due_runs(settled_us: int) -> Select[str]:
    over = runs.c.status.not_in(UNFINISHED) & (
        func.coalesce(runs.c.completed_at, runs.c.created_at) < now() - settled_us
    )
    return select(runs.c.id).where(text(UNSUMMED), over).order_by(runs.c.created_at)


def _sum_runs(connection: Connection, *, at_once: int, settled_us: int) -> bool:
    """Sum some runs; whether there are more.

    Locked rows, as during recording, wait for the next round.
    """
    some = _due_runs(settled_us).limit(at_once).with_for_update(skip_locked=True)
    ids = list(connection.execute(some).scalars())
    if ids:
        usage.sum_up(connection, ids)
    return len(ids) == at_once


def _due_calls(settled_us: int) -> Select[str]:
    """Accounts of runs that are over, and of days that are."""
    at = now()
    over = or_(runs.c.id.is_(None), runs.c.completed_at < at - settled_us)
    of_run = (model_usage.c.run_id != literal_column("''")) & over
    query = select(model_usage.c.id).outerjoin(runs, runs.c.id == model_usage.c.run_id)
    return query.where(model_usage.c.summed.is_(None), or_(model_usage.c.day < to_text(at)[:10], of_run))


def _sum_calls(connection: Connection, *, at_once: int, settled_us: int) -> bool:
    """Whether there is more."""
    some = _due_calls(settled_us).limit(at_once).with_for_update(of=model_usage, skip_locked=True)
    ids = list(connection.execute(some).scalars())
    if ids:
        calls.sum_up(connection, ids)
    return len(ids) == at_once
