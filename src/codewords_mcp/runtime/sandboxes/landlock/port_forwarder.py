"""Carries connections from a sandbox's Unix socket to a loopback port, for servers that bind one themselves."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any, Final

_CHUNK: Final = 64 << 10


class PortForwarder:
    """Does nothing until `start`; then every connection to `listener` goes to the address given."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._address: tuple[str, int] | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, host: str, port: int) -> None:
        """Carry to this address, from now on."""
        # Not before a port is known: until then connections wait in the listener's queue.
        if self._address is None:
            self._keep(self._serve())
        self._address = (host, port)

    def close(self) -> None:
        """Hang up everywhere."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()

    async def _serve(self) -> None:
        self._server = await asyncio.start_unix_server(self._carry, sock=self._listener)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._address is not None  # noqa: S101  # set by `start`
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        try:
            inner_reader, inner_writer = await asyncio.open_connection(*self._address)
        except OSError:
            # As where nobody listens.
            writer.close()
            return

        halves = (
            asyncio.ensure_future(_pour(reader, inner_writer)),
            asyncio.ensure_future(_pour(inner_reader, writer)),
        )
        try:
            await asyncio.gather(*halves)
        except (OSError, asyncio.CancelledError):
            for half in halves:
                half.cancel()
        finally:
            for end in (writer, inner_writer):
                end.close()

    def _keep(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()
