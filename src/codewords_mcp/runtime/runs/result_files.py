"""Binary answers, and text that is longer than a record keeps, become files of the run's owner: collected as they pass, stored
after the run is settled.
"""

from __future__ import annotations

import asyncio
import json
import mimetypes
import re
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Final, cast

import structlog

from codewords_mcp.errors import CodewordsError, NotFound, Unauthenticated
from codewords_mcp.runtime.model.media_types import is_type_of_text
from codewords_mcp.runtime.model.run import FINISHED, ResponseFile, Run, RunRequest
from codewords_mcp.runtime.model.run_columns import ResponseFileEntry, RunColumns
from codewords_mcp.runtime.runs.request_headers import Headers, value_of
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.clock import now, to_datetime
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.files import FileStore, is_plain_name

log = structlog.get_logger(__name__)
IN_MEMORY = 1 << 20
"""Bytes of one answer that are held in memory; more goes to a file without a name, in the home."""
WRITE_TIMEOUT = 5.0
"""Seconds that an answer on its way is held back for a disk that does not write."""
MAX_CONCURRENT = 4
MAX_WAITING = 64
"""Answers that are being stored, or wait for it."""
STORE_TIMEOUT = 600.0
"""Seconds after a run's end within which another process may still be storing its answer."""
_CHUNK = 1 << 18
_FILES: Final = "files"
"""The library service whose answers hold links."""
_BINARY = "application/octet-stream"
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,80}")
_NAMED = re.compile(r'filename="?([^";]{1,200})')


def media_type(headers: Headers) -> str:
    """The answer's media type without its parameters; empty where it names none."""
    return _media_type(value_of(headers, b"content-type") or "")


@lru_cache(maxsize=256)
def _media_type(content_type: str) -> str:
    kind = content_type.partition(";")[0].strip().lower()
    if _MEDIA_TYPE.fullmatch(kind):
        return kind
    return ""


class CollectedResponse:
    """The bytes of one answer. `problem` describes a spool that failed, or a response beyond `limit`."""

    def __init__(self, kind: str, filename: str, *, limit: int, folder: Path) -> None:
        self.kind = kind
        self.filename = filename
        self.size = 0
        self.problem: str | None = None
        self._limit = limit
        self._folder = folder
        self._data = bytearray()
        self._spool: IO[bytes] | None = None

    async def add(self, chunk: bytes) -> None:
        """Keep a chunk. Raises nothing but cancellation."""
        self.size += len(chunk)
        if self.problem is None and self.size > self._limit:
            self.give_up("too_large")
        if self.problem is not None:
            return

        self._data += chunk
        if len(self._data) > IN_MEMORY:
            data, self._data = bytes(self._data), bytearray()
            try:
                async with asyncio.timeout(WRITE_TIMEOUT):
                    await asyncio.to_thread(self._write, data)
            # The caller gets the answer all the same: what fails is its copy for later.
            except (OSError, TimeoutError, ValueError) as error:
                log.warning("a binary answer is not kept", reason=type(error).__name__)
                self.give_up("store_failed")

    def _write(self, data: bytes) -> None:
        if self._spool is None:
            self._spool = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  # closed by `give_up` or `close`
        self._spool.write(data)

    def give_up(self, problem: str) -> None:
        """Keep nothing of it."""
        self.problem = problem
        self.close()

    def close(self) -> None:
        """Let go of the bytes."""
        self._data = bytearray()
        if self._spool is not None:
            spool, self._spool = self._spool, None
            # Closing a file without a name frees its blocks, which a slow disk may take long for.
            asyncio.get_running_loop().run_in_executor(None, spool.close)

    async def chunks(self) -> AsyncIterator[bytes]:
        """All of it, once."""
        if (spool := self._spool) is not None:
            await asyncio.to_thread(spool.seek, 0)
            while data := await asyncio.to_thread(spool.read, _CHUNK):
                yield data
        # The memory has what came after the last write to the spool.
        for start in range(0, len(self._data), _CHUNK):
            yield bytes(self._data[start : start + _CHUNK])


class ResponseFiles:
    """Stores binary answers in the background. No run waits for it, and none fails by it."""

    def __init__(self, database: Database, files: FileStore, *, limit: int, folder: Path) -> None:
        self._db = database
        self._files = files
        self._limit = limit
        self._folder = folder
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)
        self._storing: dict[str, asyncio.Task[None]] = {}

    def collect(self, run_id: str, headers: Headers) -> CollectedResponse | None:
        """A collector for a response whose media type is not text; None for text."""
        kind = media_type(headers)
        if not kind or is_type_of_text(kind):
            return None
        return self._collected(run_id, kind, headers)

    async def collect_long(self, run_id: str, headers: Headers, beginning: bytes) -> CollectedResponse:
        """A collector for text of which the record has place for the beginning only."""
        collected = self._collected(run_id, media_type(headers) or "text/plain", headers)
        await collected.add(beginning)
        return collected

    def _collected(self, run_id: str, kind: str, headers: Headers) -> CollectedResponse:
        named = _NAMED.search(value_of(headers, b"content-disposition") or "")
        name = named[1].strip() if named else ""
        if not is_plain_name(name):
            name = f"answer-{run_id[:8]}{mimetypes.guess_extension(kind) or '.bin'}"
        return CollectedResponse(kind, name, limit=self._limit, folder=self._folder)

    async def store(
        self,
        run_id: str,
        request: RunRequest,
        headers: Headers,
        collected: CollectedResponse | None,
        whole: bytes | None,
    ) -> RunColumns:
        """The record's column of the answer's file, which is stored from now on; none where the answer is text. `whole`:
        an answer of a type of text, or of none, where all of it is known.
        """
        if collected is None:
            if not whole or _is_text(whole):
                return {}

            kind = media_type(headers)
            collected = self._collected(
                run_id, _BINARY if not kind or is_type_of_text(kind) else kind, headers
            )
            await collected.add(whole)

        if collected.size == 0:
            return {}

        # The record names the file before it is stored, since settling a run waits for no store.
        file_id = secrets.token_hex(16)
        # What waits holds a file, or a megabyte of memory.
        if collected.problem is None and len(self._storing) >= MAX_WAITING:
            collected.give_up("busy")
        column: ResponseFileEntry = {
            "file_id": file_id,
            "filename": collected.filename,
            "content_type": collected.kind,
            "size": collected.size,
            "problem": collected.problem,
        }
        if collected.problem is None:
            storing = asyncio.create_task(self._store(run_id, request, column, collected))
            self._storing[run_id] = storing
            storing.add_done_callback(lambda _: self._storing.pop(run_id, None))

        return {"response_file": column}

    async def _store(
        self, run_id: str, request: RunRequest, column: ResponseFileEntry, collected: CollectedResponse
    ) -> None:
        try:
            async with self._slots:
                await self._files.add(
                    request.caller.owner,
                    column["file_id"],
                    column["filename"],
                    collected.chunks(),
                    content_type=column["content_type"],
                    maker=request.service_id,
                )
        except Exception:
            log.exception("a binary answer is not stored", run_id=run_id)
            lost: RunColumns = {"response_file": {**column, "problem": "store_failed"}}
            with suppress(CodewordsError):
                await self._db.write_with_retries(rows.change, run_id, lost)
        finally:
            collected.close()

    async def with_link(self, run: Run, address: str, *, wait: float) -> Run:
        """The run with the link of its answer's file, which is waited for up to so many seconds; why there is none."""
        file = run.response_file
        if file is None or file.problem is not None or run.status not in FINISHED:
            return run

        storing = self._storing.get(run.id)
        if storing is not None:
            await asyncio.wait({storing}, timeout=wait)
        try:
            row, path = await self._files.owned(run.owner, file.file_id)
        except NotFound:
            recent = run.completed_at is not None and (
                now() - round(run.completed_at.timestamp() * 1e6) < STORE_TIMEOUT * 1e6
            )
            # Storing may have failed after the caller's copy of the record was read.
            current = await self._db.read(rows.get, run.id)
            problem = current and current.response_file and current.response_file.problem

            if problem is None:
                # Another replica may be storing it; after that time it has ended, or died.
                going_on = run.id in self._storing or (self._db.shared and recent and storing is None)
                problem = "storing" if going_on else "gone"

            return run.model_copy(update={"response_file": file.model_copy(update={"problem": problem})})

        linked: ResponseFile = file.model_copy(
            update={"download_uri": address + path, "expires_at": to_datetime(row["expires_at"])}
        )
        return run.model_copy(update={"response_file": linked})

    async def with_stored_file_link(self, run: Run, address: str) -> Run:
        """The run of `files/upload` or `files/link` with a link of its file: that of its answer is on no record."""
        answer: Any = run.response_json
        if run.service_id != _FILES or not run.response_truncated or not isinstance(answer, dict):
            return run
        answer = cast("dict[str, Any]", answer)
        try:
            _, path = await self._files.owned(run.owner, answer.get("file_id", ""))
        except NotFound:
            return run
        linked = answer | {"download_uri": address + path}
        values = {
            "response_json": linked,
            "response_content": json.dumps(linked),
            "response_truncated": False,
        }
        return run.model_copy(update=values)

    async def read(self, run: Run) -> bytes | None:
        """The bytes of a run's answer file; None where it is not stored, or not any more."""
        opened = await self._open(run.response_file)
        if opened is None:
            return None
        return b"".join([chunk async for chunk in opened[1]])

    async def open(self, run: Run, *, wait: float) -> tuple[int, AsyncIterator[bytes]] | None:
        """The size and the bytes of a run's answer file, which is waited for up to so many seconds; None as for `read`."""
        linked = await self.with_link(run, "", wait=wait)
        return await self._open(linked.response_file)

    async def _open(self, file: ResponseFile | None) -> tuple[int, AsyncIterator[bytes]] | None:
        if file is None or file.download_uri is None:
            return None
        try:
            stored = await self._files.find(file.download_uri.rpartition("/")[2])
            return stored.size, await self._files.read(stored, 0, stored.size)
        except (NotFound, Unauthenticated):
            return None

    async def close(self, max_wait: float) -> None:
        """Let what is being stored finish, for so long."""
        storing = set(self._storing.values())
        if storing:
            await asyncio.wait(storing, timeout=max_wait)
        for task in storing:
            task.cancel()
        await asyncio.gather(*storing, return_exceptions=True)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
