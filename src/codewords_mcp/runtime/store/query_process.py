"""Queries of people and models: each in a process of its own, which a deadline ends."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from codewords_mcp.errors import InvalidInput, StorageFailed, TooBusy
from codewords_mcp.runtime.model.run_query import QueryResult
from codewords_mcp.runtime.store import query_worker
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.query_copy import copy_rows
from codewords_mcp.runtime.store.query_views import VIEWS, describe_views, mentioned
from codewords_mcp.runtime.store.worker_command import WorkerCommand

MAX_SQL: Final = 20_000
"""Characters of a query."""
SECONDS: Final = 5.0
"""Seconds that a query may take."""
GRACE: Final = 1.5
"""Seconds more, within which it ends by itself and says so."""
MAX_BYTES: Final = 512_000
"""Characters of all values in an answer."""
AT_ONCE: Final = 2
"""Queries that run at once; others wait."""
QUEUE_TIMEOUT: Final = 15.0
_WORKER: Final = Path(query_worker.__file__)


class PreparedQuery(NamedTuple):
    """The input of the worker: its request and, where the database is no file, a copy of rows. `cut`: see `QueryResult`."""

    request: dict[str, Any]
    copy: bytes
    cut: tuple[str, ...]


class RunQueries:
    """Runs SELECTs over one owner's rows."""

    def __init__(self, database: Database, command: WorkerCommand, *, seconds: float = SECONDS) -> None:
        self._db = database
        self._command = command
        self._seconds = seconds
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def query(self, owner: str, sql: str, max_rows: int) -> QueryResult:
        """Run one SELECT. Raises InvalidInput with the columns of the views, StorageFailed, TooBusy."""
        if len(sql) > MAX_SQL:
            raise InvalidInput(f"A query has at most {MAX_SQL:,} characters.")
        if "\x00" in sql:
            raise InvalidInput("A query has no NUL characters.")
        try:
            async with asyncio.timeout(QUEUE_TIMEOUT):
                await self._slots.acquire()
        except TimeoutError:
            raise TooBusy(f"{AT_ONCE} queries run already.", retry_after=5) from None
        try:
            return await self._query(owner, sql, max_rows)
        finally:
            self._slots.release()

    async def _query(self, owner: str, sql: str, max_rows: int) -> QueryResult:
        prepared = await self.prepare(owner, sql, max_rows)
        file = prepared.request["file"]
        answer = await self._run(file, json.dumps(prepared.request).encode() + b"\n" + prepared.copy)
        if "failed" in answer:
            raise StorageFailed("The store could not be read for the query.")
        if "error" in answer:
            raise _refusal(answer["error"], self._seconds)
        return QueryResult(
            columns=answer["columns"], rows=answer["rows"], more=answer["more"], cut=list(prepared.cut)
        )

    async def prepare(self, owner: str, sql: str, max_rows: int) -> PreparedQuery:
        """Make the input of the worker."""
        views = mentioned(sql)
        cut: tuple[str, ...] = ()
        copy = b""
        # What was written a moment ago is read, too.
        await self._db.read(lambda _: None)
        if self._db.shared:
            # In a transaction, which a cursor of the server needs.
            copy, cut = await self._db.aside(copy_rows, owner, views, sql)

        request = {
            "file": None if self._db.shared else self._db.engine.url.database,
            "views": {view.name: view.statement(owner) for view in views},
            "sql": sql,
            "max_rows": max_rows,
            "max_bytes": MAX_BYTES,
            "seconds": self._seconds,
        }
        return PreparedQuery(request, copy, cut)

    async def _run(self, file: str | None, request: bytes) -> dict[str, Any]:
        """Run the worker. `error` of its answer is the query's fault, `failed` the store's."""
        # A file: a pipe can't be written to where the process has ended before.
        with tempfile.TemporaryFile() as stdin:
            await asyncio.to_thread(stdin.write, request)
            stdin.seek(0)
            # Hostile SQL runs there, so it gets no environment, and reaches the database only. Readers write to its index, too.
            own = [Path(f"{file}-shm")] if file else []
            read = [Path(f"{file}{side}") for side in ("", "-wal")] if file else []
            process = await asyncio.create_subprocess_exec(
                *self._command(_WORKER, own, read), stdin=stdin, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL, env={}, cwd="/", start_new_session=True,
            )  # fmt: skip
        try:
            async with asyncio.timeout(self._seconds + GRACE):
                out, _ = await process.communicate()
        except TimeoutError:
            return {"error": "interrupted"}
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            return {"error": "out of memory"}
        return cast("dict[str, Any]", json.loads(out))


_OWN_TABLES = (
    "Tables that a workflow made are read by the service `database`, path `query`, with the input "
    '{"workflow": "ID", "sql": "SELECT …"}.'
)


def _refusal(reason: str, seconds: float) -> InvalidInput:
    if reason == "interrupted":
        return InvalidInput(
            f"The query was ended after {seconds:g} s.",
            hint="Narrow it: WHERE created_at > datetime('now', '-7 days').",
        )
    if "out of memory" in reason or "too big" in reason:
        return InvalidInput("The query needs too much memory.", hint="Narrow it, or sum up.")
    if "not authorized" in reason or "prohibited" in reason:
        names = ", ".join(view.name for view in VIEWS)
        return InvalidInput(
            f"A query reads the views {names}, with SQLite's plain functions, and nothing else.",
            hint=describe_views(),
        )
    hint = describe_views()
    if "no such table" in reason:
        hint = f"{_OWN_TABLES} {hint}"
    return InvalidInput(f"The query was not run: {reason.rstrip('.')}.", hint=hint)
