"""A process that runs SQL of workflows on SQLite files. It imports the standard library only, and is run by its path.

One JSON line comes in for each call, and one goes out. A process and not a thread: a statement may
take all the memory it can get, and `LIKE` can't be interrupted. Its alarm ends the process then,
and SQLite's journal undoes the transaction.
"""

from __future__ import annotations

import base64
import hashlib
import json
import resource
import select
import signal
import sqlite3
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

MEMORY = 512 << 20
IDLE_S = 30.0
"""Seconds without a call after which the process ends."""
GRACE_S = 1.5
"""Seconds after the timeout at which the alarm ends what nothing interrupted."""
PAGE = 4096
OPS_BETWEEN_LOOKS = 50_000
LOCK_WAIT_S = 5.0
MIGRATIONS = "_migrations"
READ_PRAGMAS = frozenset(
    ("table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list")
)
FUNCTIONS_REFUSED = frozenset(("load_extension", "fts3_tokenizer", "edit", "writefile", "readfile"))
MODULES = frozenset(("fts5", "json_each", "json_tree", "generate_series", "rtree"))
READING = frozenset(
    (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
)
TABLES_REFUSED = frozenset(
    ("sqlite_dbpage", "sqlite_dbdata", "sqlite_dbptr", "dbstat", "sqlite_stmt", "bytecode", "tables_used")
)
"""Virtual tables that some builds of SQLite have at once, by which raw pages can be read or written."""
SHADOWS = frozenset(("data", "idx", "content", "docsize", "config", "node", "rowid", "parent"))
"""The ends of the names of the tables in which fts5 and rtree keep a virtual table. Hostile content there meets their parsers."""
EXPLAIN = "EXPLAIN "
TEMPORARY = frozenset(
    (
        sqlite3.SQLITE_CREATE_TEMP_INDEX, sqlite3.SQLITE_CREATE_TEMP_TABLE, sqlite3.SQLITE_CREATE_TEMP_TRIGGER,
        sqlite3.SQLITE_CREATE_TEMP_VIEW,
    )
)  # fmt: skip
TEMPORARY_SCHEMA = frozenset(("sqlite_temp_master", "sqlite_temp_schema"))
TABLE_ACTIONS = frozenset(
    (
        sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE, sqlite3.SQLITE_CREATE_TABLE,
        sqlite3.SQLITE_DROP_TABLE, sqlite3.SQLITE_CREATE_VIEW, sqlite3.SQLITE_DROP_VIEW,
    )
)  # fmt: skip
OF_TABLES = frozenset(
    (
        sqlite3.SQLITE_ALTER_TABLE,
        sqlite3.SQLITE_CREATE_TRIGGER,
        sqlite3.SQLITE_CREATE_INDEX,
        sqlite3.SQLITE_DROP_INDEX,
    )
)
"""Actions whose second name is that of the table."""
FAILURES = {
    "SQLITE_FULL": "full", "SQLITE_BUSY": "busy", "SQLITE_LOCKED": "busy", "SQLITE_INTERRUPT": "timeout",
    "SQLITE_NOMEM": "memory", "SQLITE_CORRUPT": "damaged", "SQLITE_NOTADB": "damaged", "SQLITE_TOOBIG": "rows",
}  # fmt: skip


class SqlFailure(Exception):
    """A kind of failure, with the engine's words and the place of the statement."""

    def __init__(self, kind: str, message: str = "", place: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.place = place


class SqlGuard:
    """The authorizer of a connection: refuses statements that reach out of the file, and tells reads from writes."""

    def __init__(self, *, read_only: bool) -> None:
        self.read_only = read_only
        self.trusted = True
        """Whether the statement is the worker's own."""
        self.writes = False
        self.refused = ""
        self.alters = False
        """Whether the statement may give a table another name, which SQLite does not tell."""
        self.virtual: frozenset[str] = frozenset()
        """The names of the virtual tables in small letters."""
        self.checked = False
        """Whether the statement by itself writes no shadow table, so that whatever does is a module's own statement."""

    def __call__(
        self, action: int, first: str | None, second: str | None, database: str | None, inner: str | None
    ) -> int:
        """SQLite's verdict on one action of a statement."""
        if self.trusted:
            return sqlite3.SQLITE_OK

        self.refused = (
            self.refused
            or self._reason(action, first or "", second or "", database or "")
            or self._shadow_reason(action, first or "", second or "", inner)
        )
        if self.refused:
            return sqlite3.SQLITE_DENY
        self.alters = self.alters or action == sqlite3.SQLITE_ALTER_TABLE
        if action not in READING and action != sqlite3.SQLITE_PRAGMA:
            self.writes = True
            if self.read_only:
                return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    def _describes(self, pragma: str, value: str) -> bool:
        # fts5 asks for these two itself.
        return pragma in READ_PRAGMAS or (pragma in {"data_version", "page_size"} and not value)

    def _reason(self, action: int, first: str, second: str, database: str) -> str:
        """The reason why an action is refused; "" if it is not."""
        if action in {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH}:
            return "a workflow has one database, and ATTACH, DETACH and VACUUM are not for it"
        if action in {sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_SAVEPOINT}:
            return "each call is one transaction; give its statements together in `statements`"
        if action == sqlite3.SQLITE_PRAGMA and not self._describes(first.lower(), second):
            return "of PRAGMA only those that describe tables and indexes are allowed"
        if action == sqlite3.SQLITE_FUNCTION and second.lower() in FUNCTIONS_REFUSED:
            return "this function is not allowed"
        if first.lower() in TABLES_REFUSED:
            return "this table is not allowed"
        # ALTER TABLE also looks through the schema of temporary tables, which is empty, and SQLite lets nobody write to it.
        if action in TEMPORARY or (database == "temp" and first not in TEMPORARY_SCHEMA):
            return "temporary tables would be gone after the call"
        if action == sqlite3.SQLITE_CREATE_VTABLE and second.lower() not in MODULES:
            return "of virtual tables only fts5 and rtree are allowed"
        if action in TABLE_ACTIONS and first.lower() == MIGRATIONS:
            return f"{MIGRATIONS} belongs to the service"
        if action == sqlite3.SQLITE_ALTER_TABLE and second.lower() == MIGRATIONS:
            return f"{MIGRATIONS} belongs to the service"
        return ""

    def _shadow_reason(self, action: int, first: str, second: str, inner: str | None) -> str:
        # A module's statements fire triggers too; those have a name within.
        if not self.virtual or (self.checked and inner is None):
            return ""
        if action in TABLE_ACTIONS:
            name = first
        elif action in OF_TABLES:
            name = second
        else:
            return ""
        table, _, end = name.lower().rpartition("_")
        if end in SHADOWS and table in self.virtual:
            return f"only the virtual table {table} itself writes to its tables"
        return ""


class FileCall:
    """One call on one file."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.read_only = bool(request["read_only"])
        self.statements: list[dict[str, Any]] = request["statements"]
        self.migrations: list[str] = request["migrations"]
        self.limits: dict[str, int] = request["limits"]
        self.deadline = time.monotonic() + float(request["timeout"])
        self.guard = SqlGuard(read_only=self.read_only)
        self.bytes_left = self.limits["bytes"]
        self.migrated = False
        """Whether the database has a table of migrations."""
        path = Path(str(request["path"]))
        # A database that was never written to is an empty one, which a read does not make.
        self.connection = sqlite3.connect(
            str(path) if path.exists() or not self.read_only else ":memory:",
            timeout=LOCK_WAIT_S, isolation_level=None, cached_statements=0,
        )  # fmt: skip

    def run(self) -> dict[str, Any]:
        """The answer. Raises SqlFailure."""
        with closing(self.connection) as connection:
            self._prepare(connection)
            connection.execute("BEGIN" if self.read_only else "BEGIN IMMEDIATE")
            applied, version = self._migrate(connection)
            results = [self._execute(connection, place, one) for place, one in enumerate(self.statements)]
            self.guard.trusted = True
            # A deferred foreign key fails here.
            try:
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise self._failure(error, None) from error
            return {"results": results, "migrated": applied, "version": version}

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # Loading extensions is off by default, and the authorizer refuses the function.
        for name, limit in (
            (sqlite3.SQLITE_LIMIT_LENGTH, self.limits["value"]), (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
            (sqlite3.SQLITE_LIMIT_SQL_LENGTH, self.limits["sql"] + len(EXPLAIN)), (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 200),
            (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 50), (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 500),
            (sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0), (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 50),
        ):  # fmt: skip
            connection.setlimit(name, limit)
        # Since Python 3.12. The guard refuses the same: writes to shadow tables and to the schema.
        if hasattr(connection, "setconfig"):
            connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)  # type: ignore[attr-defined]
        connection.execute(f"PRAGMA max_page_count = {self.limits['file'] // PAGE}")
        # In memory, which is bounded; files of the system's folder would not be.
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        if not self.read_only:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.set_authorizer(self.guard)
        connection.set_progress_handler(self._is_late, OPS_BETWEEN_LOOKS)

    def _is_late(self) -> bool:
        return time.monotonic() > self.deadline

    def _migrate(self, connection: sqlite3.Connection) -> tuple[int, int]:
        """(Migrations applied now, all that are applied.) Raises SqlFailure."""
        there = self._has_migrations(connection)
        done = list(connection.execute(f"SELECT digest FROM {MIGRATIONS} ORDER BY number")) if there else []  # noqa: S608
        digests = [hashlib.sha256(sql.strip().encode()).hexdigest() for sql in self.migrations]
        # An older version of the workflow may know fewer.
        for number, ((known,), digest) in enumerate(zip(done, digests, strict=False), 1):
            if known != digest:
                raise SqlFailure("migration", str(number))

        pending = self.migrations[len(done) :]
        if pending and self.read_only:
            raise SqlFailure("writes")
        if pending and not there:
            connection.execute(
                f"CREATE TABLE {MIGRATIONS} (number INTEGER PRIMARY KEY, digest TEXT NOT NULL)"
            )
        self.migrated = there or bool(pending)
        for place, sql in enumerate(pending, len(done)):
            self._execute(connection, place, {"sql": sql, "parameters": []})
            self.guard.trusted = True
            connection.execute(f"INSERT INTO {MIGRATIONS} VALUES (?, ?)", (place + 1, digests[place]))  # noqa: S608
        return len(pending), max(len(done), len(self.migrations))

    def _has_migrations(self, connection: sqlite3.Connection) -> bool:
        found = connection.execute("SELECT 1 FROM sqlite_master WHERE lower(name) = ?", (MIGRATIONS,))
        return found.fetchone() is not None

    def _execute(self, connection: sqlite3.Connection, place: int, one: dict[str, Any]) -> dict[str, Any]:
        """One statement of the call. Raises SqlFailure."""
        self._open_virtual_tables(connection)
        # From here on the workflow's own SQL runs, and no longer the worker's.
        self.guard.trusted, self.guard.writes, self.guard.alters = False, False, False
        try:
            self._check_shadow_writes(connection, one)
            cursor = connection.execute(one["sql"], _bound(one["parameters"]))
            rows: list[list[Any]] = []
            for row in cursor:
                rows.append(self._counted(row))
                if len(rows) > self.limits["rows"]:
                    raise SqlFailure("rows")
        except (sqlite3.Error, sqlite3.Warning, OverflowError, ValueError) as error:
            raise self._failure(error, place) from error
        except MemoryError:
            raise SqlFailure("memory") from None
        if self.guard.alters:
            self.guard.trusted = True
            if self._has_migrations(connection) != self.migrated:
                raise SqlFailure("refused", f"{MIGRATIONS} belongs to the service", place)
        columns = [column[0] for column in cursor.description or ()]
        return {"columns": columns, "rows": rows, "changed": max(cursor.rowcount, 0)}

    def _open_virtual_tables(self, connection: sqlite3.Connection) -> None:
        """Have the modules compile their own statements, which rtree does when a table is first named, also to be read."""
        self.guard.trusted, self.guard.checked = True, False
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage = 0")
        names = [str(name) for (name,) in found]
        self.guard.virtual = frozenset(map(str.lower, names))
        for name in names:
            quoted = name.replace('"', '""')
            # A broken one is left to the statement that names it.
            with suppress(sqlite3.Error):
                connection.execute(f'SELECT 1 FROM "{quoted}" LIMIT 0').close()  # noqa: S608  # quoted

    def _check_shadow_writes(self, connection: sqlite3.Connection, one: dict[str, Any]) -> None:
        """Compile a statement without running it. Raises sqlite3.Error where it writes to a shadow table by itself.

        Running it, fts5 and rtree compile statements of their own, which look the same to the authorizer.
        """
        if not self.guard.virtual:
            return
        try:
            connection.execute(EXPLAIN + one["sql"], _bound(one["parameters"])).close()
        except (sqlite3.Error, sqlite3.Warning):
            if self.guard.refused:
                raise
            # A fault, which running it tells better, or an EXPLAIN, which writes nothing.
            return
        self.guard.checked = True

    def _counted(self, row: tuple[Any, ...]) -> list[Any]:
        values = [_shown(value) for value in row]
        self.bytes_left -= len(json.dumps(values))
        if self.bytes_left < 0:
            raise SqlFailure("rows")
        return values

    def _failure(self, error: Exception, place: int | None) -> SqlFailure:
        if self.guard.refused:
            return SqlFailure("refused", self.guard.refused, place)
        if self.read_only and self.guard.writes:
            return SqlFailure("writes")
        # Extended codes begin with the name of the primary one.
        name = getattr(error, "sqlite_errorname", "")
        kind = next((kind for code, kind in FAILURES.items() if name.startswith(code)), "sql")
        if kind == "sql" and name.startswith("SQLITE_IOERR"):
            kind = "full"
        return SqlFailure(kind, str(error), place)


def _bound(parameters: list[object] | dict[str, object]) -> list[object] | dict[str, object]:
    if isinstance(parameters, dict):
        return {name: _sent(value) for name, value in parameters.items()}
    return [_sent(value) for value in parameters]


def _sent(value: object) -> object:
    if isinstance(value, dict):
        return base64.b64decode(str(value["base64"]))  # pyright: ignore[reportUnknownArgumentType]
    return value


def _shown(value: object) -> object:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    # JSON has no infinity.
    if isinstance(value, float) and value in {float("inf"), float("-inf")}:
        return str(value)
    return value


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one call, or its failure."""
    try:
        return FileCall(request).run()
    except SqlFailure as failure:
        return {"failed": failure.kind, "message": str(failure), "place": failure.place}
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        kind = next((kind for code, kind in FAILURES.items() if name.startswith(code)), "damaged")
        return {"failed": kind, "message": str(error), "place": None}
    except MemoryError:
        return {"failed": "memory", "message": "", "place": None}


def main() -> None:
    """Answer calls until stdin ends, or nothing comes for a while."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # By default the alarm ends the process, also in the middle of a statement.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)

    while select.select([sys.stdin], [], [], IDLE_S)[0]:
        line = sys.stdin.buffer.readline()
        if not line:
            return
        request = json.loads(line)
        file_limit = 2 * request["limits"]["file"] + (16 << 20)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, resource.RLIM_INFINITY))
        signal.setitimer(signal.ITIMER_REAL, request["timeout"] + GRACE_S)
        found = json.dumps(answer(request))
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdout.buffer.write(found.encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
