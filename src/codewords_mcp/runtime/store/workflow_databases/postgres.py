"""Databases of workflows as schemas of PostgreSQL, each with a role that owns its tables and has no other rights."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from typing_extensions import override

from codewords_mcp.errors import ServiceNotAvailable
from codewords_mcp.runtime.store import advisory_locks
from codewords_mcp.runtime.store.workflow_databases import base
from codewords_mcp.runtime.store.workflow_databases.base import (
    CallResult,
    CallSlots,
    DatabaseKey,
    SqlCall,
    SqlStatement,
    StatementResult,
    TableShape,
    WorkflowDatabases,
    error_of,
)
from codewords_mcp.runtime.store.workflow_databases.sql_tokens import PreparedSql, prepared

if TYPE_CHECKING:
    import psycopg

P = ParamSpec("P")
T = TypeVar("T")
THREADS: Final = 4
ROLE_CONNECTIONS: Final = 8
CONNECT_TIMEOUT: Final = 10
_PURPOSE: Final = "workflow databases"
_SIZE = (
    "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'm')"
)
_OWNER_SIZE = (
    "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname LIKE :name AND c.relkind IN ('r', 'm')"
)
_TABLES = (
    "SELECT c.relname, coalesce(array_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum)"
    " FILTER (WHERE a.attnum > 0 AND NOT a.attisdropped), '{}') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_attribute a ON a.attrelid = c.oid WHERE n.nspname = current_schema() AND c.relkind = 'r'"
    " AND c.relname <> %s GROUP BY c.relname ORDER BY c.relname LIMIT 90"
)


class PostgresDatabases(WorkflowDatabases):
    """Schemas of the home's own database. `derive` gives the key from which the roles' passwords are made."""

    def __init__(
        self,
        engine: Engine,
        derive: Callable[[str], bytes],
        *,
        timeout: float = base.TIMEOUT,
        file_bytes: int = base.MAX_DATABASE,
    ) -> None:
        self._engine = engine
        self._derive = derive
        self._timeout = timeout
        self._file_bytes = file_bytes
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="workflow-sql")
        self._slots = CallSlots()
        self._ready: set[str] = set()
        """Names whose role and schema this process has seen to."""

    @override
    async def run(self, key: DatabaseKey, call: SqlCall, *, read_only: bool = False) -> CallResult:
        async with self._slots.of(key):
            return await self._in_thread(self._run, key, call, read_only)

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        call = partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _run(self, key: DatabaseKey, call: SqlCall, read_only: bool) -> CallResult:
        import psycopg
        from psycopg import errors

        place: int | None = None
        deadline = time.monotonic() + self._timeout
        # Refused before anything is made.
        sent = [prepared(statement) for statement in call.statements]
        try:
            with self._connection(key) as connection:
                connection.read_only = read_only
                migrated, version = self._migrate(connection, call.migrations, deadline, read_only=read_only)
                budget, results = _AnswerBudget(), list[StatementResult]()
                for number, statement in enumerate(sent):
                    place = number
                    results.append(_execute(connection, statement, budget, deadline))
                place = None
                if not read_only:
                    # Inside of the transaction: what made it too large is rolled back.
                    self._require_room(connection)
                return CallResult(results, migrated, version)
        except errors.ReadOnlySqlTransaction:
            raise error_of("writes", "") from None
        except (errors.QueryCanceled, errors.LockNotAvailable):
            raise error_of("timeout", "") from None
        except errors.OutOfMemory:
            raise error_of("memory", "") from None
        except (errors.DiskFull, errors.ProgramLimitExceeded):
            raise error_of("full", "") from None
        except errors.TooManyConnections:
            raise error_of("busy", "") from None
        except psycopg.Error as error:
            if error.sqlstate is None or error.sqlstate.startswith(("57", "08")):
                raise error_of("busy", "") from error
            raise error_of("sql", error.diag.message_primary or "it failed", place) from None
        except (ValueError, OverflowError):
            raise error_of("sql", "a value does not fit", place) from None

    def _connection(self, key: DatabaseKey) -> psycopg.Connection[Any]:
        """A connection as the role of this database, which is made at need. Raises ServiceNotAvailable."""
        import psycopg

        name = key.name
        if name not in self._ready:
            self._provide(name)
            self._ready.add(name)

        options = (
            # The server holds these bounds, also when this process is killed in the middle of a call.
            f"-c search_path={name} -c statement_timeout={round(self._timeout * 1000)}"
            f" -c lock_timeout={round(self._timeout * 1000)}"
            f" -c idle_in_transaction_session_timeout={round(self._timeout * 2000)} -c standard_conforming_strings=on"
            " -c client_encoding=UTF8"
        )
        target = self._engine.url.set(drivername="postgresql", username=name, password=self._password(name))
        return psycopg.connect(
            target.render_as_string(hide_password=False), options=options, connect_timeout=CONNECT_TIMEOUT
        )

    def _password(self, name: str) -> str:
        return hmac.new(self._derive(_PURPOSE), name.encode(), hashlib.sha256).hexdigest()

    def _provide(self, name: str) -> None:
        """Make the schema and its role, whose rights are that schema. Raises ServiceNotAvailable."""
        try:
            with self._engine.begin() as connection:
                advisory_locks.lock(connection, [("workflow database", name)])
                raw: Any = connection.connection.dbapi_connection
                secret = raw.pgconn.encrypt_password(
                    self._password(name).encode(), name.encode(), b"scram-sha-256"
                ).decode()
                role = text("SELECT 1 FROM pg_roles WHERE rolname = :name")
                if connection.execute(role, {"name": name}).first():
                    # The master key, of which passwords are made, may have changed since. Rights are left out: only
                    # a superuser may name them of a role that is there.
                    begin = f"ALTER ROLE {name} LOGIN NOINHERIT"
                else:
                    begin = f"CREATE ROLE {name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT"
                connection.exec_driver_sql(f"{begin} CONNECTION LIMIT {ROLE_CONNECTIONS} PASSWORD '{secret}'")
                connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {name}")
                connection.exec_driver_sql(f"GRANT USAGE, CREATE ON SCHEMA {name} TO {name}")
                # A server older than 15 lets everybody make tables in this schema.
                shared = connection.execute(
                    text(
                        "SELECT has_schema_privilege(:name, oid, 'CREATE') FROM pg_namespace WHERE nspname = 'public'"
                    ),
                    {"name": name},
                ).scalar()
        except DBAPIError as error:
            raise ServiceNotAvailable(
                "This home's PostgreSQL user may not make roles and schemas, so workflows have no databases.",
                hint="Grant it CREATEROLE, and CREATE on the database.",
            ) from error
        if shared:
            raise ServiceNotAvailable(
                "Everybody may make tables in the schema `public` of this home's PostgreSQL.",
                hint="Run REVOKE CREATE ON SCHEMA public FROM PUBLIC there.",
            )

    def _migrate(
        self,
        connection: psycopg.Connection[Any],
        migrations: tuple[str, ...],
        deadline: float,
        *,
        read_only: bool,
    ) -> tuple[int, int]:
        """(Migrations applied now, all that are applied.) Replicas take turns."""
        done = self._applied(connection)
        digests = [hashlib.sha256(sql.strip().encode()).hexdigest() for sql in migrations]
        if len(done) < len(migrations):
            if read_only:
                raise error_of("writes", "")
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), 0))")
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {base.MIGRATIONS} (number integer PRIMARY KEY, digest text NOT NULL)"
            )
            done = self._applied(connection)

        for number, (known, digest) in enumerate(zip(done, digests, strict=False), 1):
            if known != digest:
                raise error_of("migration", str(number))
        pending = migrations[len(done) :]
        for place, sql in enumerate(pending, len(done)):
            _execute(connection, prepared(SqlStatement(sql)), _AnswerBudget(), deadline)
            connection.execute(
                f"INSERT INTO {base.MIGRATIONS} VALUES (%s, %s)",  # noqa: S608
                (place + 1, digests[place]),
            )
        return len(pending), max(len(done), len(migrations))

    def _applied(self, connection: psycopg.Connection[Any]) -> list[str]:
        there = connection.execute("SELECT to_regclass(%s)", (base.MIGRATIONS,)).fetchone()
        if there is None or there[0] is None:
            return []
        rows = connection.execute(f"SELECT digest FROM {base.MIGRATIONS} ORDER BY number").fetchall()  # noqa: S608
        return [row[0] for row in rows]

    def _require_room(self, connection: psycopg.Connection[Any]) -> None:
        size = connection.execute(_SIZE).fetchone()
        if size is not None and size[0] > self._file_bytes:
            raise error_of("full", "")

    @override
    async def tables(self, key: DatabaseKey) -> tuple[list[TableShape], int]:
        return await self._in_thread(self._describe, key)

    def _describe(self, key: DatabaseKey) -> tuple[list[TableShape], int]:
        import psycopg
        from psycopg import sql

        try:
            with self._connection(key) as connection:
                # Names come from the workflow: whatever they hold, nothing can be changed here.
                connection.read_only = True
                shapes: list[TableShape] = []
                for name, columns in connection.execute(_TABLES, (base.MIGRATIONS,)).fetchall():
                    count = connection.execute(
                        sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))
                    )
                    shapes.append(TableShape(name, list(columns), (count.fetchone() or (0,))[0]))
                return shapes, int((connection.execute(_SIZE).fetchone() or (0,))[0])
        except psycopg.Error as error:
            raise error_of("busy", "") from error

    @override
    async def bytes_of(self, owner: str) -> int:
        return await self._in_thread(self._bytes_of, owner)

    def _bytes_of(self, owner: str) -> int:
        try:
            connection = self._engine.connect()
        except DBAPIError as error:
            raise error_of("busy", "") from error
        with connection:
            names = {"name": f"cwdb\\_%\\_{base.owner_name(owner)}"}
            return int(connection.execute(text(_OWNER_SIZE), names).scalar_one())

    @override
    async def exists(self, key: DatabaseKey) -> bool:
        return key.name in await self._in_thread(self._names, key.workflow)

    def _names(self, workflow: str) -> list[str]:
        query = text("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, :name) ORDER BY nspname")
        with self._engine.connect() as connection:
            return list(connection.execute(query, {"name": f"{base.workflow_name(workflow)}_"}).scalars())

    @override
    async def delete(self, workflow: str) -> None:
        await self._in_thread(self._delete, workflow)

    def _delete(self, workflow: str) -> None:
        for name in self._names(workflow):
            self._ready.discard(name)
            with self._engine.begin() as connection:
                connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")
                connection.exec_driver_sql(f"DROP ROLE IF EXISTS {name}")

    @override
    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    @override
    async def count(self, workflow: str) -> int:
        return len(await self._in_thread(self._names, workflow))


class _AnswerBudget:
    """Rows and bytes that are left for one answer."""

    def __init__(self) -> None:
        self.bytes = base.MAX_ANSWER

    def take(self, row: list[object]) -> None:
        """Count a row. Raises BodyTooLarge."""
        self.bytes -= len(json.dumps(row))
        if self.bytes < 0:
            raise error_of("rows", "")


def _execute(
    connection: psycopg.Connection[Any], statement: PreparedSql, budget: _AnswerBudget, deadline: float
) -> StatementResult:
    """One statement, in the time that is left."""
    from psycopg import RawCursor

    left = round(max(deadline - time.monotonic(), 0.001) * 1000)
    connection.execute(f"SET LOCAL statement_timeout = {left}".encode())
    with RawCursor(connection) as cursor:
        bound = [_sent(value) for value in statement.values]
        if not statement.has_rows:
            cursor.execute(statement.text.encode(), bound)
            return StatementResult([], [], max(cursor.rowcount, 0))

        rows: list[list[Any]] = []
        # One after the other, so that an answer without end is not held whole.
        for row in cursor.stream(statement.text.encode(), bound):
            rows.append([_shown(value) for value in row])
            budget.take(rows[-1])
            if len(rows) > base.MAX_ROWS:
                raise error_of("rows", "")
        columns = [column.name for column in cursor.description or ()]
        return StatementResult(columns, rows, len(rows) if "returning" in statement.names else 0)


def _sent(value: Any) -> object:
    if isinstance(value, dict):
        return base64.b64decode(cast("dict[str, str]", value)["base64"])
    return value


def _shown(value: Any) -> object:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if value - value == 0 else str(value)
        case Decimal():
            if value == value.to_integral_value():
                return int(value)
            return float(value)
        case bytes():
            return {"base64": base64.b64encode(value).decode()}
        case date() | time_of_day():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case _:
            # JSON and arrays as they are; all else by its text.
            if isinstance(value, (dict, list)):
                return cast("object", value)
            return str(value)
