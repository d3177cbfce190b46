"""Carries connections from the sandbox's Unix socket to a TCP port inside it, for servers that bind one themselves."""

from __future__ import annotations

import contextlib
import selectors
import socket
from typing import Final

_CHUNK: Final = 64 << 10
_MAX_CONNECTIONS: Final = 512


class _Half:
    """One direction: bytes read from `source` that `target` has not taken yet. At most one chunk: that is backpressure."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self.pending = memoryview(b"")
        self.ended = False
        self.shut = False

    @property
    def done(self) -> bool:
        return self.shut

    def pump(self) -> None:
        """Move what can be moved without waiting. Raises OSError when either side broke."""
        if not self.pending and not self.ended:
            with contextlib.suppress(BlockingIOError):
                data = self.source.recv(_CHUNK)
                self.ended = not data
                self.pending = memoryview(data)

        if self.pending:
            with contextlib.suppress(BlockingIOError):
                self.pending = self.pending[self.target.send(self.pending) :]

        # The end is passed on only after what was read before it is delivered.
        if self.ended and not self.pending and not self.shut:
            self.target.shutdown(socket.SHUT_WR)
            self.shut = True


class _BridgePair:
    """Two sockets and the two directions between them."""

    def __init__(self, bridge: Bridge, left: socket.socket, right: socket.socket) -> None:
        self._bridge = bridge
        self._closed = False
        self._sockets = (left, right)
        self._halves = (_Half(left, right), _Half(right, left))
        self.watch()

    def watch(self) -> None:
        """Wait for just what can make progress; else a full buffer would spin."""
        for side, out, into in (
            (self._sockets[0], self._halves[0], self._halves[1]),
            (self._sockets[1], self._halves[1], self._halves[0]),
        ):
            events = 0
            if not out.pending and not out.ended:
                events |= selectors.EVENT_READ
            if into.pending:
                events |= selectors.EVENT_WRITE
            self._bridge.register(side, events, self)

    def pump(self) -> None:
        """Move data both ways; close the pair when both directions have ended."""
        # One select may name a pair that an earlier event of the same select has closed.
        if self._closed:
            return

        try:
            for half in self._halves:
                half.pump()
        except OSError:
            self.close()
            return

        if all(half.done for half in self._halves):
            self.close()
        else:
            self.watch()

    def close(self) -> None:
        """Hang up on both sides."""
        self._closed = True
        for side in self._sockets:
            self._bridge.register(side, 0, self)
            side.close()
        self._bridge.forget(self)


class Bridge:
    """Accepts on `listener` and connects to `address`, in the selector of the sandbox's init."""

    def __init__(
        self, selector: selectors.BaseSelector, listener: socket.socket, address: tuple[str, int]
    ) -> None:
        self._selector = selector
        self._listener = listener
        self._address = address
        if ":" in address[0]:
            self._family = socket.AF_INET6
        else:
            self._family = socket.AF_INET
        self._pairs: set[_BridgePair] = set()
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ, self.accept)

    def accept(self) -> None:
        """Take one connection; one that cannot be carried on is closed, which the caller sees."""
        if len(self._pairs) >= _MAX_CONNECTIONS:
            return

        try:
            outer, _ = self._listener.accept()
        except OSError:
            # Another reader of the queue was quicker, or the program's limit of files is reached.
            return

        try:
            inner = self._connect()
        except OSError:
            outer.close()
            return

        outer.setblocking(False)
        self._pairs.add(_BridgePair(self, outer, inner))
        # At the limit new connections wait in the listener's queue instead of being refused.
        if len(self._pairs) >= _MAX_CONNECTIONS:
            self._selector.unregister(self._listener)

    def _connect(self) -> socket.socket:
        inner = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            # Blocking is safe here: on loopback the kernel answers a connect at once.
            inner.connect(self._address)
            inner.setblocking(False)
            inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            inner.close()
            raise
        return inner

    def register(self, side: socket.socket, events: int, pair: _BridgePair) -> None:
        """Watch `side` for `events`; 0 stops."""
        known = side.fileno() in self._selector.get_map()
        if events and known:
            self._selector.modify(side, events, pair.pump)
        elif events:
            self._selector.register(side, events, pair.pump)
        elif known:
            self._selector.unregister(side)

    def forget(self, pair: _BridgePair) -> None:
        """A connection has ended."""
        full = len(self._pairs) >= _MAX_CONNECTIONS
        self._pairs.discard(pair)
        if full and self._listener.fileno() not in self._selector.get_map():
            self._selector.register(self._listener, selectors.EVENT_READ, self.accept)
