"""HTTP/1.1 to providers on httptools: kept-alive connections, each phase with its own patience.

A general client costs several times the CPU of this hop (docs/design/023-gateway-reliability.md). Addresses are tried
as RFC 8305 has it, by aiohappyeyeballs; TLS verifies against the system's store, or what `SSL_CERT_FILE` names.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import unquote, urlsplit

import httptools

if TYPE_CHECKING:
    import socket

Headers = list[tuple[bytes, bytes]]
HIGH_WATER = 512 << 10
"""Bytes of an answer kept unread before the provider is made to wait."""
KEEP_ALIVE = 20.0
"""Seconds that an unused connection is kept: less than providers do, so that it is rarely closed under a request."""
MAX_HEAD = 256 << 10
"""Bytes of an answer's status line and headers."""


class BrokenOffError(ConnectionError):
    """The connection ended, or what came was not HTTP. `began`: a part of the answer had come."""

    def __init__(self, *, began: bool) -> None:
        super().__init__("the connection broke off")
        self.began = began


class Endpoint(NamedTuple):
    """Where a connection leads. `proxy` is the URL of the HTTP proxy in between, "" for none."""

    host: str
    port: int
    secure: bool
    proxy: str = ""


class PhaseTimeouts(NamedTuple):
    """Seconds to wait: for a connection, for the answer's head, between its pieces, and for all of it."""

    connect: float
    first: float
    between: float
    whole: float


class ProviderConnection(asyncio.Protocol):
    """A connection, which carries one exchange after the other."""

    def __init__(self, place: Endpoint) -> None:
        self.place = place
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._writable: asyncio.Future[None] | None = None
        self._waiting: asyncio.Future[None] | None = None
        self.lost = False
        self.begin(head_only=False, until=0.0)

    def begin(self, *, head_only: bool, until: float) -> None:
        """Expect another answer; `until` is when all of it must be here, by the loop's clock."""
        self._parser = httptools.HttpResponseParser(self)
        self._head_only = head_only
        self._until = until
        self.status = 0
        self.headers: Headers = []
        self._head_size = 0
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._told = False
        """The head is whole."""
        self.complete = False
        self._to_the_end = False
        self._keep = False
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
            self._keep = False  # bytes that nobody asked for
            return

        if not self._told:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self.complete:
                self.fail(BrokenOffError(began=self._told))
            return

        if self._head_size > MAX_HEAD and not self._told:
            self.fail(BrokenOffError(began=False))

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self.lost = True
        self.resume_writing()
        if self._to_the_end and self._told and exc is None:
            self._finish()
        elif not self.complete:
            self.fail(BrokenOffError(began=self._told))

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
        """An answer begins; one behind the answer is nobody's, and what follows it cannot be trusted."""
        if self._told:
            self._keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; those after the body are nobody's."""
        if not self._told:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole, unless it is an interim one: 100, 102, 103."""
        status = self._parser.get_status_code()
        if status < 200 or self._told:
            self.headers = self.headers if self._told else []
            return

        self.status, self._told = status, True
        if self._head_only:
            self._finish()
            return

        sized = any(name in {b"content-length", b"transfer-encoding"} for name, _ in self.headers)
        self._to_the_end = not sized and status not in {204, 304}
        self._wake()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self.complete:
            return
        self._chunks.append(body)
        self._held += len(body)
        if self._held > HIGH_WATER and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._told and not self.complete:
            self._keep = self._parser.should_keep_alive()
            self._finish()

    # our side

    def _wake(self) -> None:
        waiting = self._waiting
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _finish(self) -> None:
        self.complete = True
        self._wake()

    def fail(self, error: BaseException) -> None:
        """The exchange is over; whoever waits is told."""
        if not self.complete and self._error is None:
            self._error = error
            self.abort()
            self._wake()

    def abort(self) -> None:
        """Hang up at once."""
        self._keep = False
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self, seconds: float) -> None:
        """Until something came. Raises TimeoutError."""
        waiting = self._waiting = self._loop.create_future()
        left = min(seconds, self._until - self._loop.time())
        timer = self._loop.call_later(max(0.0, left), _expire, waiting)
        try:
            await waiting
        finally:
            timer.cancel()
            self._waiting = None

    async def head(self, seconds: float) -> None:
        """Return when the head is here. Raises TimeoutError, BrokenOffError, and what the request's body raised."""
        while not self._told:
            if self._error is not None:
                raise self._error
            await self._wait(seconds)

    async def next(self, seconds: float) -> bytes | None:
        """The next piece of the body, None after the last. Raises TimeoutError, BrokenOffError."""
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

        if self._held > HIGH_WATER and self._transport is not None and not self.lost:
            self._transport.resume_reading()
        self._held = 0
        return chunk

    def write(self, data: bytes) -> None:
        """Send, if there still is somebody to read it."""
        if self._transport is not None and not self.lost:
            self._transport.write(data)

    async def send(self, body: AsyncIterator[bytes], *, chunked: bool) -> None:
        """Send a body as it comes; an answer that comes first ends it. What the body raises ends the exchange."""
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
        except Exception as error:  # noqa: BLE001  # it is the caller's, and raised where the answer is awaited
            self.fail(error)

    @property
    def reusable(self) -> bool:
        """Whether another request may follow."""
        return self.complete and self._keep and self.sent and not self.lost and self._error is None


def _expire(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_exception(TimeoutError())


class ProviderResponse:
    """An answer whose head has come: `status`, `headers` with names in lower case. Read `chunks`, or `close` it."""

    def __init__(self, wire: ProviderConnection, pool: Pool, between: float) -> None:
        self.status = wire.status
        self.headers = wire.headers
        self._wire: ProviderConnection | None = wire
        self._pool = pool
        self._between = between
        self._seen: list[bytes] = []

    def header(self, name: bytes) -> str:
        """A header's value, "" where there is none."""
        for found, value in self.headers:
            if found == name:
                return value.decode("latin-1")
        return ""

    async def peek(self, most: int) -> bytes:
        """The body, which `chunks` gives again; "" where it is longer than `most` bytes. Raises what `chunks` raises."""
        size, wire = 0, self._wire
        while wire is not None and size <= most:
            chunk = await wire.next(self._between)
            if chunk is None:
                self.close()
                return b"".join(self._seen)
            self._seen.append(chunk)
            size += len(chunk)
        return b""

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises TimeoutError, BrokenOffError where it ends before its end."""
        while self._seen:
            yield self._seen.pop(0)
        wire = self._wire
        if wire is None:
            return

        while (chunk := await wire.next(self._between)) is not None:
            if wire.complete:
                self.close()
            yield chunk

        self.close()

    def close(self) -> None:
        """Let go of the connection; it is kept where the answer is whole. Idempotent."""
        wire, self._wire = self._wire, None
        if wire is None:
            return
        if wire.sender is not None and not wire.sender.done():
            wire.sender.cancel()
        if wire.reusable:
            self._pool.give(wire)
        else:
            wire.abort()


class Pool:
    """Connections to wherever, for one event loop."""

    def __init__(self, patience: PhaseTimeouts) -> None:
        self._patience = patience
        self._idle: dict[Endpoint, deque[tuple[float, ProviderConnection]]] = {}
        self._busy: set[ProviderConnection] = set()
        self._context: ssl.SSLContext | None = None

    async def request(
        self,
        place: Endpoint,
        head: bytes,
        body: bytes | AsyncIterator[bytes] | None,
        *,
        chunked: bool = False,
    ) -> ProviderResponse:
        """Send a request, and return when the head of its answer is here. `head` ends with an empty line.

        Raises OSError where no connection could be made, TimeoutError, BrokenOffError, what `body` raises.
        """
        wire = self._take(place) or await self._connect(place)
        loop = asyncio.get_running_loop()
        method = head[: head.index(b" ")]
        wire.begin(head_only=method == b"HEAD", until=loop.time() + self._patience.whole)
        self._busy.add(wire)

        try:
            if body is None or isinstance(body, bytes):
                wire.write(head + body if body else head)
                wire.sent = True
            else:
                wire.write(head)
                wire.sender = asyncio.create_task(wire.send(body, chunked=chunked))

            await wire.head(self._patience.first)
        except BaseException:
            if wire.sender is not None:
                wire.sender.cancel()
            wire.abort()
            raise
        finally:
            self._busy.discard(wire)

        return ProviderResponse(wire, self, self._patience.between)

    def _take(self, place: Endpoint) -> ProviderConnection | None:
        idle = self._idle.get(place)
        if not idle:
            return None
        oldest = time.monotonic() - KEEP_ALIVE
        while idle:
            since, wire = idle.pop()
            if since >= oldest and not wire.lost:
                return wire
            wire.abort()
        return None

    def give(self, wire: ProviderConnection) -> None:
        """Keep a connection for another request."""
        idle, now = self._idle.setdefault(wire.place, deque()), time.monotonic()
        while idle and (idle[0][1].lost or idle[0][0] < now - KEEP_ALIVE):
            idle.popleft()[1].abort()
        idle.append((now, wire))

    async def _connect(self, place: Endpoint) -> ProviderConnection:
        try:
            async with asyncio.timeout(self._patience.connect):
                return await self._open(place)
        except TimeoutError:
            raise ConnectionError("no connection in time") from None

    async def _open(self, place: Endpoint) -> ProviderConnection:
        loop = asyncio.get_running_loop()
        secure: ssl.SSLContext | None = None
        if place.secure:
            if self._context is None:
                self._context = await asyncio.to_thread(_context)
            secure = self._context

        proxy = urlsplit(place.proxy)
        if place.proxy:
            raw = await _dial(proxy.hostname or "", proxy.port or 80)
        else:
            raw = await _dial(place.host, place.port)

        try:
            if place.proxy and secure is not None:
                await _tunnel(raw, place, authorization_of(place.proxy))
            name = place.host if secure is not None else None
            _, wire = await loop.create_connection(
                lambda: ProviderConnection(place), sock=raw, ssl=secure, server_hostname=name
            )
        except BaseException:
            raw.close()
            raise

        return wire

    def close(self) -> None:
        """End every connection that is not in an answer's hands."""
        for idle in self._idle.values():
            for _, wire in idle:
                wire.abort()
        self._idle.clear()
        for wire in list(self._busy):
            wire.fail(BrokenOffError(began=False))


async def _dial(host: str, port: int) -> socket.socket:
    import socket

    import aiohappyeyeballs

    start = cast("Callable[..., Awaitable[socket.socket]]", getattr(aiohappyeyeballs, "start_connection"))  # noqa: B009  # its types are half known
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    raw = await start(found, happy_eyeballs_delay=0.25, interleave=1)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return raw


async def _tunnel(raw: socket.socket, place: Endpoint, authorization: bytes) -> None:
    """Ask a proxy to connect. Raises ConnectionError where it does not."""
    loop = asyncio.get_running_loop()
    if ":" in place.host:
        target = f"[{place.host}]"
    else:
        target = place.host

    lines = [b"CONNECT %s:%d HTTP/1.1" % (target.encode(), place.port), b"host: " + target.encode()]
    if authorization:
        lines.append(b"proxy-authorization: " + authorization)
    await loop.sock_sendall(raw, b"\r\n".join(lines) + b"\r\n\r\n")
    told = b""
    while b"\r\n\r\n" not in told:
        piece = await loop.sock_recv(raw, 4096)  # nothing follows the head before we speak
        told += piece
        if not piece or len(told) > MAX_HEAD:
            raise ConnectionError("the proxy did not answer")

    if told.split(b" ", 2)[1:2] != [b"200"]:
        raise ConnectionError("the proxy refused")


def authorization_of(proxy: str) -> bytes:
    """What a proxy's URL says of who asks: a header's value, or nothing."""
    parts = urlsplit(proxy)
    if not parts.username:
        return b""
    told = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return b"Basic " + base64.b64encode(told.encode())


def _context() -> ssl.SSLContext:
    """Blocking: it reads the system's certificates."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
