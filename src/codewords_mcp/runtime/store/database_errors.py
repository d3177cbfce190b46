"""Sort the errors of a database and word them for people."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from sqlalchemy.exc import InterfaceError, OperationalError

from codewords_mcp.errors import InvalidInput, StorageFailed
from codewords_mcp.runtime.model.disk_errors import LOW_SPACE

BUSY, LOCKED = 5, 6
"""SQLite's result codes for a database, and a table, that another connection holds locked."""
_DAMAGED = (11, 26)
"""Those for a file that is damaged (SQLITE_CORRUPT), and for one that is no database."""


def storage_error(error: Exception, home: Path) -> StorageFailed:
    """Word a database or file error of this home."""
    text = str(error).lower()
    # First, since the disk that is looked at below is this machine's and not the server's.
    if "psycopg" in type(getattr(error, "orig", error)).__module__:
        if "no space left" in text:
            return StorageFailed(
                "The disk of the database server is full; nothing was changed.",
                hint="Free some space there and try again.",
            )
        return StorageFailed(
            "The database server did not answer as expected.",
            hint="See that CODEWORDS_DATABASE_URL is right and the server runs; the runtime's log has the details.",
        )

    try:
        free = shutil.disk_usage(home).free
    except OSError:
        # The home itself may be gone, which the texts below tell.
        free = None

    if "disk is full" in text or "no space" in text or (free is not None and free < LOW_SPACE):
        return StorageFailed(
            f"The disk that holds {home} is full; nothing was changed.", hint="Free some space and try again."
        )
    if is_locked(error):
        return StorageFailed(
            f"Another program holds the database in {home} locked; nothing was changed.",
            hint="End it (a database shell or a copying program with an open transaction) and try again.",
        )
    if "readonly" in text or "read-only" in text or "unable to open" in text or "permission" in text:
        return StorageFailed(
            f"The home {home} cannot be written.",
            hint="Make it writable for this user, or set CODEWORDS_HOME to another folder.",
        )
    if is_damage(error):
        return StorageFailed(
            f"The database in {home} is damaged.",
            hint="Restore codewords.db from a backup, or move it away to start anew.",
        )

    return StorageFailed(
        f"The database in {home} did not answer as expected.",
        hint="See the runtime's log in the home's logs folder.",
    )


def nul_error() -> InvalidInput:
    """Word the refusal of a text that PostgreSQL cannot store."""
    return InvalidInput(
        "The request holds a NUL character, which the database does not store.", hint="Send it without."
    )


def is_transient(error: Exception) -> bool:
    """Tell whether the connection failed or two transactions collided; nothing was changed."""
    if getattr(error, "connection_invalidated", False) or isinstance(error, InterfaceError):
        return True
    return isinstance(error, OperationalError)


def is_retryable(error: Exception | None) -> bool:
    """Tell whether the same write would succeed later: the server is away, or the disk is full."""
    if isinstance(error, StorageFailed):
        # A StorageFailed has words for people; its cause has the code of the fault.
        cause = error.__cause__
    else:
        cause = None
    if isinstance(getattr(cause, "orig", None), sqlite3.OperationalError):
        return is_locked(cause) or any(sign in str(cause) for sign in ("is full", "disk I/O error"))
    return cause is not None and isinstance(cause, Exception) and is_transient(cause)


def is_locked(error: BaseException | None) -> bool:
    """Tell whether SQLite timed out on another connection's lock."""
    cause = getattr(error, "orig", error)
    return isinstance(cause, sqlite3.OperationalError) and _result_code(error) in {BUSY, LOCKED}


def is_damage(error: BaseException | None) -> bool:
    """Tell whether SQLite found its file damaged."""
    return _result_code(error) in _DAMAGED


def _result_code(error: BaseException | None) -> int | None:
    """SQLite's primary result code; None where it is no error of SQLite's."""
    code: int | None = getattr(getattr(error, "orig", error), "sqlite_errorcode", None)
    if code is None:
        return None
    # Extended result codes have the primary one in their low byte.
    return code & 0xFF
