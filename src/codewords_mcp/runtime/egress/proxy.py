"""HTTP proxy protocol: CONNECT, and absolute-form requests (RFC 9110 9.3.6, RFC 9112 3.2.2)."""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from codewords_mcp.runtime.egress.names import normal_host

MAX_HEAD = 32 << 10
HEAD_TIMEOUT = 30.0
"""Seconds for a client to send its request's head."""

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

_REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP/1\.[01]")
_NOT_FORWARDED = (b"proxy-connection:", b"proxy-authorization:", b"connection:", b"keep-alive:", b"host:")
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


class BadRequest(Exception):  # an answer, given inside this room
    """The request is no valid proxy request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


async def read_request(client: socket.socket) -> ProxyRequest | None:
    """The client's request; None if it closes, or sends none within 30 s. Raises BadRequest."""
    loop = asyncio.get_running_loop()
    received = b""

    try:
        async with asyncio.timeout(HEAD_TIMEOUT):
            while b"\r\n\r\n" not in received:
                if len(received) > MAX_HEAD:
                    raise BadRequest(431, f"The head of the request is over {MAX_HEAD} bytes.")

                more = await loop.sock_recv(client, 8192)
                if not more:
                    return None

                received += more
    except TimeoutError:
        return None

    head, _, rest = received.partition(b"\r\n\r\n")
    return parse_request(head, rest)


def parse_request(head: bytes, rest: bytes) -> ProxyRequest:
    """Parse a head (without its blank line) and the bytes after it. Raises BadRequest."""
    request_line, *fields = head.split(b"\r\n")
    matched = _REQUEST.fullmatch(request_line)
    if matched is None:
        raise BadRequest(400, "The first line is not that of an HTTP/1.1 request.")

    method, target = matched.group(1), matched.group(2).decode("ascii", "replace")
    if method == b"CONNECT":
        host, port = _authority(target, None)
        return ProxyRequest(host, port, rest, ESTABLISHED)
    if not target.lower().startswith("http://"):
        raise BadRequest(400, "This is a proxy: it takes CONNECT host:port and http:// addresses.")

    return _plain_request(method, target, fields, rest)


def _plain_request(method: bytes, target: str, fields: list[bytes], rest: bytes) -> ProxyRequest:
    """Rewrite a request as the origin expects it.

    One request per connection: the next may be for another host.
    """
    authority, slash, path = target[len("http://") :].partition("/")
    authority, question, query = authority.partition("?")
    host, port = _authority(authority, 80)
    lowered = [field.lower() for field in fields]
    upgrade = any(field.startswith(b"upgrade:") for field in lowered)
    forwarded = [
        field for field, low in zip(fields, lowered, strict=True) if not low.startswith(_NOT_FORWARDED)
    ]

    if slash and not question:
        origin = f"/{path}"
    else:
        origin = f"/{question}{query}{slash}{path}"

    head = [
        method + b" " + origin.encode("ascii", "replace") + b" HTTP/1.1",
        b"Host: " + authority.rpartition("@")[2].encode("ascii", "replace"),
        *forwarded,
        b"Connection: " + (b"Upgrade" if upgrade else b"close"),
    ]
    return ProxyRequest(host, port, b"\r\n".join(head) + b"\r\n\r\n" + rest, b"")


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
    """Send a status and a message, and close once the client has them. Owns the socket.

    The message is also the reason phrase: most clients report only that part of a response to
    CONNECT.
    """
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
