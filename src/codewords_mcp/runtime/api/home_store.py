"""Opening the database of a home: whether the home can be written to, and what an earlier runtime left behind."""

from __future__ import annotations

import os
from pathlib import Path

import structlog

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.model.measures import Measures
from codewords_mcp.runtime.store import (
    alert_causes,
    budgets,
    clean_end,
    local_file,
    recovery,
    retention,
)
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.database_errors import storage_error
from codewords_mcp.settings import Settings

log = structlog.get_logger(__name__)


def open_store(settings: Settings) -> Database:
    """Open a home's database and settle what was in flight in its last runtime.

    Raises StorageFailed, InvalidInput.
    """
    home = settings.home
    try:
        local_file.make_private_home(home)
        # Only a write tells: permissions say nothing of a disk that is mounted read-only.
        probe = home / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise storage_error(error, home) from error

    database = Database.open(
        home,
        settings.database_url,
        connections=settings.database_connections,
        measures=Measures(settings.metrics_workflows),
    )
    # The other replicas take over from one that shares a database, not its own next start.
    if database.shared:
        return database

    try:
        _settle(database, home)
    except OSError as error:
        database.close()
        raise storage_error(error, home) from error
    except CodewordsError:
        database.close()
        raise

    return database


async def close_store(database: Database) -> None:
    """Note that the runtime of a home ended in order. Raises StorageFailed."""
    if not database.shared:
        await database.write(clean_end.end)


def _settle(database: Database, home: Path) -> None:
    left = database.write_blocking(recovery.abandon)
    began_at = database.write_blocking(clean_end.begin, str(home))
    if began_at is not None:
        detail = {"interrupted": len(left.interrupted)}
        database.write_blocking(alert_causes.note, f"restarted {began_at}", "runtime_restarted", detail)

    unsettled = database.write_blocking(budgets.settle_orphaned)
    retention.convert(database.engine)

    if left.interrupted or left.again:
        log.warning(
            "runs were in flight when the runtime stopped",
            interrupted=len(left.interrupted),
            go_on=len(left.again),
        )

    if unsettled:
        log.warning("model calls were settled at what they had reserved", calls=unsettled)


def shown_home(home: Path) -> str:
    """A home as people read it."""
    own = Path.home()
    if home.is_relative_to(own):
        return f"~/{home.relative_to(own)}"
    return str(home)
