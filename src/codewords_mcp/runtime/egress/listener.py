"""Accepts connections on a listening socket, up to a limit of concurrent ones."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from codewords_mcp.runtime.egress.relay import reset
from codewords_mcp.runtime.web.dial import prepare

log = structlog.get_logger(__name__)

_BURST = 32
_PAUSE = 0.2
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def _close_connection(connection: socket.socket, _: object) -> None:
    connection.close()


class ConnectionListener:
    """Runs `serve(connection)` in a task for each connection until `close`; owns the listening
    socket.

    `serve` owns its connection. Beyond `limit` concurrent connections, a further one is passed to
    `overflow` and reset. Without free file descriptors, accepting pauses.
    """

    def __init__(
        self,
        sock: socket.socket,
        serve: Callable[[socket.socket], Awaitable[None]],
        *,
        limit: int,
        overflow: Callable[[socket.socket], None],
    ) -> None:
        self._sock = sock
        self._serve = serve
        self._limit = limit
        self._overflow = overflow
        self._tasks: set[asyncio.Task[None]] = set()
        self._resume: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self._readable)

    async def close(self) -> None:
        """Stop listening and end every connection. Idempotent."""
        if self._resume is not None:
            self._resume.cancel()
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _readable(self) -> None:
        # Bounded, so that one sandbox's connections do not hold the event loop.
        for _ in range(_BURST):
            try:
                connection, _ = self._sock.accept()
            except OSError as error:
                # The connection stays in the kernel's queue; accepting again at once would spin.
                if error.errno in _EXHAUSTED:
                    self._pause()
                if error.errno != errno.ECONNABORTED:
                    return
            else:
                self._accepted(connection)

    def _pause(self) -> None:
        log.warning("egress accept paused: out of file descriptors", retry_in=_PAUSE)
        self._loop.remove_reader(self._sock.fileno())
        # The file descriptor is still readable: a timer asks again.
        self._resume = self._loop.call_later(
            _PAUSE, self._loop.add_reader, self._sock.fileno(), self._readable
        )

    def _accepted(self, connection: socket.socket) -> None:
        if len(self._tasks) >= self._limit:
            self._overflow(connection)
            reset(connection)
            return
        connection.setblocking(False)
        task = self._loop.create_task(self._run(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task that is cancelled before its first step never runs, and would not close its connection.
        task.add_done_callback(partial(_close_connection, connection))

    async def _run(self, connection: socket.socket) -> None:
        try:
            prepare(connection)
            await self._serve(connection)
        except OSError:
            # A peer that hung up.
            pass
        except Exception:
            # One connection's failure must not end others.
            log.exception("egress connection failed")
