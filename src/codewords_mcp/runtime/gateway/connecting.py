"""Opens sockets to providers: addresses tried as in RFC 8305, proxy tunnels, TLS contexts."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

from codewords_mcp.common.http1 import MAX_HEAD_BYTES
from codewords_mcp.runtime.gateway.http_connection import Endpoint

if TYPE_CHECKING:
    import socket


async def dial(host: str, port: int) -> socket.socket:
    """Connect to the first of a host's addresses that accepts. Raises OSError."""
    import socket

    import aiohappyeyeballs

    start = cast("Callable[..., Awaitable[socket.socket]]", getattr(aiohappyeyeballs, "start_connection"))  # noqa: B009  # its types are half known
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # The delay is what RFC 8305 advises.
    raw = await start(found, happy_eyeballs_delay=0.25, interleave=1)
    # Small writes must not wait until earlier ones are acknowledged.
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return raw


async def tunnel(raw: socket.socket, endpoint: Endpoint, authorization: bytes) -> None:
    """Ask an HTTP proxy to CONNECT to the endpoint. Raises ConnectionError if it refuses."""
    loop = asyncio.get_running_loop()
    # An IPv6 address has brackets there.
    if ":" in endpoint.host:
        target = f"[{endpoint.host}]"
    else:
        target = endpoint.host

    lines = [b"CONNECT %s:%d HTTP/1.1" % (target.encode(), endpoint.port), b"host: " + target.encode()]
    if authorization:
        lines.append(b"proxy-authorization: " + authorization)
    await loop.sock_sendall(raw, b"\r\n".join(lines) + b"\r\n\r\n")

    # The host behind the proxy never sends first, so nothing follows the proxy's head yet.
    head = b""
    while b"\r\n\r\n" not in head:
        piece = await loop.sock_recv(raw, 4096)
        head += piece
        # A proxy that sends on and on must not fill the memory.
        if not piece or len(head) > MAX_HEAD_BYTES:
            raise ConnectionError("the proxy did not answer")

    if head.split(b" ", 2)[1:2] != [b"200"]:
        raise ConnectionError("the proxy refused")


def authorization_of(proxy: str) -> bytes:
    """Value of the `proxy-authorization` header for the credentials in a proxy's URL; empty without
    any.
    """
    parts = urlsplit(proxy)
    if not parts.username:
        return b""
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return b"Basic " + base64.b64encode(credentials.encode())


def tls_context() -> ssl.SSLContext:
    """TLS context with the system's certificates. Blocking: reads them from disk."""
    context = ssl.create_default_context()
    # Only HTTP/1.1 is spoken here, so a server must not choose HTTP/2.
    context.set_alpn_protocols(["http/1.1"])
    return context
