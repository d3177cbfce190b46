"""Relays bytes between two sockets, in both directions."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

HALF_CLOSED_IDLE = 120.0
"""Seconds that a half-closed connection may stay silent.

A vanished peer looks the same as one that has only finished sending. Without this limit it could
hold its connection for the sandbox's lifetime.
"""

DELIVERY: Final = 2.0
"""Seconds that the end of a cancelled connection may wait for the other side to acknowledge what the sandbox sent."""

Check = Callable[[bytes], bool | None]
Filter = Callable[[bytes], bytes]
"""Bytes of one side, as they are for the other; called with none at the end. Raises OSError to end both."""
_CHUNK = 64 << 10
_RESET = struct.pack("ii", 1, 0)


def reset(sock: socket.socket) -> None:
    """Close with a TCP reset, so that the peer sees a failure and not an end."""
    # The socket may be closed already.
    with contextlib.suppress(OSError):
        # Linger of 0 seconds: close sends RST instead of FIN.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()


@dataclass(slots=True)
class Traffic:
    """Bytes from the other side (`received`) and from the sandbox (`sent`); counted in `total` too."""

    received: int = 0
    sent: int = 0
    total: Traffic | None = None

    def count_sent(self, count: int) -> None:
        """Count bytes from the sandbox."""
        self.sent += count
        if self.total is not None:
            self.total.count_sent(count)

    def count_received(self, count: int) -> None:
        """Count bytes for the sandbox."""
        self.received += count
        if self.total is not None:
            self.total.count_received(count)


async def relay(
    client: socket.socket,
    upstream: socket.socket,
    *,
    to_client: bytes = b"",
    to_upstream: bytes = b"",
    traffic: Traffic | None = None,
    check: Check | None = None,
    filters: tuple[Filter, Filter] | None = None,
) -> None:
    """Relay bytes until both directions have ended; owns and closes both non-blocking sockets.

    Each direction buffers at most one chunk of 64 KiB, and stops reading while its target is full.
    An end of one side is passed on alone; a failure, or cancelling this call, resets both sides: the latter once the other side
    has what the client sent, or after `DELIVERY`.
    `traffic` counts as it goes. `check` judges each chunk from the client: False resets both sides,
    None ends the check. `filters` change what the client, and what the other side sends.
    """
    traffic = traffic or Traffic()
    # Sent before the relay counts by itself.
    traffic.count_sent(len(to_upstream))
    pair = _SocketPair(client, upstream, traffic, check, filters or (None, None))

    try:
        pair.start(to_client, to_upstream)
        await pair.done
    except asyncio.CancelledError:
        # A sandbox that has ended: a reset would take back what it sent last.
        await pair.deliver()
        raise
    finally:
        pair.close()


class _SocketPair:
    def __init__(
        self,
        client: socket.socket,
        upstream: socket.socket,
        traffic: Traffic,
        check: Check | None,
        filters: tuple[Filter | None, Filter | None],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self.loop.create_future()
        self.moved = False
        self._over = False
        self._sockets = (client, upstream)
        self._flows = (
            _Flow(self, client, upstream, traffic.count_sent, check, filters[0]),
            _Flow(self, upstream, client, traffic.count_received, None, filters[1]),
        )
        self._ended_well = False
        self._timer: asyncio.TimerHandle | None = None

    def start(self, to_client: bytes, to_upstream: bytes) -> None:
        for flow, first in zip(self._flows, (to_upstream, to_client), strict=True):
            flow.start(first)

    def ended(self) -> None:
        """Note that one direction has ended and was passed on."""
        # One direction ended: the other may go on, as long as something moves.
        if all(flow.ended for flow in self._flows):
            self._ended_well = True
            self.finish()
        else:
            self._watch()

    def finish(self) -> None:
        self._over = True
        if not self.done.done():
            self.done.set_result(None)

    async def deliver(self) -> None:
        """Go on until the other side has what the client sent."""
        end, pause = self.loop.time() + DELIVERY, 0.001
        while not self._over and self._flows[0].is_undelivered() and self.loop.time() < end:
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.05)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for sock in self._sockets:
            if sock.fileno() >= 0:
                self.loop.remove_reader(sock.fileno())
                self.loop.remove_writer(sock.fileno())
            # Only an end on both sides is passed on as one; anything else must look like a failure.
            sock.close() if self._ended_well else reset(sock)

    def _watch(self) -> None:
        self.moved = False
        self._timer = self.loop.call_later(HALF_CLOSED_IDLE, self._check)

    def _check(self) -> None:
        self._watch() if self.moved else self.finish()


class _Flow:
    """One direction of a pair."""

    __slots__ = ("_check", "_count", "_filter", "_pair", "_pending", "_source", "_target", "ended")

    def __init__(
        self,
        pair: _SocketPair,
        source: socket.socket,
        target: socket.socket,
        count: Callable[[int], None],
        check: Check | None,
        change: Filter | None,
    ) -> None:
        self._count = count
        self._pair = pair
        self._check = check
        self._filter = change
        self._source = source
        self._target = target
        self._pending = memoryview(b"")
        self.ended = False

    def start(self, first: bytes) -> None:
        self._pair.loop.add_reader(self._source.fileno(), self._guarded, self._read)
        if first:
            self._guarded(partial(self._write, memoryview(first)))

    def is_undelivered(self) -> bool:
        """Whether the source has sent what the target has not acknowledged."""
        return (
            bool(self._pending)
            or _waiting(self._source, termios.FIONREAD)
            or _waiting(self._target, termios.TIOCOUTQ)
        )

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except (BlockingIOError, InterruptedError):
            # Not ready after all: the loop calls again.
            pass
        except OSError:
            self._pair.finish()

    def _read(self) -> None:
        data = self._source.recv(_CHUNK)
        self._count(len(data))
        self._pair.moved = True
        if self._filter is not None:
            changed = self._filter(data)
        else:
            changed = data
        if not data:
            self._pair.loop.remove_reader(self._source.fileno())
            self._end()
            return

        # A filter may keep back what is no whole record yet.
        if changed:
            self._write(memoryview(changed))

    def _end(self) -> None:
        self.ended = True
        # The other direction stays open.
        self._target.shutdown(socket.SHUT_WR)
        self._pair.ended()

    def _write(self, data: memoryview) -> None:
        if self._check is not None:
            # Before anything is sent: what was passed on cannot be taken back.
            verdict = self._check(bytes(data))
            if verdict is None:
                self._check = None
            elif not verdict:
                raise ConnectionAbortedError

        try:
            sent = self._target.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0

        # At most one chunk waits: the source is not read until it is gone.
        if sent < len(data):
            self._pending = data[sent:]
            self._pair.loop.remove_reader(self._source.fileno())
            self._pair.loop.add_writer(self._target.fileno(), self._guarded, self._write_on)

    def _write_on(self) -> None:
        self._pending = self._pending[self._target.send(self._pending) :]
        self._pair.moved = True
        if not self._pending:
            self._pair.loop.remove_writer(self._target.fileno())
            self._pair.loop.add_reader(self._source.fileno(), self._guarded, self._read)


def _waiting(sock: socket.socket, queue: int) -> bool:
    """Whether bytes are in one of the kernel's queues of a socket."""
    with contextlib.suppress(OSError):
        return fcntl.ioctl(sock, queue, bytes(4)) != bytes(4)
    return False
