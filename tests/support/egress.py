"""A sandbox's sockets on loopback, served by the real egress; servers to reach; and waiting."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from codewords_mcp.runtime.egress import Egress, EgressPolicy, SandboxNetwork
from codewords_mcp.runtime.egress.relay import relay, reset
from codewords_mcp.runtime.egress.sandbox_network import RuntimeTls, ServeRuntime
from codewords_mcp.runtime.sandboxes.base import SandboxSockets
from codewords_mcp.runtime.web.dial import connect


def listening() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(64)
    return sock


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def relayed_to(host: str, port: int) -> ServeRuntime:
    """A runtime that is a TCP server elsewhere, in place of the internal listener."""

    async def serve(_sandbox_id: str, client: socket.socket, _tls: RuntimeTls | None) -> None:
        try:
            upstream = await connect(host, port)
        except OSError:
            reset(client)
            return
        await relay(client, upstream)

    return serve


@dataclass
class Stage:
    """An attached sandbox, seen from its inside: the ports that it would know."""

    egress: Egress
    handle: SandboxNetwork
    runtime: int
    connect: int
    transparent: int
    dns: int

    async def open(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", port)

    async def is_reset(self, port: int) -> bool:
        """Whether a connection is reset, be it while it is made or after."""
        try:
            reader, writer = await self.open(port)
            try:
                await reader.read()
            finally:
                writer.close()
        except ConnectionResetError:
            return True
        return False

    async def through_proxy(self, request: bytes) -> bytes:
        """What the proxy listener sends for a request, until it closes."""
        reader, writer = await self.open(self.connect)
        writer.write(request)
        async with asyncio.timeout(120):
            answer = await reader.read()
        writer.close()
        return answer


class Attach(Protocol):
    """`async with attach(EgressPolicy(), …) as stage`."""

    def __call__(
        self, policy: EgressPolicy | None = None, *, runtime: int | None = None, **options: Any
    ) -> AbstractAsyncContextManager[Stage]: ...


@asynccontextmanager
async def attached(
    policy: EgressPolicy | None = None, *, runtime: int | None = None, **options: Any
) -> AsyncGenerator[Stage]:
    port = runtime or closed_port()
    egress = Egress(policy or EgressPolicy(), relayed_to("127.0.0.1", port), **options)
    dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    dns.bind(("127.0.0.1", 0))
    sockets = SandboxSockets(listening(), listening(), listening(), dns)
    ports = [
        sock.getsockname()[1] for sock in (sockets.runtime, sockets.connect, sockets.transparent, dns) if sock
    ]
    try:
        yield Stage(egress, await egress.attach("sandbox-1", sockets), *ports)
    finally:
        await egress.close()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncGenerator[int]:
    """A real TCP server on loopback; its port."""

    handling: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handling.add(task)
        task.add_done_callback(handling.discard)
        try:
            await serve(reader, writer)
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in list(handling):  # a connection that a test left open
            task.cancel()
        if handling:
            await asyncio.wait(handling)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends back what comes, and ends when the client has ended."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


def served_connections() -> int:
    """Connections that egress holds now, in this loop."""
    return sum("Listener._run" in repr(task.get_coro()) for task in asyncio.all_tasks())
