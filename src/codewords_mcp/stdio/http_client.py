"""HTTP/1.1 to the runtime by `http.client`: kept connections, hang-ups from another thread, server-sent events."""

from __future__ import annotations

import select
import socket
import time
from http.client import (
    BadStatusLine,
    HTTPConnection,
    HTTPException,
    HTTPSConnection,
    IncompleteRead,
    RemoteDisconnected,
)
from threading import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPResponse

CONNECT_TIMEOUT = 10.0
SILENCE = 120.0
"""Seconds without a byte after which an answer is given up; a living stream sends a ping every 15 s."""
EVENT_LIMIT = 64 << 20
"""Bytes of one answer or event; more is a fault of the other side."""
_PART = 1 << 16
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
        self._lock = Lock()

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
        kind = HTTPSConnection if endpoint.secure else HTTPConnection
        self._http = kind(endpoint.host, endpoint.port, timeout=CONNECT_TIMEOUT)
        # A connection that another thread has closed must not come back with the next request.
        self._http.auto_open = 0
        try:
            self._http.connect()
        except OSError as error:
            raise NotSent(str(error)) from error

        # Held here: `http.client` lets go of it once it has an answer that ends with the connection.
        self._socket = self._http.sock
        self._socket.settimeout(SILENCE)

    def quiet(self) -> bool:
        """Whether nothing has come since the last answer, not even the end."""
        try:
            return not select.select([self._socket], [], [], 0)[0]
        except ValueError:
            return False  # closed by another thread

    def close(self) -> None:
        """Hang up. The other side sees it at once, and so does a thread that reads here."""
        # shutdown wakes a thread that is blocked in recv on this socket; close alone doesn't.
        try:  # noqa: SIM105 - contextlib is not worth its import in the proxy
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it was already down
        self._socket.close()

    def request(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> None:
        """Send a request. Raises NotSent."""
        endpoint = self._endpoint
        every = {"Host": endpoint.authority, "Content-Length": str(len(body))}
        if endpoint.key:
            every["Authorization"] = f"Bearer {endpoint.key}"
        every |= endpoint.headers | headers

        try:
            self._http.request(method, endpoint.prefix + path, body, every)
        except (OSError, HTTPException) as error:
            raise NotSent(str(error)) from error

    def answer(self) -> HttpResponse:
        """Wait for the head of the answer. Raises BrokenAnswer."""
        try:
            response = self._http.getresponse()
        except (OSError, HTTPException, ValueError) as error:
            raise _broken(error) from error
        return HttpResponse(self, self._endpoint, response)


def _broken(error: Exception) -> BrokenAnswer:
    """The error of an answer that did not come to its end. A ValueError is of a connection that another thread has closed."""
    match error:
        case TimeoutError():
            return BrokenAnswer(f"nothing came for {SILENCE:.0f} seconds", silent=True)
        case RemoteDisconnected():
            return BrokenAnswer("the connection ended before the answer")
        case BadStatusLine():
            return BrokenAnswer("what answered is not an HTTP server")
        case IncompleteRead():
            return BrokenAnswer("the connection ended in the middle of an answer")
        case HTTPException():
            return BrokenAnswer("the answer is not readable as HTTP")
        case _:
            return BrokenAnswer("the connection broke")


class HttpResponse:
    """The head of an answer; its body is read by exactly one of `read` and `events`."""

    def __init__(self, connection: HttpConnection, endpoint: HttpEndpoint, response: HTTPResponse) -> None:
        self._connection = connection
        self._endpoint = endpoint
        self._response = response
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    @property
    def kind(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def _parts(self) -> Iterator[bytes]:
        while part := self._part():
            yield part
        # A body that ends with the connection leaves nothing to reuse.
        if self._response.will_close:
            self._connection.close()
        else:
            self._endpoint.keep(self._connection)

    def _part(self) -> bytes:
        response = self._response
        try:
            # `read1` of a body of known length does not count what is left before Python 3.11.8.
            if response.length is None:
                return response.read1(_PART)
            part = response.read(_PART)
        except (OSError, HTTPException, ValueError) as error:
            raise _broken(error) from error

        if not part and response.length:
            raise BrokenAnswer("the connection ended in the middle of an answer")
        return part

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
