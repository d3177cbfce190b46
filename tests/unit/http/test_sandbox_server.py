"""Connections of sandboxes to the internal listener, on asyncio's own loop."""

from __future__ import annotations

import asyncio
import socket
import ssl
from functools import partial
from typing import Any

import pytest
import uvloop
from starlette.types import Receive, Scope, Send

from codewords_mcp.http.internal_listener import SandboxServer
from codewords_mcp.runtime.egress.intercept.authority import CertificateAuthority

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


async def greet(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": _scope["scheme"].encode()})


@pytest.mark.requirement("http:sandbox-tls")
@pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, uvloop.new_event_loop])
def test_a_client_that_begins_with_tls_gets_it_and_one_that_is_silent_is_let_go(loop: Any) -> None:
    authority = CertificateAuthority({"api.example.com"})

    async def exchange() -> tuple[list[bytes], bytes]:
        server = SandboxServer(greet)
        made = partial(authority.context, "127.0.0.1", "http/1.1")
        trusting = ssl.create_default_context(cadata=authority.pem)
        answers: list[bytes] = []
        for context in (None, trusting):
            inside, outside = socket.socketpair()
            outside.setblocking(False)
            serving = asyncio.create_task(server.serve("sandbox", outside, made))
            reader, writer = await asyncio.open_connection(
                sock=inside, ssl=context, server_hostname="127.0.0.1" if context else None
            )
            writer.write(b"GET / HTTP/1.1\r\nhost: codewords\r\n\r\n")
            answers.append((await reader.read(-1)).partition(b"\r\n\r\n")[2])
            writer.close()
            await serving

        inside, outside = socket.socketpair()
        outside.setblocking(False)
        serving = asyncio.create_task(server.serve("sandbox", outside, made))
        reader, writer = await asyncio.open_connection(sock=inside)
        await asyncio.sleep(0)
        server.close_connections("sandbox")
        await serving
        rest = await reader.read(-1)
        writer.close()
        return answers, rest

    with asyncio.Runner(loop_factory=loop) as runner:
        answers, rest = runner.run(exchange())
    assert [b"https" in answer for answer in answers] == [False, True]
    assert rest == b""
