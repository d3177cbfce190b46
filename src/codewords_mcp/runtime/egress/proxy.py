"""HTTP proxy protocol: CONNECT, and absolute-form requests (RFC 9110 9.3.6, RFC 9112 3.2.2).

h11 reads each head and writes the one for the origin: a malformed head never leaves this machine.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

from codewords_mcp.runtime.model.host_names import normal_host

MAX_HEAD = 32 << 10
HEAD_TIMEOUT = 30.0
"""Seconds for a client to send its request's head."""

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

_NOT_FORWARDED = frozenset(
    {b"proxy-connection", b"proxy-authorization", b"connection", b"keep-alive", b"host"}
)
_PHRASES = {400: "Bad Request", 403: "Forbidden", 431: "Request Header Fields Too Large", 502: "Bad Gateway"}
_LINGER = 2.0
MAX_PHRASE = 300


@dataclass(frozen=True, slots=True)
class ProxyRequest:
    """Destination of a request, the first bytes for it, and the client's bytes once it is
    connected.
    """

    host: str
    port: int
    to_upstream: bytes
    to_client: bytes


class BadRequest(Exception):  # an outcome, caught inside this package
    """The request is no valid proxy request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class ProxyRequestParser:
    """Reads the head of one connection's only request."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)

    def feed(self, data: bytes) -> ProxyRequest | None:
        """Take more bytes. Returns the request once its head is complete. Raises BadRequest."""
        try:
            self._http.receive_data(data)
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise _malformed(error) from None

        if not isinstance(event, h11.Request):
            return None
        if event.http_version not in {b"1.0", b"1.1"}:
            raise BadRequest(400, "This proxy speaks HTTP/1.1.")

        # A client may send its TLS hello without waiting for the response to CONNECT.
        early_bytes, _ = self._http.trailing_data
        return _proxy_request(event, early_bytes)


async def read_request(client: socket.socket) -> ProxyRequest | None:
    """The client's request; None if it closes, or sends none within 30 s. Raises BadRequest."""
    loop = asyncio.get_running_loop()
    parser = ProxyRequestParser()

    try:
        async with asyncio.timeout(HEAD_TIMEOUT):
            while more := await loop.sock_recv(client, 8192):
                request = parser.feed(more)
                if request is not None:
                    return request
    except TimeoutError:
        pass

    return None


def _malformed(error: h11.RemoteProtocolError) -> BadRequest:
    if error.error_status_hint == 431:
        return BadRequest(431, f"The head of the request is over {MAX_HEAD} bytes.")

    # h11's own message can quote the client's bytes.
    return BadRequest(
        400,
        "This is not a valid HTTP/1.1 request: its first line or a header is malformed, or Host is missing.",
    )


def _proxy_request(request: h11.Request, early_bytes: bytes) -> ProxyRequest:
    target = request.target.decode("ascii")
    if request.method == b"CONNECT":
        host, port = _authority(target, None)
        return ProxyRequest(host, port, early_bytes, ESTABLISHED)
    if not target.lower().startswith("http://"):
        raise BadRequest(400, "This is a proxy: it takes CONNECT host:port and http:// addresses.")

    return _plain_request(request, target, early_bytes)


def _plain_request(request: h11.Request, target: str, early_bytes: bytes) -> ProxyRequest:
    """Rewrite a request as the origin expects it.

    One request per connection: the next may be for another host.
    """
    names = {name for name, _ in request.headers}
    if {b"content-length", b"transfer-encoding"} <= names:
        # Two servers can disagree where such a body ends (RFC 9112, 6.1).
        raise BadRequest(400, "The request has both Content-Length and Transfer-Encoding; send one of them.")

    authority, slash, path = target[len("http://") :].partition("/")
    # "http://host?query" has no path.
    authority, question, query = authority.partition("?")
    host, port = _authority(authority, 80)

    if slash and not question:
        origin = f"/{path}"
    else:
        origin = f"/{question}{query}{slash}{path}"

    forwarded = [
        (raw, value) for raw, value in request.headers.raw_items() if raw.lower() not in _NOT_FORWARDED
    ]
    head = h11.Request(
        method=request.method,
        target=origin,
        headers=[
            (b"Host", authority.rpartition("@")[2].encode("ascii")),
            *forwarded,
            (b"Connection", b"Upgrade" if b"upgrade" in names else b"close"),
        ],
    )
    return ProxyRequest(host, port, (h11.Connection(h11.CLIENT).send(head) or b"") + early_bytes, b"")


def _authority(text: str, default_port: int | None) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = normal_host(parts.hostname or ""), parts.port or default_port
    except ValueError:
        host, port = None, None
    if host is None or port is None:
        raise BadRequest(400, "The destination is not a host and a port.")
    return host, port


async def respond(client: socket.socket, status: int, message: str) -> None:
    """Send a status and a message, and close once the client has them. Owns the socket."""
    # The message is also the reason phrase: most clients report only that part of a response to
    # CONNECT.
    body = (message + "\n").encode()
    phrase = "".join(letter for letter in message if " " <= letter <= "~")[:MAX_PHRASE] or _PHRASES[status]
    head = (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    loop = asyncio.get_running_loop()

    try:
        async with asyncio.timeout(_LINGER):
            await loop.sock_sendall(client, head.encode() + body)
            client.shutdown(socket.SHUT_WR)
            # Closing with unread bytes would reset the connection, and could take the answer with it.
            while await loop.sock_recv(client, 65536):
                pass
    except (OSError, TimeoutError):
        pass
    finally:
        client.close()
