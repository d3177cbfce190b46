"""The client's side of HTTP/1.1 connections to sandboxes and model providers, on httptools.

Both are on the path of every run or model call, where a general client costs several times the CPU
(docs/design/002-local-sandbox.md). How a connection is opened and written to is its subclass's own.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, Literal, TypeVar, cast

import httptools

Headers = list[tuple[bytes, bytes]]

MAX_HEAD_BYTES = 256 << 10
"""Bytes of status line and headers, and of whatever comes between two pieces of the body."""

Breakage = Literal["closed", "not_http", "upgraded", "headers_too_long", "trailers_too_long"]


class ConnectionBrokenError(ConnectionError):
    """The connection ended, or its bytes were not a response. `began`: its head had arrived."""

    def __init__(self, breakage: Breakage, *, began: bool) -> None:
        super().__init__(f"the connection broke off: {breakage}")
        self.breakage: Breakage = breakage
        self.began = began


class ResponseConnection(asyncio.Protocol):
    """A connection that carries one exchange after the other; `begin` each.

    `head` and `next` wait for the response. `sent` and `sender` belong to whoever sends the
    request: whether all of it is out, and the task that streams its body.
    """

    max_unread = 256 << 10
    """Bytes of an unread body after which reading from the peer pauses."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._max_silence: float | None = None
        """Seconds that end the present wait."""
        self._heard_at = 0.0
        """The time of the last news, by the loop's clock."""
        self._take: Callable[[bytes], bool] | None = None
        self.lost = False
        self.begin(head_only=False)

    def begin(self, *, head_only: bool, until: float | None = None) -> None:
        """Expect another response. `until` is the deadline for all of it, by the loop's clock."""
        self._chunks: list[bytes] = []
        # The parser calls it for each chunk of the body, and a stream's are many.
        self.on_body = self._chunks.append
        self._parser = httptools.HttpResponseParser(self)
        self._head_only = head_only
        self._until = until
        self.status = 0
        self.headers: Headers = []
        """Names are in lower case."""
        self._unparsed_bytes = 0
        """Bytes since the beginning of the response, or since its body last went on."""
        self._unread_bytes = 0
        self._has_head = False
        self.complete = False
        self._whole = 0
        """Chunks of the body, once it is complete."""
        self._until_eof = False
        self._may_keep_alive = False
        self._error: BaseException | None = None
        self.sent = False
        self.sender: asyncio.Task[None] | None = None

    @property
    def reusable(self) -> bool:
        """Whether another request may follow."""
        return self.complete and self._may_keep_alive and self.sent and not self.lost and self._error is None

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self.complete or self._error is not None:
            self._may_keep_alive = False  # bytes that belong to no request
            return

        known, held = self._has_head, len(self._chunks)
        self._unparsed_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._break("upgraded")
        except httptools.HttpParserError:
            self._break("not_http")

        if self.complete:
            del self._chunks[self._whole :]  # of what belongs to no request
        if len(self._chunks) > held:
            self._unparsed_bytes = 0
            self._unread_bytes += len(data)
            self._heard()
        elif self.complete or known != self._has_head:
            self._wake()

        if self._unparsed_bytes > MAX_HEAD_BYTES:
            self._break("trailers_too_long" if self._has_head else "headers_too_long")

    def _heard(self) -> None:
        """Pass on what has come of the body, or tell the one who waits for it."""
        if self._take is not None and not self.complete and self._error is None:
            self._heard_at = self._loop.time()
            if self._take(self._pieces()):
                return
            self._take = None
        # A slow reader makes the peer wait, instead of filling this process's memory.
        elif self._unread_bytes > self.max_unread and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self.lost = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # Without a length, the end of the connection is the end of the body (RFC 9112, 6.3).
        if self._until_eof and self._has_head and exc is None:
            self._finish()
            self._wake()
        else:
            self._break("closed")

    # httptools' side

    def on_message_begin(self) -> None:
        """Note a second response. It answers no request, and later ones cannot be trusted."""
        if self._has_head:
            self._may_keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header. Trailers are ignored."""
        if not self._has_head:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Complete the head, unless it is an interim one: 100, 102, 103."""
        if self._has_head:
            return

        status = self._parser.get_status_code()
        if status < 200:
            self.headers = []
            return

        self.status, self._has_head = status, True
        if self._head_only:
            self._finish()
            return

        # Neither header: the body ends with the connection, except for statuses without a body.
        for name, _ in self.headers:
            if name in {b"content-length", b"transfer-encoding"}:
                break
        else:
            self._until_eof = status not in {204, 304}

    def on_message_complete(self) -> None:
        """Complete the response."""
        if self._has_head and not self.complete:
            self._may_keep_alive = self._parser.should_keep_alive()
            self._finish()

    # the caller's side

    async def head(self, seconds: float | None = None) -> None:
        """Wait for `status` and `headers`. Raises TimeoutError, and what `fail` was given or ConnectionBrokenError."""
        while not self._has_head:
            if self._error is not None:
                raise self._error
            await self._wait(seconds)

    async def push(self, take: Callable[[bytes], bool], seconds: float) -> None:
        """Hand the body to `take` as it comes, until that returns False or the end is here.

        What came with the end is left to `next` and `rest`. `seconds` is how long the peer may be silent. Raises as `head` does.
        """
        while not self.complete:
            if self._chunks:
                if not take(self._pieces()):
                    return
            elif self._error is not None:
                raise self._error
            else:
                self._take = take
                try:
                    await self._wait(seconds)
                    if self._take is None:
                        return
                finally:
                    self._take = None

    async def next(self, seconds: float | None = None) -> bytes | None:
        """Return the body as far as it has come, None after its end. Raises as `head` does."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self.complete:
                return None
            await self._wait(seconds)

        return self._pieces()

    def rest(self) -> bytes:
        """Take what is left of a complete body."""
        if self._chunks:
            return self._pieces()
        return b""

    def _pieces(self) -> bytes:
        """Take what is there of the body, at least one chunk."""
        if len(self._chunks) == 1:
            chunk = self._chunks[0]
        else:
            chunk = b"".join(self._chunks)
        self._chunks.clear()

        if self._unread_bytes > self.max_unread and self._transport is not None and not self.lost:
            self._transport.resume_reading()
        self._unread_bytes = 0
        return chunk

    def fail(self, error: BaseException) -> None:
        """End the exchange with an error, unless it is complete."""
        if not self.complete and self._error is None:
            self._error = error
            self.abort()
            self._wake()

    def abort(self) -> None:
        """Close the connection at once."""
        self._may_keep_alive = False
        if self._transport is not None:
            self._transport.abort()

    def _break(self, breakage: Breakage) -> None:
        # A traceback costs more than the comparison: most connections end after their response.
        if not self.complete:
            self.fail(ConnectionBrokenError(breakage, began=self._has_head))

    def _finish(self) -> None:
        self.complete = True
        self._whole = len(self._chunks)

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _wait(self, seconds: float | None) -> None:
        """Wait for the next event. Raises TimeoutError."""
        waiter = self._waiter = self._loop.create_future()
        self._max_silence = seconds
        if seconds is not None:
            self._heard_at = self._loop.time()
            self._watch(self._deadline(seconds))
        try:
            await waiter
        finally:
            self._waiter = None

    def _deadline(self, seconds: float) -> float:
        deadline = self._heard_at + seconds
        if self._until is not None and self._until < deadline:
            return self._until
        return deadline

    def _watch(self, deadline: float) -> None:
        """Look at a wait by this time. The timer stays for the waits that follow: one for each costs more than a look in vain."""
        if self._timer is not None:
            if self._timer_at <= deadline:
                return
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_at(deadline, self._look)

    def _look(self) -> None:
        """End a wait if nothing was heard for so long, else look again later."""
        self._timer = None
        waiter = self._waiter
        if waiter is None or waiter.done() or self._max_silence is None:
            return
        deadline = self._deadline(self._max_silence)
        if deadline > self._loop.time():
            self._watch(deadline)
        else:
            waiter.set_exception(TimeoutError())


Connection = TypeVar("Connection", bound=ResponseConnection)


class IdleConnections(Generic[Connection]):
    """Connections to one peer that wait for another request, for `keep_alive` seconds at most."""

    def __init__(self, keep_alive: float) -> None:
        self._keep_alive = keep_alive
        self._idle: deque[tuple[float, Connection]] = deque()

    def take(self) -> Connection | None:
        """Take the connection that was used last: it is the least likely to be closed by the peer just now."""
        oldest = time.monotonic() - self._keep_alive
        while self._idle:
            since, connection = self._idle.pop()
            if since >= oldest and not connection.lost:
                return connection
            connection.abort()
        return None

    def put_back(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        now = time.monotonic()
        while self._idle and (self._idle[0][1].lost or self._idle[0][0] < now - self._keep_alive):
            self._idle.popleft()[1].abort()
        self._idle.append((now, connection))

    def close(self) -> None:
        """Close every idle connection."""
        while self._idle:
            self._idle.pop()[1].abort()
