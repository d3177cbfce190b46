"""HTTP/1.1 requests over a sandbox's Unix socket, streamed both ways.

A general client costs ten times the CPU on this hop (docs/design/002-local-sandbox.md), and needs to be told about
programs that answer badly; this one knows a single kind of server: a workflow that nobody trusts.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import cast

import httptools

from codewords_mcp.errors import CodewordsError, InvalidInput, ProgramFailed

Headers = list[tuple[bytes, bytes]]

HIGH_WATER = 256 << 10
"""Bytes of an answer kept unread before the program is made to wait."""
MAX_IDLE = 4.0
"""Seconds after which an idle connection is not used again; uvicorn closes one after 5."""
MAX_HEAD = 256 << 10
"""Bytes of status line and headers that an answer may have, and of whatever comes between two pieces of its body."""

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE = re.compile(rb"[\r\n\0]")
_BAD_TARGET = re.compile(rb"[\x00-\x20\x7f]")
_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"transfer-encoding"}
_MAY_LACK_BODY = {"GET", "HEAD", "OPTIONS", "TRACE", "CONNECT", "DELETE"}


def _bad_reply(message: str) -> ProgramFailed:
    return ProgramFailed("program_bad_reply", message, hint="The workflow's log may say why.")


class SandboxResponse:
    """An answer whose head has come. Iterate `body` to its end, or `aclose()` to hang up.

    `body` raises ProgramFailed("program_bad_reply") where the answer breaks off. `headers` are as the program sent
    them, names lower-cased, `transfer-encoding` already taken off the body.
    """

    def __init__(self, status: int, headers: Headers, connection: _Connection) -> None:
        self.status = status
        self.headers = headers
        self.body: AsyncIterator[bytes] = self._read(connection)
        self._connection: _Connection | None = connection

    async def _read(self, connection: _Connection) -> AsyncIterator[bytes]:
        try:
            while (chunk := await connection.next_chunk()) is not None:
                yield chunk
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Let go of the connection, closing it where the answer is not whole. Idempotent; never raises."""
        connection, self._connection = self._connection, None
        if connection is not None:  # once: it may serve another request by now
            await connection.aclose()


class _Connection(asyncio.Protocol):
    """Parses what comes, with backpressure; `head` resolves when the final status line and headers are here."""

    def __init__(self, method: str, pool: Connections | None = None) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self.sending: socket.socket | None = None
        """The same connection for writing: asyncio would drop what a program said before it stopped reading."""
        self._lost = asyncio.Event()
        self.begin(method)

    def begin(self, method: str) -> None:
        """Expect the answer to another request."""
        self.head: asyncio.Future[tuple[int, Headers]] = asyncio.get_running_loop().create_future()
        self._is_head = method == "HEAD"
        self._parser = httptools.HttpResponseParser(self)
        self._headers: Headers = []
        # Bytes since the begin of the answer, or since its body last went on: those the parser, or
        # we, may keep.
        self._unparsed = 0
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._more = asyncio.Event()
        self._complete = False
        self._until_close = False
        self._keep = False
        self._error: CodewordsError | None = None
        self.sent = False
        """Whether the whole request is out; else the connection serves no other."""
        self.sender: asyncio.Task[None] | None = None

    @property
    def lost(self) -> bool:
        """Whether the program has hung up."""
        return self._lost.is_set()

    @property
    def reusable(self) -> bool:
        """Whether another request may follow on this connection."""
        return (
            self._keep and self.sent and not self._chunks and self._error is None and not self._lost.is_set()
        )

    # asyncio's side
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._complete or self._error:
            return

        self._unparsed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(_bad_reply("The workflow switched protocols although nobody asked for that."))
        except httptools.HttpParserError:
            if not self._complete:  # bytes after a complete answer are nobody's
                self._fail(_bad_reply("The workflow's answer is not valid HTTP/1.1."))

        if self._unparsed > MAX_HEAD and not self._complete:
            part = "trailers" if self.head.done() else "headers"
            self._fail(_bad_reply(f"The workflow's answer has {part} over {MAX_HEAD >> 10} KiB."))

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost.set()
        if self._until_close and exc is None:
            self._finish()
        elif not self._complete:
            if self.head.done():
                where = "half-way through its answer"
            else:
                where = "before it answered"
            self._fail(_bad_reply(f"The workflow closed the connection {where}."))

    # httptools' side
    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.head.done():  # else it is a trailer, which nobody reads
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # 100, 102, 103: interim, the answer is still to come
            self._headers = []
            return

        names = {name for name, _ in self._headers}
        bodiless = self._is_head or status in (204, 304)
        self._until_close = not bodiless and not names & {b"content-length", b"transfer-encoding"}
        headers = [(name, value) for name, value in self._headers if name not in _HOP]
        if not self.head.done():
            self.head.set_result((status, headers))
        if self._is_head:
            self._finish()

    def on_body(self, body: bytes) -> None:
        if self._complete:
            return
        self._unparsed = 0
        self._chunks.append(body)
        self._buffered += len(body)
        self._more.set()
        if self._buffered > HIGH_WATER and self._transport:
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self.head.done():
            self._keep = self._parser.should_keep_alive()
            self._finish()

    # our side
    def _finish(self) -> None:
        self._complete = True
        self._more.set()

    def _fail(self, error: CodewordsError) -> None:
        if self._complete or self._error:
            return
        self._error = error
        if not self.head.done():
            self.head.set_exception(error)
            self.head.exception()  # whoever awaits it still gets it; nobody may be there
        self._more.set()
        if self._transport:
            self._transport.abort()

    async def next_chunk(self) -> bytes | None:
        while not self._chunks:
            if self._error:
                raise self._error
            if self._complete:
                return None

            self._more.clear()
            await self._more.wait()

        chunk = self._chunks.popleft()
        self._buffered -= len(chunk)
        if self._buffered <= HIGH_WATER // 2 and self._transport and not self._transport.is_closing():
            self._transport.resume_reading()
        return chunk

    async def write(self, data: bytes) -> bool:
        """Send, waiting while the program does not read. False once it no longer listens: the reader tells why."""
        if self.sending is None or self._complete or self._error is not None or self._lost.is_set():
            return False
        try:
            await asyncio.get_running_loop().sock_sendall(self.sending, data)
        except OSError:
            return False
        return True

    def fail_sending(self, error: CodewordsError) -> None:
        """The request's body broke; the answer, if it is not here already, will never be."""
        self._fail(error)

    async def aclose(self) -> None:
        if self._pool is not None and self.reusable:
            self._pool.give(self)
            return
        if self.sender is not None and not self.sender.done():
            self.sender.cancel()
            await asyncio.wait({self.sender}, timeout=1)
        self.abort()

    def abort(self) -> None:
        """Hang up at once."""
        if self._transport is not None:
            self._transport.abort()
        if self.sender is not None:
            self.sender.cancel()  # before its socket goes
        if self.sending is not None:
            self.sending.close()
            self.sending = None
        self._finish()


class Connections:
    """Kept-alive connections to one program that serves many requests."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._idle: deque[tuple[float, _Connection]] = deque()

    def take(self, method: str) -> _Connection | None:
        """An idle connection that was used a moment ago; older ones may be about to be closed by the program."""
        oldest = time.monotonic() - MAX_IDLE
        while self._idle:
            since, connection = self._idle.pop()
            if since < oldest or connection.lost:
                connection.abort()
                continue
            connection.begin(method)
            return connection
        return None

    def give(self, connection: _Connection) -> None:
        """Keep a connection for the next request."""
        self._idle.append((time.monotonic(), connection))

    def close(self) -> None:
        """Hang up on every idle connection."""
        while self._idle:
            self._idle.pop()[1].abort()


async def request(
    path: str,
    method: str,
    target: bytes,
    headers: Headers,
    body: AsyncIterator[bytes] | None,
    *,
    connections: Connections | None = None,
) -> SandboxResponse:
    """Send a request to the program behind the Unix socket `path`; return when the head of the answer is here.

    `target` is the request target (`/path?query`, percent-encoded). The body is streamed: with the `content-length`
    that `headers` name, else chunked. A program that answers early is heard; the rest of the body is then dropped.
    With `connections` (of the same path) the connection is taken from them and given back, for one-shot programs closed.
    Cancelling closes the connection. The wait is as long as the program takes: bound it.
    Raises InvalidInput for what HTTP/1.1 cannot carry, ProgramFailed("program_bad_reply") where the program hangs up
    or does not speak HTTP, and what iterating `body` raises, if that is a CodewordsError.
    """
    head, length = _encode_head(
        method, target, headers, has_body=body is not None, keep=connections is not None
    )
    if connections is not None:
        connection = connections.take(method)
    else:
        connection = None

    if connection is None:
        connection = await _connect(path, method, connections)
    try:
        if body is None:
            connection.sent = await connection.write(head)
        else:
            connection.sender = asyncio.create_task(_send(connection, head, body, length))

        status, reply_headers = await connection.head
    except BaseException:
        await connection.aclose()
        raise

    return SandboxResponse(status, reply_headers, connection)


async def _connect(path: str, method: str, pool: Connections | None) -> _Connection:
    loop = asyncio.get_running_loop()
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sending: socket.socket | None = None

    try:
        client.setblocking(False)
        await loop.sock_connect(client, path)
        sending = client.dup()
        sending.setblocking(False)
        _, connection = await loop.create_unix_connection(lambda: _Connection(method, pool), sock=client)
    except BaseException as error:
        for end in (client, sending):
            if end is not None:
                end.close()

        if isinstance(error, OSError):
            raise _bad_reply("The workflow is no longer running, so it cannot be asked.") from error
        raise

    connection.sending = sending
    return connection


async def _send(connection: _Connection, head: bytes, body: AsyncIterator[bytes], length: int | None) -> None:
    """Head and body; the head travels with the first chunk, which saves a system call and a packet."""
    pending = head
    sent = 0

    try:
        async for chunk in body:
            if not chunk:
                continue

            sent += len(chunk)
            if length is not None and sent > length:
                raise InvalidInput(f"The request's body is longer than its Content-Length of {length} bytes.")

            if length is not None:
                framed = chunk
            else:
                framed = b"%x\r\n%b\r\n" % (len(chunk), chunk)

            if not await connection.write(pending + framed):
                return

            pending = b""

        if length is not None and sent < length:
            raise InvalidInput(f"The request's body ended after {sent} of {length} bytes.")
        connection.sent = await connection.write(pending + (b"" if length is not None else b"0\r\n\r\n"))
    except CodewordsError as error:
        connection.fail_sending(error)
    except Exception:  # noqa: BLE001  # whatever the caller's iterator raises when its own client hangs up
        connection.fail_sending(InvalidInput("The request's body broke off."))


def _encode_head(
    method: str, target: bytes, headers: Headers, *, has_body: bool, keep: bool
) -> tuple[bytes, int | None]:
    """The request's head, and the length of its body if the headers fix one."""
    if not _NAME.fullmatch(method.encode()) or not target or _BAD_TARGET.search(target):
        raise InvalidInput("The request's method or target has characters that HTTP does not allow.")

    lines = [method.encode() + b" " + target + b" HTTP/1.1"]
    length: int | None = None
    has_host = False
    for name, value in headers:
        lowered = name.lower()
        if not _NAME.fullmatch(name) or _BAD_VALUE.search(value):
            raise InvalidInput("A request header has characters that HTTP does not allow.")
        if lowered in _HOP:
            continue
        if lowered == b"content-length":
            if has_body and length is None:
                length = _parse_length(value)
            continue

        has_host = has_host or lowered == b"host"
        lines.append(name + b": " + value)

    if not has_host:
        lines.append(b"host: localhost")
    if has_body:
        lines.append(b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length)
    elif method not in _MAY_LACK_BODY:
        lines.append(b"content-length: 0")

    if not keep:
        lines.append(b"connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n", length


def _parse_length(value: bytes) -> int:
    if not value.isdigit() or len(value) > 18:
        raise InvalidInput("The request's Content-Length is not a number of bytes.")
    return int(value)
