"""HTTP/1.1 requests over a sandbox's Unix socket, streamed both ways.

A general client costs two to ten times the CPU on this hop (docs/design/002-local-sandbox.md) and expects a server that means
well; this one knows a single kind of server: a workflow that nobody trusts.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from codewords_mcp.common.http1 import (
    MAX_HEAD_BYTES,
    Breakage,
    ConnectionBrokenError,
    Headers,
    IdleConnections,
    ResponseConnection,
)
from codewords_mcp.errors import CodewordsError, InvalidInput, ProgramFailed
from codewords_mcp.runtime.model.disk_errors import require_folder

# Seconds after which an idle connection is not used again: uvicorn closes one after 5.
MAX_IDLE = 4.0

# A line break in what a caller sends would begin another header, or another request.
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE = re.compile(rb"[\r\n\0]")
_BAD_TARGET = re.compile(rb"[\x00-\x20\x7f]")
# They belong to one connection, and the program has a connection of its own.
_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"transfer-encoding"}
# Other methods are sent with a length of 0, which some servers require.
_MAY_LACK_BODY = {"GET", "HEAD", "OPTIONS", "TRACE", "CONNECT", "DELETE"}


_HINT = "The workflow's log may say why."
_BREAKAGES: dict[Breakage, str] = {
    "upgraded": "The workflow switched protocols although nobody asked for that.",
    "not_http": "The workflow's answer is not valid HTTP/1.1.",
    "headers_too_long": f"The workflow's answer has headers over {MAX_HEAD_BYTES >> 10} KiB.",
    "trailers_too_long": f"The workflow's answer has trailers over {MAX_HEAD_BYTES >> 10} KiB.",
}


def _bad_reply(error: ConnectionBrokenError) -> ProgramFailed:
    """Convert a broken connection to the error of its run."""
    if error.began:
        where = "half-way through its answer"
    else:
        where = "before it answered"
    message = _BREAKAGES.get(error.breakage, f"The workflow closed the connection {where}.")
    return ProgramFailed("program_bad_reply", message, hint=_HINT)


class SandboxResponse:
    """An answer whose head has come. Iterate `body` to its end, or `aclose()` to hang up.

    `body` raises ProgramFailed("program_bad_reply") where the answer breaks off. `headers` are as the program sent
    them, names lower-cased, `transfer-encoding` already taken off the body.
    """

    def __init__(self, connection: _Connection) -> None:
        self.status = connection.status
        self.headers = [header for header in connection.headers if header[0] not in _HOP]
        self.body: AsyncIterator[bytes] = self._read(connection)
        self._connection: _Connection | None = connection

    async def _read(self, connection: _Connection) -> AsyncIterator[bytes]:
        try:
            while (chunk := await connection.next()) is not None:
                yield chunk
        except ConnectionBrokenError as error:
            raise _bad_reply(error) from None
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Let go of the connection, closing it where the answer is not whole. Idempotent; never raises."""
        connection, self._connection = self._connection, None
        # Once: it may serve another request by now.
        if connection is not None:
            await connection.release()


class _Connection(ResponseConnection):
    """A connection to the program; from `pool`, if it may serve several requests."""

    def __init__(self, pool: Connections | None = None) -> None:
        super().__init__()
        self._pool = pool
        # The same connection for writing: asyncio would drop what a program said before it stopped reading.
        self.sending: socket.socket | None = None

    async def write(self, data: bytes) -> bool:
        """Send, waiting while the program does not read. False once it no longer listens: the reader tells why."""
        if self.sending is None or self.complete or self._error is not None or self.lost:
            return False
        try:
            await self._loop.sock_sendall(self.sending, data)
        except OSError:
            return False
        return True

    async def release(self) -> None:
        """Give the connection back, closing it where it serves no other request."""
        if self._pool is not None and self.reusable:
            self._pool.put_back(self)
            return
        if self.sender is not None and not self.sender.done():
            self.sender.cancel()
            # It may be in the middle of a piece from its caller, and must not hold up the next request.
            await asyncio.wait({self.sender}, timeout=1)
        self.abort()

    def abort(self) -> None:
        """Hang up at once."""
        super().abort()
        # Before its socket is closed.
        if self.sender is not None:
            self.sender.cancel()
        if self.sending is not None:
            self.sending.close()
            self.sending = None


class Connections(IdleConnections[_Connection]):
    """Kept-alive connections to one program that serves many requests."""

    def __init__(self, path: str) -> None:
        super().__init__(MAX_IDLE)
        self.path = path


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
    connection = connections.take() if connections is not None else None
    if connection is None:
        connection = await _connect(path, connections)
    connection.begin(head_only=method == "HEAD")

    try:
        if body is None:
            connection.sent = await connection.write(head)
        else:
            connection.sender = asyncio.create_task(_send(connection, head, body, length))

        await connection.head()
    except ConnectionBrokenError as error:
        await connection.release()
        raise _bad_reply(error) from None
    # What was sent of the request makes the connection useless.
    except BaseException:
        await connection.release()
        raise

    return SandboxResponse(connection)


async def _connect(path: str, pool: Connections | None) -> _Connection:
    loop = asyncio.get_running_loop()
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sending: socket.socket | None = None

    try:
        client.setblocking(False)
        await loop.sock_connect(client, path)
        # asyncio owns the first descriptor; the second is for writing beside it.
        sending = client.dup()
        sending.setblocking(False)
        _, connection = await loop.create_unix_connection(partial(_Connection, pool), sock=client)
    except BaseException as error:
        for end in (client, sending):
            if end is not None:
                end.close()

        if isinstance(error, FileNotFoundError):
            await asyncio.to_thread(require_folder, Path(path).parent)
        if isinstance(error, OSError):
            raise ProgramFailed(
                "program_bad_reply", "The workflow is no longer running, so it cannot be asked.", hint=_HINT
            ) from error
        raise

    connection.sending = sending
    return connection


async def _send(connection: _Connection, head: bytes, body: AsyncIterator[bytes], length: int | None) -> None:
    """Send head and body."""
    # The head travels with the first chunk, which saves a system call and a packet.
    pending = head
    sent = 0

    try:
        async for chunk in body:
            if not chunk:
                continue

            sent += len(chunk)
            # What is beyond the length would be read as the next request.
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
        connection.fail(error)
    except Exception:  # noqa: BLE001
        # Whatever the caller's iterator raises when its own client hangs up.
        connection.fail(InvalidInput("The request's body broke off."))


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
            # The first of several counts; the others are not passed on, so the program sees one.
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

    # A program for one request ends with it.
    if not keep:
        lines.append(b"connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n", length


def _parse_length(value: bytes) -> int:
    # Longer numbers cost time to read, and no body is that long.
    if not value.isdigit() or len(value) > 18:
        raise InvalidInput("The request's Content-Length is not a number of bytes.")
    return int(value)
