"""Carries connections from a sandbox's Unix socket to a loopback port, for servers that bind one themselves."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any, Final

_CHUNK: Final = 64 << 10


def _always() -> bool:
    return True


class PortForwarder:
    """Does nothing until `start`; then every connection to `listener` goes to the address given.

    `trusted` is asked for each connection, once it stands and before anything is sent: whether the port is
    the program's.
    """

    def __init__(self, listener: socket.socket, trusted: Callable[[], bool] = _always) -> None:
        self._listener = listener
        self._trusted = trusted
        self._address: tuple[str, int] | None = None
        self._server: asyncio.Server | None = None
        self._starting: asyncio.Task[None] | None = None
        self._connections: set[asyncio.Task[Any]] = set()

    def start(self, host: str, port: int) -> None:
        """Carry to this address, from now on."""
        # Not before a port is known: until then connections wait in the listener's queue.
        if self._address is None:
            self._starting = asyncio.ensure_future(self._serve())
        self._address = (host, port)

    async def finish(self, seconds: float) -> None:
        """Take no more connections, and wait for those that are open: what a program sent last is on its way."""
        if self._server is not None:
            self._server.close()
        if self._connections:
            await asyncio.wait(self._connections, timeout=seconds)

    def close(self) -> None:
        """Hang up everywhere."""
        if self._server is not None:
            self._server.close()
        for task in (*self._connections, *([self._starting] if self._starting else [])):
            task.cancel()

    async def _serve(self) -> None:
        self._server = await asyncio.start_unix_server(self._carry, sock=self._listener)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._address is not None  # noqa: S101  # set by `start`
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

        try:
            inner_reader, inner_writer = await asyncio.open_connection(*self._address)
        except OSError:
            # As where nobody listens.
            await _close(writer)
            return
        if not self._trusted():
            await _close(inner_writer)
            await _close(writer)
            return

        request = asyncio.create_task(_pour(reader, inner_writer))
        try:
            with contextlib.suppress(OSError):
                await _pour(inner_reader, writer)
            await _close(writer)
        finally:
            # The program has ended the connection: nobody hears what is still said.
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
            for end in (writer, inner_writer):
                _abort(end)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _abort(writer: asyncio.StreamWriter) -> None:
    # asyncio breaks when a transport is aborted that was closed with bytes left and has sent them.
    # uvloop has no socket of a transport that is closed.
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        writer.transport.abort()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()
