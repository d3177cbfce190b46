"""HTTP/1.1 to the runtime on blocking sockets: kept connections, hang-ups from another thread, server-sent events.

`http.client` brings an email parser and TLS: half of the proxy's start and a third of its memory. Only what the runtime
needs is here: no redirects, no proxies, no compression.
"""

from __future__ import annotations

import _socket  # `socket` would bring enumerations, selectors and more
import select
import time
from _thread import allocate_lock
from io import BufferedReader, RawIOBase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import WriteableBuffer

CONNECT_TIMEOUT = 10.0
SILENCE = 120.0
"""Seconds without a byte after which an answer is given up; a living stream sends a ping every 15 s."""
EVENT_LIMIT = 64 << 20
"""Bytes of one answer or event; more is a fault of the other side."""
_MAX_HEADERS = 100
_MAX_LINE = 65536
_REUSE = 3.0
"""Seconds a kept connection is used again: shorter than any server keeps one, so that none dies under a request."""


class NotSent(Exception):
    """No connection, or it broke before the request was out: it is safe to send it again."""


class BrokenAnswer(Exception):
    """The request was sent, and its answer did not come to its end. `silent`: given up after `SILENCE`."""

    def __init__(self, why: str, *, silent: bool = False) -> None:
        super().__init__(why)
        self.silent = silent


class HttpEndpoint:
    """An http(s) address, the key for it and headers of every request. Raises ValueError for what is no such address."""

    def __init__(self, url: str, key: str, headers: dict[str, str] | None = None) -> None:
        scheme, found, rest = url.partition("://")
        if not found or scheme not in {"http", "https"}:
            raise ValueError(url)

        authority, _, prefix = rest.partition("/")
        host, colon, port = authority.rpartition(":")
        if not colon or "]" in port:
            host, port = authority, "443" if scheme == "https" else "80"
        # User information is refused since the key goes in a header; characters up to a space
        # could add a header line of their own.
        if not host or not port.isdigit() or "@" in host or any(c <= " " for c in url):
            raise ValueError(url)

        self.secure = scheme == "https"
        self.host, self.port = host.strip("[]"), int(port)
        self.authority = authority
        self.prefix = f"/{prefix}".rstrip("/")
        self.key = key
        self.headers = headers or {}
        self._idle: list[tuple[float, HttpConnection]] = []
        self._lock = allocate_lock()

    def take(self) -> HttpConnection:
        """A connection, kept or new. Raises NotSent."""
        with self._lock:
            while self._idle:
                since, connection = self._idle.pop()
                # Readable without a request means that the server has closed the connection.
                if time.monotonic() - since < _REUSE and connection.quiet():
                    return connection
                connection.close()
        return HttpConnection(self)

    def keep(self, connection: HttpConnection) -> None:
        """Give back a connection whose answer was read to its end."""
        with self._lock:
            self._idle.append((time.monotonic(), connection))


class HttpConnection:
    """One connection. `close` may come from another thread and ends whatever waits on it."""

    def __init__(self, endpoint: HttpEndpoint) -> None:
        self._endpoint = endpoint
        try:
            connect = _connect_by_tls if endpoint.secure else _connect
            self._socket = connect(endpoint.host, endpoint.port)
        except OSError as error:
            raise NotSent(str(error)) from error

        # A request is one small write. Nagle's algorithm would hold it back for the delayed
        # ACK.
        self._socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self._socket.settimeout(SILENCE)
        self._reader = BufferedReader(_Received(self._socket))

    def quiet(self) -> bool:
        """Whether nothing has come since the last answer, not even the end."""
        return not select.select([self._socket], [], [], 0)[0]

    def close(self) -> None:
        """Hang up. The other side sees it at once, and so does a thread that reads here."""
        # shutdown wakes a thread that is blocked in recv on this socket. The descriptor is closed with the last
        # reference: its number must not become another connection's while a thread reads here.
        try:  # noqa: SIM105 - contextlib is not worth its import in the proxy
            self._socket.shutdown(_socket.SHUT_RDWR)
        except OSError:
            pass  # it was already down

    def request(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> None:
        """Send a request. Raises NotSent."""
        endpoint = self._endpoint
        named = endpoint.headers | headers
        # A line break in a value would begin a header of its own.
        if any(character in value for value in (endpoint.key, *named.values()) for character in "\r\n"):
            raise NotSent("a header has a line break")

        lines = [
            f"{method} {endpoint.prefix}{path} HTTP/1.1",
            f"Host: {endpoint.authority}",
            f"Content-Length: {len(body)}",
        ]
        if endpoint.key:
            lines.append(f"Authorization: Bearer {endpoint.key}")
        # latin-1 is what HTTP/1.1 headers are in; values outside ASCII were base64-encoded
        # before.
        lines += [f"{name}: {value}" for name, value in named.items()]

        try:
            self._socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        except OSError as error:
            raise NotSent(str(error)) from error

    def answer(self) -> HttpResponse:
        """Wait for the head of the answer. Raises BrokenAnswer."""
        status, headers = self._head()
        # Interim answers: the real one follows.
        while 100 <= status < 200:
            status, headers = self._head()
        return HttpResponse(self, self._endpoint, status, headers)

    def _head(self) -> tuple[int, dict[str, str]]:
        version, _, rest = self._line().partition(b" ")
        code = rest.split(None, 1)[:1]
        if not version.startswith(b"HTTP/1.") or not code or not code[0].isdigit():
            raise BrokenAnswer("what answered is not an HTTP server")

        headers: dict[str, str] = {}
        for _ in range(_MAX_HEADERS):
            line = self._line().rstrip(b"\r\n")
            if not line:
                return int(code[0]), headers
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        raise BrokenAnswer("the answer is not readable as HTTP")

    def _line(self) -> bytes:
        line = self._read(self._reader.readline, _MAX_LINE)
        if line.endswith(b"\n"):
            return line
        if len(line) == _MAX_LINE:
            raise BrokenAnswer("the answer is not readable as HTTP")
        if line:
            raise BrokenAnswer("the connection ended in the middle of an answer")
        raise BrokenAnswer("the connection ended before the answer")

    def body(self, status: int, headers: dict[str, str]) -> Iterator[bytes]:
        """The parts of a body as they come. Raises BrokenAnswer where it ends before its end."""
        # These have no body by definition (RFC 9110), whatever their headers claim.
        if status in {204, 304}:
            return

        if headers.get("transfer-encoding", "").lower() == "chunked":
            while size := self._chunk_size():
                yield self._exactly(size)
                self._line()

            for _ in range(_MAX_HEADERS):
                if not self._line().rstrip(b"\r\n"):
                    return
            raise BrokenAnswer("the answer is not readable as HTTP")

        if (length := headers.get("content-length", "")).isdigit():
            left = int(length)
            while left:
                part = self._exactly(min(left, 1 << 16))
                left -= len(part)
                yield part
        else:
            while part := self._read(self._reader.read1, 1 << 16):
                yield part

    def _chunk_size(self) -> int:
        digits = self._line().split(b";", 1)[0].strip()
        try:
            # `int` alone takes a sign.
            if digits.isalnum():
                return int(digits, 16)
        except ValueError:
            pass
        raise BrokenAnswer("the answer is not readable as HTTP")

    def _exactly(self, size: int) -> bytes:
        # A chunk size is a number that the other side chose: never allocate for it unchecked.
        if size > EVENT_LIMIT:
            raise BrokenAnswer(f"the answer has a part of {size:,} bytes")
        part = self._read(self._reader.read, size)
        if len(part) < size:
            raise BrokenAnswer("the connection ended in the middle of an answer")
        return part

    def _read(self, step: Callable[[int], bytes], size: int) -> bytes:
        """Do one blocking read of up to `size` bytes. Raises BrokenAnswer for every failure of the socket."""
        try:
            return step(size)
        except TimeoutError as error:
            raise BrokenAnswer(f"nothing came for {SILENCE:.0f} seconds", silent=True) from error
        except (OSError, ValueError) as error:  # ValueError: closed by another thread
            raise BrokenAnswer("the connection broke") from error


class _Received(RawIOBase):
    """The bytes that come on a socket. Closes it with the last reference."""

    def __init__(self, connected: _socket.socket) -> None:
        super().__init__()
        self._socket = connected

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        return self._socket.recv_into(buffer)

    def close(self) -> None:
        super().close()
        self._socket.close()


def _connect(host: str, port: int) -> _socket.socket:
    """Connect to the first address of a host that answers. Raises OSError."""
    failed = OSError("the name has no address")
    # As bytes: for text Python would load the rules for international names.
    name: str | bytes = host.encode() if host.isascii() else host
    for family, kind, protocol, _, address in _socket.getaddrinfo(name, port, 0, _socket.SOCK_STREAM):
        connected = _socket.socket(family, kind, protocol)
        try:
            connected.settimeout(CONNECT_TIMEOUT)
            connected.connect(address)
            return connected
        except OSError as error:
            connected.close()
            failed = error
    raise failed


def _connect_by_tls(host: str, port: int) -> _socket.socket:
    """Connect and begin TLS. Raises OSError."""
    import socket
    import ssl

    plain = socket.create_connection((host, port), timeout=CONNECT_TIMEOUT)
    try:
        return ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    except OSError:
        plain.close()
        raise


class HttpResponse:
    """The head of an answer; its body is read by exactly one of `read` and `events`."""

    def __init__(
        self, connection: HttpConnection, endpoint: HttpEndpoint, status: int, headers: dict[str, str]
    ) -> None:
        self._connection = connection
        self._endpoint = endpoint
        self.status = status
        self.headers = headers

    @property
    def kind(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def _parts(self) -> Iterator[bytes]:
        yield from self._connection.body(self.status, self.headers)
        # A body that ends with the connection leaves nothing to reuse.
        if self.headers.get("connection", "").lower() != "close" and (
            "content-length" in self.headers or "transfer-encoding" in self.headers
        ):
            self._endpoint.keep(self._connection)
        else:
            self._connection.close()

    def read(self) -> bytes:
        """The whole body. Raises BrokenAnswer."""
        parts: list[bytes] = []
        size = 0
        for part in self._parts():
            size += len(part)
            if size > EVENT_LIMIT:
                raise BrokenAnswer(f"the answer is larger than {EVENT_LIMIT:,} bytes")
            parts.append(part)
        return b"".join(parts)

    def events(self) -> Iterator[tuple[str, bytes]]:
        """(id, data) of each server-sent event that has data, as it comes. Raises BrokenAnswer."""
        data: list[bytes] = []
        event_id = ""

        for line in self._lines():
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif line.startswith(b"id:"):
                event_id = line[3:].strip().decode(errors="replace")
            elif not line and data:
                yield event_id, b"\n".join(data)
                data.clear()

    def _lines(self) -> Iterator[bytes]:
        pending: list[bytes] = []
        size = 0
        for part in self._parts():
            # A CRLF may be split between two parts; the `removesuffix` below takes the
            # remaining CR.
            pieces = part.replace(b"\r\n", b"\n").split(b"\n")
            for piece in pieces[:-1]:
                yield (b"".join([*pending, piece]) if pending else piece).removesuffix(b"\r")
                pending.clear()
                size = 0

            if pieces[-1]:
                pending.append(pieces[-1])
                size += len(pieces[-1])
                if size > EVENT_LIMIT:
                    raise BrokenAnswer(f"the answer has an event of more than {EVENT_LIMIT:,} bytes")
