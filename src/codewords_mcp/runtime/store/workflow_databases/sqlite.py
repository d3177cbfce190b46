"""Databases of workflows as SQLite files in the home. Processes of their own run the statements."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.store import local_file
from codewords_mcp.runtime.store.worker_command import WorkerCommand
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

FOLDER: Final = "databases"
SUFFIX: Final = ".db"
MAX_PROCESSES: Final = 4
_WORKER = Path(__file__).with_name("sqlite_worker.py")
_TABLES = SqlStatement(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    " AND name <> ? ORDER BY name",
    [base.MIGRATIONS],
)
_MAX_TABLES: Final = 90


class SqliteDatabases(WorkflowDatabases):
    """Files below `home/databases`, readable by their owner only."""

    def __init__(
        self,
        home: Path,
        command: WorkerCommand,
        *,
        timeout: float = base.TIMEOUT,
        file_bytes: int = base.MAX_DATABASE,
    ) -> None:
        self._folder = home / FOLDER
        self._command = command
        self._timeout = timeout
        self._limits = {
            "rows": base.MAX_ROWS, "bytes": base.MAX_ANSWER, "value": base.MAX_VALUE, "sql": base.MAX_SQL, "file": file_bytes,
        }  # fmt: skip
        self._threads = ThreadPoolExecutor(MAX_PROCESSES, thread_name_prefix="workflow-sql")
        self._local = threading.local()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._readers = CallSlots()
        self._writers = CallSlots(1)

    @override
    async def run(self, key: DatabaseKey, call: SqlCall, *, read_only: bool = False) -> CallResult:
        if not read_only and _may_only_read(call):
            try:
                # Reads go on beside each other and a write.
                return await self._read(key, call)
            except base.WritesRefused:
                pass
        if read_only:
            return await self._read(key, call)
        async with self._writers.of(key):
            return await self._call(key, call, read_only=False)

    async def _read(self, key: DatabaseKey, call: SqlCall) -> CallResult:
        async with self._readers.of(key):
            return await self._call(key, call, read_only=True)

    async def _call(self, key: DatabaseKey, call: SqlCall, *, read_only: bool) -> CallResult:
        path = self._path(key)
        line = json.dumps(
            {
                "path": str(path),
                "read_only": read_only,
                "statements": [asdict(statement) for statement in call.statements],
                "migrations": call.migrations,
                "limits": self._limits,
                "timeout": self._timeout,
            }
        )
        if not read_only:
            self._make(path)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._exchange, line)
        if "failed" in found:
            raise error_of(found["failed"], found["message"], found["place"])
        return CallResult(
            [StatementResult(**result) for result in found["results"]], found["migrated"], found["version"]
        )

    def _make(self, path: Path) -> None:
        """Make the file with its permissions. Raises StorageFailed."""
        try:
            self._folder.mkdir(mode=local_file.PRIVATE_FOLDER, exist_ok=True)
            local_file.prepare(path)
        except OSError as error:
            raise error_of("damaged", "") from error

    def _exchange(self, line: str) -> dict[str, Any]:
        """Send a call to this thread's process and wait for its answer. Blocking."""
        for _ in range(2):
            process = self._process()
            try:
                assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018  # they are pipes
                process.stdin.write(line.encode() + b"\n")
                process.stdin.flush()
                reply = process.stdout.readline()
            except OSError:
                reply = b""
            if reply:
                return json.loads(reply)

            self._local.process = None
            # It ended by itself before it read the call, since it had nothing to do.
            if self._end(process) == 0:
                continue
            # The alarm, or memory that no error could tell of.
            kind = "timeout" if process.returncode == -14 else "memory"  # SIGALRM
            return {"failed": kind, "message": "", "place": None}

        return {"failed": "busy", "message": "", "place": None}

    def _process(self) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes] | None = getattr(self._local, "process", None)
        if process is not None and process.poll() is not None:
            self._end(process)
            process = None
        if process is None:
            # What the process may open is settled at its start: the folder has to be there.
            self._folder.mkdir(mode=local_file.PRIVATE_FOLDER, exist_ok=True)
            # Without its own environment, and without what the runtime has imported.
            process = subprocess.Popen(
                self._command(_WORKER, [self._folder]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"SQLITE_TMPDIR": str(self._folder)},
                cwd="/",
            )
            self._local.process = process
            self._processes.add(process)
        return process

    @override
    async def tables(self, key: DatabaseKey) -> tuple[list[TableShape], int]:
        listed = await self.run(key, SqlCall((_TABLES,)), read_only=True)
        names = [str(row[0]) for row in listed.results[0].rows][:_MAX_TABLES]
        shapes: list[TableShape] = []
        for name in names:
            quoted = name.replace('"', '""')
            call = SqlCall(
                (
                    SqlStatement("SELECT name, type FROM pragma_table_info(?)", [name]),
                    SqlStatement(f'SELECT count(*) FROM "{quoted}"'),  # noqa: S608  # quoted
                )
            )
            try:
                columns, count = (await self.run(key, call, read_only=True)).results
            except CodewordsError:
                # A virtual table may be broken; the others are still shown.
                continue
            shapes.append(
                TableShape(name, [" ".join(filter(None, row)) for row in columns.rows], count.rows[0][0])
            )

        return shapes, await asyncio.to_thread(self._size, self._path(key))

    def _path(self, key: DatabaseKey) -> Path:
        return self._folder / f"{key.name}{SUFFIX}"

    def _size(self, path: Path) -> int:
        return sum(part.stat().st_size for part in (path, Path(f"{path}-wal")) if part.exists())

    @override
    async def bytes_of(self, owner: str) -> int:
        # By their names: no list of workflows has those that others run as public ones.
        found = self._folder.glob(f"*_{base.owner_name(owner)}{SUFFIX}")
        return await asyncio.to_thread(lambda: sum(map(self._size, found)))

    @override
    async def exists(self, key: DatabaseKey) -> bool:
        return await asyncio.to_thread(self._path(key).exists)

    def _files(self, workflow: str) -> list[Path]:
        return sorted(self._folder.glob(f"{base.workflow_name(workflow)}_*{SUFFIX}"))

    @override
    async def delete(self, workflow: str) -> None:
        await asyncio.to_thread(self._delete, workflow)

    def _delete(self, workflow: str) -> None:
        for path in self._files(workflow):
            for side in ("", *local_file.SIDE_FILES):
                Path(f"{path}{side}").unlink(missing_ok=True)

    @override
    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._end_processes)

    def _end_processes(self) -> None:
        for process in list(self._processes):
            process.kill()
            self._end(process)

    def _end(self, process: subprocess.Popen[bytes]) -> int:
        """Its exit code, and nothing of it is left. Blocking."""
        self._processes.discard(process)
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                # What it never read is still in the buffer.
                with suppress(OSError):
                    pipe.close()
        return code

    @override
    async def count(self, workflow: str) -> int:
        return len(await asyncio.to_thread(self._files, workflow))


def _may_only_read(call: SqlCall) -> bool:
    """Whether a call looks as if it reads; the engine has the last word."""
    words = (statement.sql.lstrip("( \t\r\n").split(None, 1) for statement in call.statements)
    return all(word and word[0].upper() in {"SELECT", "WITH", "VALUES", "EXPLAIN"} for word in words)
