"""A copy of an SQLite database as it was before a migration: the last one only, for a month."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import structlog

from codewords_mcp.runtime.store import local_file

MARK: Final = ".before-"
"""Between the names of the database and of the revision that it was brought to."""
MAX_BYTES: Final = 4 << 30
"""A larger database would keep the start waiting for minutes."""
KEPT_S: Final = 30 * 86_400.0
"""Seconds after which a copy goes: it has runs and logs that retention has deleted meanwhile."""
log = structlog.get_logger(__name__)


def copy_before(path: Path, target: str) -> Path | None:
    """Copy the database of a home beside it; None, and a warning, where that cannot be. Older copies go. Blocking."""
    copy = path.with_name(f"{path.name}{MARK}{target}")
    part = copy.with_name(f"{copy.name}.part")
    size = path.stat().st_size
    if size > min(MAX_BYTES, shutil.disk_usage(path.parent).free):
        log.warning("migrating without a copy: too large, or no room", database=str(path), bytes=size)
        return None
    try:
        part.unlink(missing_ok=True)
        local_file.prepare(part)
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as made:
            # SQLite's own backup: a copy of the file would miss what is in its log.
            source.backup(made)
            # One file, without a log beside it.
            made.execute("PRAGMA journal_mode=DELETE")
        part.rename(copy)
    except (OSError, sqlite3.Error) as error:
        part.unlink(missing_ok=True)
        log.warning("migrating without a copy", database=str(path), error=str(error))
        return None

    log.info("the database before its migration is kept", copy=str(copy))
    _remove(older for older in _copies(path) if older != copy)
    return copy


def remove_old_copies(path: Path, age: float = KEPT_S) -> None:
    """Delete copies of more seconds than `age`. Blocking."""
    _remove(copy for copy in _copies(path) if time.time() - copy.stat().st_mtime > age)


def _remove(found: Iterable[Path]) -> None:
    for copy in found:
        # No reason not to start: a folder of that name, or another owner's.
        with suppress(OSError):
            copy.unlink(missing_ok=True)


def _copies(path: Path) -> list[Path]:
    return list(path.parent.glob(f"{path.name}{MARK}*"))
