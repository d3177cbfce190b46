"""Retention: delete old runs and logs by policy, and return SQLite's free pages to the disk.

The work is divided into short transactions, so that no run waits for more than one of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, text

from codewords_mcp.runtime.model.run_state import UNFINISHED
from codewords_mcp.runtime.store import advisory_locks, run_purge, usage
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.executors import clock
from codewords_mcp.runtime.store.summing import sum_up
from codewords_mcp.runtime.store.tables import log_chunks, meta, runs
from codewords_mcp.runtime.store.usage_tables import RETENTION_DAYS
from codewords_mcp.settings import Settings

LOGS_AT_ONCE = 200
PAGES_AT_ONCE = 256
"""Pages that SQLite gives back in one piece: a megabyte, some milliseconds."""
REPLAY_TTL = 3600.0
"""Seconds that the runs and logs of replays are kept; their reports stay as long as recordings."""
SPARE_PAGES = 1024
"""Free pages that the file keeps for new rows."""
BREATH = 0.005
"""Seconds between two pieces."""
CONVERTED = 256 << 20
"""Bytes in use up to which an old database without incremental vacuum is rewritten when it is
opened.
"""
_ROUND = "retention_round"
"""Name in the table `meta`; its value is the time at which the last round began, in µs by the database's clock."""
_COUNTED = "runs_counted"
"""Name in the table `meta`; its value is the time at which runs were counted last, in µs, and how many were kept."""
FEW = 100_000
COUNT_INTERVAL = 86_400.0
"""Seconds after which runs are counted in any case."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DatabaseSize:
    """Bytes of the database, and of those `free`: reusable or returnable.

    `shrinks`: the file can shrink while serving.
    """

    bytes: int
    free: int
    shrinks: bool


def size(connection: Connection) -> DatabaseSize:
    """Measure the database."""
    if connection.dialect.name != "sqlite":
        total = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
        return DatabaseSize(total, 0, shrinks=True)
    page = _pragma(connection, "page_size")
    return DatabaseSize(
        page * _pragma(connection, "page_count"),
        page * _pragma(connection, "freelist_count"),
        shrinks=_pragma(connection, "auto_vacuum") == 2,
    )


def convert(engine: Engine) -> None:
    """Enable incremental vacuum in an older SQLite database, if rewriting it is quick. Blocking."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        found = size(connection)
        if found.shrinks or found.bytes - found.free > CONVERTED:
            return
        connection.exec_driver_sql("PRAGMA auto_vacuum=INCREMENTAL")
        # SQLite changes the mode of a database that has tables only by a VACUUM.
        connection.exec_driver_sql("VACUUM")


def begin_round(connection: Connection, seconds: float) -> bool:
    """Note that a round begins. False if another replica has begun one within so many seconds: each round counts all runs."""
    if connection.dialect.name == "sqlite":
        return True

    # The row may not be there yet, so it cannot be the lock.
    advisory_locks.lock(connection, [("retention",)])
    last, at = _read_note(connection, _ROUND), clock(connection)
    if last and 0 <= at - int(last) < seconds * 1e6:
        return False

    _write_note(connection, _ROUND, str(at))
    return True


async def prune(database: Database, settings: Settings, *, few: int = FEW) -> None:
    """Remove expired runs and logs, and runs beyond the maximum; then shrink. Usage stays in sums.

    Up to `few` are kept exactly. Of more, a hundredth too many may be there for a day: finding the oldest to be kept reads an
    entry of the index for each.
    """
    # First, since only runs whose usage is summed are removed.
    await sum_up(database)
    await database.write(usage.purge, now() - RETENTION_DAYS * usage.DAY)
    before = now() - int(settings.run_ttl * 1e6)
    max_runs, counted_at = settings.runs_kept, now()
    counts = max_runs <= few or await database.read(_may_exceed, max_runs)
    if counts:
        before = max(before, await database.read(_newest_to_go, max_runs) or 0)

    def purge_some(connection: Connection) -> bool:
        return run_purge.purge(connection, before) == run_purge.PURGED_AT_ONCE

    await _piecewise(database, purge_some)
    if counts:
        await database.write(_write_note, _COUNTED, f"{counted_at} {max_runs}")
    replays_before = now() - int(REPLAY_TTL * 1e6)

    def purge_replays(connection: Connection) -> bool:
        return run_purge.purge_replays(connection, replays_before) == run_purge.PURGED_AT_ONCE

    await _piecewise(database, purge_replays)

    if settings.log_ttl is not None:
        logs_before = now() - int(settings.log_ttl * 1e6)
        since = 0
        while found := await database.read(_with_old_logs, since, logs_before):
            since = found[-1].created_at  # earlier runs have no log any more
            await database.write(_delete_logs, [run.id for run in found])
            await asyncio.sleep(BREATH)

    if not database.shared:
        await shrink(database)


async def shrink(database: Database) -> int:
    """Return free pages of SQLite to the disk, piece by piece. Returns the bytes saved."""
    before = await database.read(size)
    await _piecewise(database, _give_back)
    await database.write(_checkpoint)
    return before.bytes - (await database.read(size)).bytes


async def _piecewise(database: Database, piece: Callable[[Connection], bool]) -> None:
    """Repeat a piece until it returns False; other writes may happen in between."""
    more = True
    while more:
        more = await database.write(piece)
        await asyncio.sleep(BREATH)


def _give_back(connection: Connection) -> bool:
    """Whether there is more."""
    free = _pragma(connection, "freelist_count") - SPARE_PAGES
    if free <= 0 or _pragma(connection, "auto_vacuum") != 2:
        return False
    # `execute` takes one step of it, which is one page; `executescript` takes all
    driver: Any = connection.connection.driver_connection
    driver.executescript(f"PRAGMA incremental_vacuum({min(free, PAGES_AT_ONCE)})")
    return True


def _checkpoint(connection: Connection) -> None:
    """Move the content of the write-ahead log into the file, which makes the file smaller."""
    # PASSIVE waits for no reader; what it can't move now moves the next time.
    connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").all()


def _may_exceed(connection: Connection, max_runs: int) -> bool:
    """Whether many runs, or a day, have come since those beyond `max_runs` were removed."""
    counted_at, _, of = _read_note(connection, _COUNTED).partition(" ")
    if of != str(max_runs) or not 0 <= now() - int(counted_at) < COUNT_INTERVAL * 1e6:
        return True
    some = max_runs // 100
    new = select(runs.c.created_at).where(runs.c.created_at >= int(counted_at)).limit(some).subquery()
    return connection.execute(select(func.count()).select_from(new)).scalar_one() >= some


def _read_note(connection: Connection, name: str) -> str:
    """A value of the table `meta`; "" for none."""
    return connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar() or ""


def _write_note(connection: Connection, name: str, value: str) -> None:
    connection.execute(delete(meta).where(meta.c.name == name))
    connection.execute(insert(meta).values(name=name, value=value))


def _newest_to_go(connection: Connection, max_runs: int) -> int | None:
    """The time at which the newest run beyond the `max_runs` newest was accepted."""
    query = select(runs.c.created_at).order_by(runs.c.created_at.desc()).offset(max_runs).limit(1)
    at = connection.execute(query).scalar()
    if at is None:
        return None
    # Later by one: what is removed lies before this time, and the run itself is to go.
    return at + 1


def _with_old_logs(connection: Connection, since: int, before: int) -> Sequence[Row[str, int]]:
    """(id, created_at) of ended runs from that time that have a log still, the oldest first."""
    has_log = select(log_chunks.c.run_id).where(log_chunks.c.run_id == runs.c.id).exists()
    old = (runs.c.created_at >= since) & (runs.c.created_at < before)
    # stated so that the index on the time is used, as in `purge`
    over = runs.c.status.not_in(UNFINISHED)
    query = select(runs.c.id, runs.c.created_at).where(old, over, has_log).order_by(runs.c.created_at)
    return connection.execute(query.limit(LOGS_AT_ONCE)).all()


def _delete_logs(connection: Connection, run_ids: list[str]) -> None:
    connection.execute(delete(log_chunks).where(log_chunks.c.run_id.in_(run_ids)))


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
