"""A connection that has had no request for its time is closed; one whose request takes longer is not."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
import uvicorn

from codewords_mcp.http.middleware.protocol import BoundedProtocol

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("http:idle-connections")]
REQUEST = b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def test_idle_connections_are_closed_and_none_with_a_request() -> None:
    other_closed = asyncio.Event()

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            await other_closed.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(
            uvicorn.Config(
                app, http=BoundedProtocol, lifespan="off", log_config=None, loop="none", timeout_keep_alive=1
            )
        )
        serving = asyncio.create_task(server.serve([listening]))
        busy, idle = [await asyncio.open_connection(*listening.getsockname()) for _ in range(2)]
        # The first one's timer runs from its first response, and finds its second request.
        await _ask(busy, b"/")
        busy[1].write(REQUEST % b"/slow")
        await _ask(idle, b"/")
        assert await idle[0].read() == b""
        other_closed.set()
        await busy[0].readuntil(b"ok")
        assert await busy[0].read() == b""

        for _, writer in (busy, idle):
            writer.close()
        server.should_exit = True
        await serving


async def _ask(streams: Streams, path: bytes) -> None:
    reader, writer = streams
    writer.write(REQUEST % path)
    await reader.readuntil(b"ok")
