"""uvicorn's HTTP/1.1, with bounds on what comes before a request is one: it has none for the time that a head takes, for
its size, or for how many connections wait for one. Whoever sends heads needs no key.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 30.0
"""Seconds for a client to send its request's head; beside what uvicorn gives a connection between two requests."""
MAX_HEAD = 64 << 10
"""Bytes of a head, of what is between two pieces of a body, and of what follows its last one."""
MAX_WAITING = 2000
"""Connections without a request at once. The one that has waited longest makes room for the next."""
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    waiting: ClassVar[dict[BoundedProtocol, None]] = {}
    """Those without a request, in the order in which they came or ended their last one."""
    _deadline: asyncio.TimerHandle | None = None
    _in_head = False
    _unparsed = 0
    """Bytes since the last that were of use: the end of a head, a piece of a body."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a head."""
        super().connection_made(transport)
        self._in_head = True
        self._watch()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no more."""
        self._unwatch()
        self.waiting.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, as far as it leads to a request."""
        self._unparsed += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unparsed > MAX_HEAD:
            self._turn_away(_TOO_LARGE)
        elif not self._in_head:
            self._unwatch()
        elif self._deadline is None:
            self._watch()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """There is a request."""
        self._in_head = False
        self._unparsed = 0
        self.waiting.pop(self, None)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of a request is there."""
        self._unparsed = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next one, unless it is there."""
        super().on_response_complete()
        if not self.pipeline and not self.transport.is_closing():
            self._wait()

    def _wait(self) -> None:
        self.waiting[self] = None
        if len(self.waiting) > MAX_WAITING:
            longest = next(iter(self.waiting))
            del self.waiting[longest]
            longest.transport.close()

    def _watch(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._late)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._watch() if self._answering else self._turn_away(_TOO_SLOW)

    @property
    def _answering(self) -> bool:
        return bool(self.cycle) and not self.cycle.response_complete  # None before the first request

    def _turn_away(self, answer: bytes) -> None:
        """End it; in words, where something was said and that does not fall into the middle of another answer."""
        if self._unparsed and not self._answering:
            self.transport.write(answer)
        self.transport.close()
