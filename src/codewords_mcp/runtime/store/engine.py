"""The engine of a home's database: options of connections, and the SQLite file."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from codewords_mcp.common.bounded_json import parse_stored
from codewords_mcp.errors import StorageFailed
from codewords_mcp.runtime.store import audit_capture, local_file
from codewords_mcp.runtime.store.checkpoints import FALLBACK_PAGES
from codewords_mcp.runtime.store.database_errors import storage_error
from codewords_mcp.runtime.store.migrations import migrate

IDLE_TIMEOUT = 15
"""Seconds after which the server ends a transaction of whose process nothing more comes."""
CONNECTIONS = 18
"""Connections to a server at the most: ours, and those of the queue's threads, which wait for one where there is none."""
TRIED_AFTER = 1.0
"""Seconds without use after which a connection to a server is tried before it is used."""
USED_AT = "used_at"
MIN_LOCK_WAIT = 0.1
"""Seconds that a write waits for a lock if its timeout was used up in the queue."""
DEFAULT_LOCK_WAIT, LOCK_WAIT_SLACK = 30.0, 0.05
"""Seconds that a new connection waits for a lock; tolerated difference to the remaining timeout."""
_LOCK_WAIT = "lock_wait"
_OLD_MARKS = text("DELETE FROM marks WHERE at < now() - interval '1 day'")
CONNECT_OPTIONS: dict[str, Any] = {
    "connect_timeout": 10, "keepalives_idle": 5, "keepalives_interval": 3, "keepalives_count": 3, "tcp_user_timeout": 15_000,
}  # fmt: skip
"""libpq's settings to notice a dead server.

The system's defaults wait a quarter of an hour or longer.
"""


def _configure_sqlite(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    # a deferred transaction that has read fails at its first write instead of waiting
    connection.isolation_level = "IMMEDIATE"
    cursor = connection.cursor()
    # No pragma here may need the write lock: a new connection for a read must not wait for it.
    for pragma in (
        "synchronous=NORMAL",
        f"wal_autocheckpoint={FALLBACK_PAGES}",
        f"busy_timeout={round(DEFAULT_LOCK_WAIT * 1000)}",
        "foreign_keys=ON",
        "journal_size_limit=67108864",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _open_existing(path: Path, _dialect: Any, _entry: Any, args: list[Any], options: dict[str, Any]) -> None:
    """Open the file read-write, and refuse to create an empty one if it was deleted."""
    args[0] = f"file:{quote(str(path.absolute()))}?mode=rw"
    options["uri"] = True


def _configure_file(path: Path) -> None:
    """Set the options that SQLite stores in the file, once. Raises OSError, sqlite3.DatabaseError."""
    local_file.prepare(path)
    with closing(sqlite3.connect(path, timeout=DEFAULT_LOCK_WAIT)) as connection:
        connection.execute(
            "PRAGMA auto_vacuum=INCREMENTAL"
        )  # takes effect in a new database; see retention.py
        connection.execute("PRAGMA journal_mode=WAL")


def _configure_postgres(idle_timeout: int, connection: Any, _entry: ConnectionPoolEntry) -> None:
    """Bound idle transactions: a stopped or disconnected process must not block others by its
    locks.
    """
    connection.execute(f"SET idle_in_transaction_session_timeout = '{idle_timeout}s'")
    connection.commit()


def _note_use(_connection: Any, entry: ConnectionPoolEntry) -> None:
    entry.info[USED_AT] = time.monotonic()


def _try_unused(engine: Engine, connection: Any, entry: ConnectionPoolEntry, _proxy: Any) -> None:
    """Try a connection that was not used for a while, and have the pool make new ones where it is broken.

    A connection that was used just now is not tried: that would be one round trip more for each transaction, and a
    transaction whose connection breaks is repeated anyway.
    """
    # Imported here: homes on SQLite start without it.
    import psycopg

    if time.monotonic() - entry.info.get(USED_AT, 0.0) < TRIED_AFTER:
        return
    try:
        engine.dialect.do_ping(connection)
    except psycopg.Error as error:
        raise InvalidatePoolError from error


def limit_lock_wait(connection: Connection, seconds: float) -> None:
    """Set how long SQLite waits for other connections' locks, on this pooled connection."""
    wait = max(MIN_LOCK_WAIT, seconds)
    if abs(wait - connection.info.get(_LOCK_WAIT, DEFAULT_LOCK_WAIT)) > LOCK_WAIT_SLACK:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {round(wait * 1000)}")
        connection.info[_LOCK_WAIT] = wait


def open_engine(
    target: URL, home: Path, *, readers: int, idle_timeout: int, connections: int = CONNECTIONS
) -> tuple[Engine, Path | None]:
    """Open and migrate a database. Returns its engine, and the file of SQLite. Blocking.

    Raises StorageFailed.
    """
    local = target.get_backend_name() == "sqlite"
    path = Path(target.database or "") if local else None
    try:
        if path is not None:
            _configure_file(path)
    except (OSError, sqlite3.Error) as error:
        raise storage_error(error, home) from error

    engine = create_engine(
        target, pool_size=readers + 2, max_overflow=connections - readers - 2,
        # The writer then keeps to one connection: SQLite drops the cached pages of each other one at every commit.
        pool_use_lifo=True,
        connect_args={} if local else CONNECT_OPTIONS, json_deserializer=parse_stored,
    )  # fmt: skip
    if local:
        configure = _configure_sqlite
    else:
        configure = partial(_configure_postgres, idle_timeout)
    event.listen(engine, "connect", configure)
    if path is not None:
        event.listen(engine, "do_connect", partial(_open_existing, path))
    else:
        event.listen(engine, "connect", _note_use)
        event.listen(engine, "checkin", _note_use)
        event.listen(engine, "checkout", partial(_try_unused, engine))
    try:
        migrate(engine)
        audit_capture.listen(engine)
        if not local:
            with engine.begin() as connection:
                connection.execute(_OLD_MARKS)
    except (DatabaseError, OSError) as error:
        engine.dispose()
        raise storage_error(error, home) from error
    except StorageFailed:
        engine.dispose()
        raise

    return engine, path
