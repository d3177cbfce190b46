"""Long work behind one request: plain JSON at its end, or progress as lines while it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from codewords_mcp.http.middleware.client_connection import ClientConnection
from codewords_mcp.http.middleware.errors import outcome
from codewords_mcp.http.responses import HEARTBEAT, NDJSON, JsonReply, LineStream, line
from codewords_mcp.http.state import app_state
from codewords_mcp.runtime.model.progress import Progress, no_progress

T = TypeVar("T")
Work = Callable[[Progress], Awaitable[Any]]


async def answer(request: Request, work: Work) -> Response:
    """Do the work and answer with its result. A client that hangs up ends the work.

    With `Accept: application/x-ndjson`: `{"progress": {done, total, message}}` lines, then `{"result"}` or
    `{"error", "detail", "status"}`.
    """
    if NDJSON in request.headers.get("accept", ""):
        return LineStream(_lines(work, request.scope), NDJSON)
    return JsonReply(await watched(request, work(no_progress)))


async def watched(request: Request, work: Awaitable[T]) -> T:
    """Await the work, but no longer than the client waits for it. The body has been read. Raises ClientGoneError."""
    limit = app_state(request.scope).settings.max_body
    # Nobody else reads `receive` while the work goes on, so nobody would notice a hang-up.
    async with ClientConnection(request.receive, [], limit=limit):
        return await work


async def _lines(work: Work, scope: Scope) -> AsyncIterator[bytes]:
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def progress(done: float, total: float, message: str) -> None:
        lines.put_nowait(line({"progress": {"done": done, "total": total, "message": message}}))

    async def do() -> None:
        try:
            lines.put_nowait(line(await outcome(work(progress), scope)))
        finally:
            lines.put_nowait(None)

    task = asyncio.create_task(do())

    try:
        async for item in _with_heartbeat(lines):
            yield item
    finally:
        task.cancel()
        # The work must have ended before the response does: it may hold a slot or a draft.
        await asyncio.wait({task})


async def _with_heartbeat(lines: asyncio.Queue[bytes | None]) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(HEARTBEAT):
                item = await lines.get()
        except TimeoutError:
            yield b"\n"
            continue
        if item is None:
            return
        yield item
