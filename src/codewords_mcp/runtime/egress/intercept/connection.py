"""One intercepted connection: detects TLS, and serves the protocol that both sides speak."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from typing import Final

from codewords_mcp.runtime.egress.client_hello import HANDSHAKE, read_client_hello
from codewords_mcp.runtime.egress.host_check import OTHER_SNI
from codewords_mcp.runtime.egress.intercept.http1 import Http1, respond_failure
from codewords_mcp.runtime.egress.intercept.http2 import Http2
from codewords_mcp.runtime.egress.intercept.session import HostUnreachable, InterceptSession, TlsStream

SPEAKS_FIRST: Final = 10.0
"""Seconds without data after which a program is assumed to wait for the host's greeting, as in
SMTP.
"""
SPEAKS_SOON: Final = 1.0
"""Seconds without data after which a host is dialled that was not dialled because of a recorder."""
_REQUEST_LINE: Final = re.compile(rb"[A-Z]{3,20} [/*]\S* HTTP/1\.[01]\r\n")


def _set_done(readable: asyncio.Future[None]) -> None:
    if not readable.done():
        readable.set_result(None)


async def first_bytes(
    client: socket.socket, upstream: socket.socket | None, *, patient: bool = False
) -> bytes:
    """The program's first bytes, without consuming them.

    Empty if it closed, is silent, or the host sent first. `patient`: silence ends the connection, so a program that is only
    slow (it opens hundreds at once) is waited for as long as with a host.
    """
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    sockets = [sock.fileno() for sock in (client, upstream) if sock is not None]
    for sock in sockets:
        # Whichever side sends first decides.
        loop.add_reader(sock, _set_done, readable)
    try:
        async with asyncio.timeout(SPEAKS_FIRST if upstream is not None or patient else SPEAKS_SOON):
            await readable
        # Peeked: TLS itself must read the same bytes.
        return client.recv(4096, socket.MSG_PEEK)
    except (TimeoutError, BlockingIOError):
        return b""
    finally:
        for sock in sockets:
            loop.remove_reader(sock)


def is_tls(first: bytes) -> bool:
    """Whether a connection begins as TLS does."""
    return first[:1] == bytes([HANDSHAKE])


def is_http(first: bytes) -> bool:
    """Whether a connection begins as HTTP/1.1 does."""
    return _REQUEST_LINE.match(first) is not None


async def read_plain(
    session: InterceptSession, client: socket.socket, upstream: socket.socket | None
) -> None:
    """Serve a program's plain HTTP; owns both sockets."""
    if upstream is None:
        host = None
    else:
        host = await session.connect((), upstream)
    program = await session.serve_plain(client)
    try:
        await Http1(session, program, host).run()
    finally:
        await program.close()


async def intercept(
    session: InterceptSession, client: socket.socket, upstream: socket.socket | None, hello: bytes
) -> None:
    """Serve a program's connection to a host with a rule; owns both sockets.

    `hello` is its first bytes.
    """
    program: TlsStream | None = None
    host: TlsStream | None = None

    try:
        # A recorder that answers speaks HTTP/1.1 only. Every HTTP/2 client falls back to it.
        if _offers_h2(hello) and not session.interception.answers:
            protocols = ("h2", "http/1.1")
        else:
            protocols = ("http/1.1",)

        failure: HostUnreachable | None = None
        # The host first: the protocol that it chooses is offered to the program.
        try:
            if upstream is None:
                host = None
            else:
                host = await session.connect(protocols, upstream)
        except HostUnreachable as failed:
            failure = failed
            session.refused(f"{failed.reason}, so nothing was sent there")

        protocol = host.protocol if host else "http/1.1"
        program = await _accept(session, client, protocol)
        if program is None:
            return

        # Answered over TLS, since the program expects a response and no broken handshake.
        if failure is not None:
            await respond_failure(program, session, failure)
        elif host is not None and protocol == "h2":
            await Http2(session, program, host).run()
        else:
            await Http1(session, program, host).run()
    except ssl.SSLError as error:
        _note(session, error)
    finally:
        for stream, sock in ((program, client), (host, upstream)):
            if stream is not None:
                await stream.close()
            elif sock is not None:
                sock.close()


_UNTRUSTED: Final = (
    "the program seems to have rejected the certificate that the runtime made for this host; it pins"
    " certificates or has a list of authorities of its own (point it to the file in SSL_CERT_FILE, or set the secret"
    " without a host rule)"
)


async def _accept(session: InterceptSession, client: socket.socket, protocol: str) -> TlsStream | None:
    """The program's side; None if its handshake failed, which is recorded."""
    try:
        return await session.serve_tls(client, protocol)
    except ssl.SSLError as error:
        _note(session, error)
    except (OSError, TimeoutError):
        # Some clients hang up without an alert.
        session.refused(_UNTRUSTED)
    return None


def _offers_h2(hello: bytes) -> bool:
    try:
        read = read_client_hello(hello)
    except (ValueError, IndexError):
        return False
    # Without the whole of it HTTP/1.1 is offered, which every client takes.
    return read is not None and "h2" in read.protocols


def _note(session: InterceptSession, error: ssl.SSLError) -> None:
    """Record another name, or a certificate alert. At TLS 1.3 a program sends the latter after the handshake."""
    if "CALLBACK_FAILED" in error.reason:
        session.refused(OTHER_SNI)
    if "ALERT" in error.reason and any(word in error.reason for word in ("CERT", "UNKNOWN_CA")):
        session.refused(_UNTRUSTED)
