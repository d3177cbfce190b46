"""A TLS terminator on loopback, as an operator puts one before a runtime: whole names of hosts pass, plain HTTP goes on."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_MOST_HEAD = 1 << 16


@dataclass
class TlsProxy:
    """`port` is its near end on 127.0.0.1; `far` the port that it forwards to."""

    port: int = 0
    far: int = 0
    tells: bool = True
    """Whether it tells the runtime of the client and of TLS."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on, with one request, or with a websocket."""
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            there = await asyncio.open_connection("127.0.0.1", self.far)
            there[1].write(self._rewritten(head))
            await asyncio.gather(_carry(reader, there[1]), _carry(there[0], writer))
        writer.close()

    def _rewritten(self, head: bytes) -> bytes:
        lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        if not any(line.lower().startswith(b"upgrade:") for line in lines):
            # One request a connection: what follows its head is its body alone.
            lines = [line for line in lines if not line.lower().startswith(b"connection:")]
            lines.append(b"Connection: close")
        if self.tells:
            lines += [b"X-Forwarded-For: 192.0.2.7", b"X-Forwarded-Proto: https"]
        return b"\r\n".join(lines) + b"\r\n\r\n"


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.close()


@contextmanager
def tls_proxy(certificate: tuple[str, str]) -> Generator[TlsProxy]:
    """A terminator that ends with the block; its `far` end is set once the runtime listens."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    proxy = TlsProxy()
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=context, limit=_MOST_HEAD)
    )
    proxy.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
