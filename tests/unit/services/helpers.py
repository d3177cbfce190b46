"""A server on loopback that answers as a test wants, and the guarded client that may reach it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from codewords_mcp.runtime.model.egress_policy import EgressPolicy
from codewords_mcp.runtime.web.client import Web

Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def origin(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncGenerator[int]:
    """A server on loopback that answers each request with what `answer(head, writer)` writes; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer((await reader.readuntil(b"\r\n\r\n")).decode(), writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def reply(body: bytes = b"", status: str = "200 OK", **headers: str) -> Answer:
    async def answer(_: str, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()

    return answer


@asynccontextmanager
async def web(
    *allowed: int, resolve: Callable[[str, int], Sequence[str]] | None = None
) -> AsyncGenerator[Web]:
    policy = EgressPolicy(allow_private=frozenset(f"127.0.0.1:{port}" for port in allowed))
    client = Web(policy, resolve=resolve) if resolve else Web(policy)
    try:
        yield client
    finally:
        await client.close()
