"""HTTP/1.1 client connection to a provider on httptools, with a timeout for each phase.

A general client costs several times the CPU of this hop (docs/design/023-gateway-reliability.md).
Addresses are tried as RFC 8305 describes, by aiohappyeyeballs. TLS verifies against the system's
store, or the file that `SSL_CERT_FILE` names.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import NamedTuple, cast

import httptools

Headers = list[tuple[bytes, bytes]]
MAX_UNREAD_BYTES = 512 << 10
"""Bytes of an unread response body after which reading from the provider pauses."""
MAX_HEAD_BYTES = 256 << 10
"""Bytes of a response's status line and headers."""


class ConnectionBrokenError(ConnectionError):
    """The connection ended, or its bytes were not HTTP. `began`: part of the response had arrived."""

    def __init__(self, *, began: bool) -> None:
        super().__init__("the connection broke off")
        self.began = began


class Endpoint(NamedTuple):
    """Target of a connection. `proxy` is the URL of the HTTP proxy in between, "" for none."""

    host: str
    port: int
    secure: bool
    proxy: str = ""


class PhaseTimeouts(NamedTuple):
    """Seconds to wait: for a connection, for the response's head, between its chunks, and for all
    of it.
    """

    connect: float
    first_byte: float
    between_chunks: float
    total: float


class ProviderConnection(asyncio.Protocol):
    """A connection, which carries one exchange after the other."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._writable: asyncio.Future[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.lost = False
        self.begin(head_only=False, until=0.0)

    def begin(self, *, head_only: bool, until: float) -> None:
        """Expect another response. `until` is the deadline for all of it, by the loop's clock."""
        self._parser = httptools.HttpResponseParser(self)
        self._head_only = head_only
        self._until = until
        self.status = 0
        self.headers: Headers = []
        self._head_size = 0
        self._chunks: deque[bytes] = deque()
        self._buffered_bytes = 0
        self._has_head = False
        """The head is complete."""
        self.complete = False
        self._until_eof = False
        self._may_keep_alive = False
        self._error: BaseException | None = None
        self.sent = False
        self.sender: asyncio.Task[None] | None = None

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self.complete or self._error is not None:
            self._may_keep_alive = False  # bytes that belong to no request
            return

        if not self._has_head:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self.complete:
                self.fail(ConnectionBrokenError(began=self._has_head))
            return

        if self._head_size > MAX_HEAD_BYTES and not self._has_head:
            self.fail(ConnectionBrokenError(began=False))

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self.lost = True
        self.resume_writing()
        # Without a length, the end of the connection is the end of the body (RFC 9112, 6.3).
        if self._until_eof and self._has_head and exc is None:
            self._finish()
        elif not self.complete:
            self.fail(ConnectionBrokenError(began=self._has_head))

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

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
        status = self._parser.get_status_code()
        if status < 200 or self._has_head:
            self.headers = self.headers if self._has_head else []
            return

        self.status, self._has_head = status, True
        if self._head_only:
            self._finish()
            return

        # Neither header: the body ends with the connection, except for statuses without a body.
        sized = any(name in {b"content-length", b"transfer-encoding"} for name, _ in self.headers)
        self._until_eof = not sized and status not in {204, 304}
        self._wake()

    def on_body(self, body: bytes) -> None:
        """Buffer a chunk of the body."""
        if self.complete:
            return
        self._chunks.append(body)
        self._buffered_bytes += len(body)
        # A slow reader makes the provider wait, instead of filling this process's memory.
        if self._buffered_bytes > MAX_UNREAD_BYTES and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        """Complete the response."""
        if self._has_head and not self.complete:
            self._may_keep_alive = self._parser.should_keep_alive()
            self._finish()

    # our side

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _finish(self) -> None:
        self.complete = True
        self._wake()

    def fail(self, error: BaseException) -> None:
        """End the exchange with an error, which its waiter gets."""
        if not self.complete and self._error is None:
            self._error = error
            self.abort()
            self._wake()

    def abort(self) -> None:
        """Close the connection at once."""
        self._may_keep_alive = False
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self, seconds: float) -> None:
        """Wait for the next event. Raises TimeoutError."""
        waiter = self._waiter = self._loop.create_future()
        remaining = min(seconds, self._until - self._loop.time())
        timer = self._loop.call_later(max(0.0, remaining), _expire, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    async def head(self, seconds: float) -> None:
        """Wait for the head.

        Raises TimeoutError, ConnectionBrokenError, and errors of the request's body.
        """
        while not self._has_head:
            if self._error is not None:
                raise self._error
            await self._wait(seconds)

    async def next(self, seconds: float) -> bytes | None:
        """The next chunk of the body, None after the last.

        Raises TimeoutError, ConnectionBrokenError.
        """
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self.complete:
                return None
            await self._wait(seconds)

        if len(self._chunks) == 1:
            chunk = self._chunks.popleft()
        else:
            chunk = b"".join(self._chunks)
            self._chunks.clear()

        if self._buffered_bytes > MAX_UNREAD_BYTES and self._transport is not None and not self.lost:
            self._transport.resume_reading()
        self._buffered_bytes = 0
        return chunk

    def write(self, data: bytes) -> None:
        """Send bytes, unless the connection is lost."""
        if self._transport is not None and not self.lost:
            self._transport.write(data)

    async def send(self, body: AsyncIterator[bytes], *, chunked: bool) -> None:
        """Stream a request body. An early response ends it; an error of the body ends the exchange."""
        try:
            async for piece in body:
                if self.lost or self.complete:
                    return
                if piece:
                    self.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                if self._writable is not None:
                    await self._writable

            if chunked:
                self.write(b"0\r\n\r\n")
            self.sent = True
        except Exception as error:  # noqa: BLE001  # an error of the caller's body, raised where the response is awaited
            self.fail(error)

    @property
    def reusable(self) -> bool:
        """Whether another request may follow."""
        return self.complete and self._may_keep_alive and self.sent and not self.lost and self._error is None


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())
