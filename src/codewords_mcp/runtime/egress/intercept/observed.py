"""Connections of a recorded sandbox: what is HTTP is read as it passes, everything else is tunnelled and noted.

The program and the host get each other's bytes unchanged. Where that cannot be, they are left alone: a host whose
certificate only the program trusts, one that asks for a certificate of the program, a program that does not trust ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Final

from codewords_mcp.runtime.egress.client_hello import HANDSHAKE, MAX_BYTES, ClientHello, read_client_hello
from codewords_mcp.runtime.egress.intercept import unread
from codewords_mcp.runtime.egress.intercept.http1_observer import Http1Observer, begins_request
from codewords_mcp.runtime.egress.intercept.http2_observer import PREFACE, Http2Observer
from codewords_mcp.runtime.egress.intercept.observation import GuardedObserver, Observation
from codewords_mcp.runtime.egress.intercept.session import InterceptSession
from codewords_mcp.runtime.egress.intercept.tls_end import TlsEnd
from codewords_mcp.runtime.egress.intercept.tls_passage import TlsPassage
from codewords_mcp.runtime.egress.intercept.trust import TrustedHost
from codewords_mcp.runtime.egress.relay import Check, Traffic, relay, reset
from codewords_mcp.runtime.model.host_names import normal_host
from codewords_mcp.runtime.recording.recording_session import RecordingSession

_CHUNK: Final = 64 << 10
_MAIL: Final = (25, 110, 143, 465, 587, 993, 995)
_DATABASES: Final = (1433, 1521, 2484, 3306, 5432, 6379, 6380, 6432, 9042, 9142, 27017, 27018, 27019)
_MESSAGES: Final = (4222, 5061, 5222, 5223, 5269, 5671, 6697, 8883, 9092, 9093, 9094, 9096)
_SYSTEMS: Final = (636, 853, 989, 990, 992, 3269, 6514)
_OTHER_PORTS: Final = frozenset((*_MAIL, *_DATABASES, *_MESSAGES, *_SYSTEMS))
"""Ports of other protocols within TLS. There, a client that does not offer HTTP is not read: to fail once for one that pins
certificates would gain nothing.
"""


@dataclass(slots=True)
class ObservedConnection:
    """One connection, from the moment that its host is dialled. Owns both sockets."""

    session: InterceptSession
    client: socket.socket
    upstream: socket.socket
    check: Check | None
    """Judges the program's data where it is not encrypted."""
    traffic: Traffic = field(init=False)
    recording: RecordingSession | None = field(init=False)
    why: str = ""
    """Completes "not recorded: …"; "" for a connection that is read."""
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.recording = self.session.interception.recording
        self.traffic = Traffic(total=self.session.traffic)

    async def serve(self, to_client: bytes, to_upstream: bytes) -> None:
        """Serve it to its end. `to_client` and `to_upstream` are sent first, as in `relay`."""
        interception = self.session.interception
        interception.opened(self._abort)
        try:
            await self._serve(to_client, to_upstream)
        finally:
            interception.closed(self._abort)
            self.client.close()
            self.upstream.close()
            if self.why:
                self._note()

    def _abort(self) -> None:
        # The relay, or whoever waits for these sockets, sees them end.
        for sock in (self.client, self.upstream):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    async def _serve(self, to_client: bytes, to_upstream: bytes) -> None:
        known = self.session.interception.unread.get(self.session.host)
        if known is not None:
            await self._tunnel(known, to_client, to_upstream)
            return

        if to_client:
            # First: a client of a proxy sends nothing before it is connected.
            await asyncio.get_running_loop().sock_sendall(self.client, to_client)
        first = to_upstream or await self._first_bytes()
        if first[:1] == bytes([HANDSHAKE]):
            await self._serve_tls(first)
        elif begins_request(first) or first.startswith(PREFACE[: len(first)] or PREFACE):
            await self._serve_plain(first)
        else:
            await self._tunnel(unread.NO_HTTP, b"", first)

    async def _first_bytes(self) -> bytes:
        """The program's first bytes; none if the host speaks first, or one of them hangs up."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        for sock in (self.client, self.upstream):
            loop.add_reader(sock.fileno(), _set_done, ready)
        try:
            await ready
        finally:
            for sock in (self.client, self.upstream):
                loop.remove_reader(sock.fileno())
        try:
            return self.client.recv(_CHUNK)
        # It was the host that had something to say.
        except (BlockingIOError, InterruptedError):
            return b""

    async def _tunnel(self, why: str, to_client: bytes, to_upstream: bytes) -> None:
        self.why = why
        await relay(
            self.client,
            self.upstream,
            to_client=to_client,
            to_upstream=to_upstream,
            traffic=self.traffic,
            check=self.check,
        )

    async def _serve_plain(self, first: bytes) -> None:
        self.session.secure = False
        # A client that knows its server speaks HTTP/2 at once (RFC 9113, 3.3), of which not all may
        # be here yet.
        http2 = first[:3] == PREFACE[:3] and PREFACE.startswith(first[: len(PREFACE)])
        observer = self._observer(unread.NO_HTTP, http2=http2)

        def sent(data: bytes) -> bytes:
            observer.sent(data)
            return data

        def received(data: bytes) -> bytes:
            if data:
                observer.received(data)
            else:
                observer.host_ended()
            return data

        try:
            observer.sent(first)
            await relay(
                self.client,
                self.upstream,
                to_upstream=first,
                traffic=self.traffic,
                check=self.check,
                filters=(sent, received),
            )
        finally:
            observer.end()

    def _observer(self, why: str, *, http2: bool) -> GuardedObserver:
        def failed() -> None:
            self.why = why

        observation = Observation(self.session)
        if http2:
            return GuardedObserver(Http2Observer(observation), failed)
        return GuardedObserver(Http1Observer(observation), failed)

    async def _serve_tls(self, first: bytes) -> None:
        first, hello = await self._hello(first)
        # Listed hosts: the name within has to be the one that was connected to.
        if self.check is not None and self.check(first) is False:
            reset(self.client)
            return

        host, port = self.session.host, self.session.port
        if hello is None or not _may_speak_http(hello, port):
            await self._tunnel_checked(unread.NO_HTTP_IN_TLS, first)
        elif not self.session.interception.trusted:
            await self._tunnel_checked(unread.OWN_LIST, first)
        elif hello.greased:
            await self._tunnel_checked(unread.BROWSER, first)
        elif normal_host(hello.server_name) != host:
            await self._tunnel_checked(unread.OTHER_NAME, first)
        else:
            await self._open_tls(first, hello)

    async def _tunnel_checked(self, why: str, first: bytes) -> None:
        """Tunnel what begins with bytes that were checked."""
        self.check = None
        await self._tunnel(why, b"", first)

    async def _hello(self, first: bytes) -> tuple[bytes, ClientHello | None]:
        """(all that the program said, its first message if it is one)."""
        try:
            while (hello := read_client_hello(first)) is None and len(first) <= MAX_BYTES:
                more = await asyncio.get_running_loop().sock_recv(self.client, _CHUNK)
                if not more:
                    break
                first += more
        # What is no TLS is passed on as it came.
        except (ValueError, IndexError):
            return first, None
        return first, hello

    async def _open_tls(self, first: bytes, hello: ClientHello) -> None:
        session = self.session
        trusted = TrustedHost(session.host, session.port, hello.protocols)
        try:
            host = await trusted.handshake(self.upstream)
        except (OSError, TimeoutError) as error:
            # The program was told nothing yet: it gets a connection of its own.
            learned = isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError)
            await self._begin_again(trusted.why_unread(error), first, learned=learned)
            return
        if trusted.wants_certificate:
            await self._begin_again(unread.CLIENT_CERTIFICATE, first, learned=True)
            return
        # A program that has given up meanwhile says nothing about our certificate.
        if _has_ended(self.client):
            return

        protocol = host.tls.selected_alpn_protocol()
        program = TlsEnd(session.interception.authority.context(session.host, protocol))
        try:
            await program.handshake(self.client, first)
        except (OSError, TimeoutError) as error:
            if unread.distrusts(error):
                self._learn_pinned()
            return

        await self._relay_tls(TlsPassage(program, host, trusted), http2=protocol == "h2")

    async def _begin_again(self, why: str, first: bytes, *, learned: bool) -> None:
        """Tunnel to the host afresh."""
        if learned:
            self.session.interception.leave_unread(self.session.host, why)
        self.upstream.close()
        self.upstream = await self.session.dial()
        await self._tunnel_checked(why, first)

    def _learn_pinned(self) -> None:
        self.why = unread.PINNED
        recording = self.session.interception.recording or self.recording
        if recording is not None:
            recording.tell_pinned(self.session.host)
        self.session.interception.leave_unread(self.session.host, unread.PINNED)

    async def _relay_tls(self, passage: TlsPassage, *, http2: bool) -> None:
        interception, host = self.session.interception, self.session.host
        passage.observer = self._observer(unread.NO_HTTP_IN_TLS, http2=http2)
        try:
            await relay(
                self.client,
                self.upstream,
                # What either side said together with the end of its handshake.
                to_upstream=passage.sent(b""),
                to_client=passage.received_first(),
                traffic=self.traffic,
                filters=(passage.sent, passage.received),
            )
        finally:
            passage.observer.end()
            if passage.heard:
                interception.accepted.add(host)

        # Some clients judge the certificate after the handshake, and hang up.
        if passage.distrusted or not (passage.heard or host in interception.accepted):
            self._learn_pinned()

    def _note(self) -> None:
        # A run that is over has taken its recorder along: the one from the begin is told all the same.
        recording = self.session.interception.recording or self.recording
        if recording is not None:
            traffic = self.traffic.sent, self.traffic.received
            recording.note_unread(self.session.host, self.session.port, traffic, self.began, self.why)


def _may_speak_http(hello: ClientHello, port: int) -> bool:
    # Websockets' and older clients offer nothing, on whatever port.
    return hello.may_speak_http or not (hello.protocols or port in _OTHER_PORTS)


def _has_ended(sock: socket.socket) -> bool:
    try:
        return not sock.recv(1, socket.MSG_PEEK)
    except (BlockingIOError, InterruptedError):
        return False


def _set_done(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
