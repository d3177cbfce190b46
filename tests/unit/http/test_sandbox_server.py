"""Connections of sandboxes to the internal listener, on asyncio's own loop."""

from __future__ import annotations

import asyncio
import socket

import pytest
from starlette.types import Receive, Scope, Send

from codewords_mcp.http.internal_listener import SandboxServer

LARGE = b"x" * (8 << 20)
"""More than a socket takes at once, so that the connection closes only once it was read."""


async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer with more than fits, and end the connection."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": LARGE})


@pytest.mark.requirement("http:sandboxes")
def test_a_connection_that_closes_after_its_last_byte_ends_without_an_error() -> None:
    async def exchange() -> tuple[int, object]:
        inside, outside = socket.socketpair()
        server = SandboxServer(answer)
        serving = asyncio.create_task(server.serve("sandbox", outside))
        reader, writer = await asyncio.open_connection(sock=inside)
        writer.write(b"GET / HTTP/1.1\r\nhost: codewords\r\n\r\n")
        received = await reader.read(-1)
        server.close_connections("sandbox")
        await asyncio.wait({serving})
        server.close_connections("sandbox")
        writer.close()
        return len(received.partition(b"\r\n\r\n")[2]), serving.exception()

    # Not the loop of the tests, which may be another.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        size, error = runner.run(exchange())
    assert error is None
    assert size >= len(LARGE)
