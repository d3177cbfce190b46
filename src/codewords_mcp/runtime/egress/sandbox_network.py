"""One sandbox's network, as the runtime serves it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from codewords_mcp.runtime.egress.events import EgressEvent, EventLog
from codewords_mcp.runtime.egress.fake_names import FakeNames
from codewords_mcp.runtime.egress.host_check import HostCheck
from codewords_mcp.runtime.egress.intercept.interception import Interception
from codewords_mcp.runtime.egress.intercept.session import InterceptSession
from codewords_mcp.runtime.egress.listener import ConnectionListener
from codewords_mcp.runtime.egress.relay import Traffic, relay, reset
from codewords_mcp.runtime.model.addresses import FAKE_NETWORK, parse_address
from codewords_mcp.runtime.model.egress_policy import EgressPolicy
from codewords_mcp.runtime.sandboxes.base import SandboxSockets
from codewords_mcp.runtime.web.dial import (
    DialFailed,
    Dialled,
    Dialler,
    DialRefused,
    Share,
)

RuntimeTls = Callable[[], ssl.SSLContext]
"""Makes the context of a server whose certificate the sandbox's program trusts, for the address of the connection."""
ServeRuntime = Callable[[str, socket.socket, RuntimeTls | None], Awaitable[None]]
"""`serve(sandbox_id, connection, tls)` serves a sandbox's connection to the runtime until it ends, with TLS where the program
begins with it: some SDKs open websockets with TLS only, whatever the address says. None: it trusts no certificate of ours.

Owns and closes the connection, also when it is cancelled. Raises OSError.
"""

# linux/netfilter_ipv4.h
_SO_ORIGINAL_DST = 80
REFUSAL_DELAY = 0.2
"""Seconds until the reset of a refused connection whose program sends nothing."""
_SOL_IP = 0


class SandboxNetwork:
    """Handle of an attached sandbox; serves its sockets, which it owns, until `close`.

    Without `serve_runtime` the sandbox cannot reach the runtime.
    """

    def __init__(
        self,
        sandbox_id: str,
        sockets: SandboxSockets,
        dialler: Dialler,
        policy: EgressPolicy,
        serve_runtime: ServeRuntime | None,
        listener: Callable[[EgressEvent], None],
        max_connections: int,
        interception: Interception | None = None,
    ) -> None:
        self._sandbox_id = sandbox_id
        self.traffic = Traffic()
        """Bytes to and from destinations. Traffic with the runtime itself is not counted."""
        self._dialler = dialler
        self._policy = policy
        self._serve_runtime = serve_runtime
        self._log = EventLog(listener)
        self._limit = max_connections
        self._names = FakeNames()
        self._interception = interception
        self._share = Share()

        if sockets.dns:
            # dnspython takes 50 ms to import, and a home without sandboxes of this kind needs none of it.
            from codewords_mcp.runtime.egress.dns import DnsResponder

            self._dns = DnsResponder(sockets.dns, self._names)
        else:
            self._dns = None

        served = (
            (sockets.runtime if serve_runtime is not None else None, self._to_runtime),
            (sockets.connect, self._to_proxy),
            (sockets.transparent, self._to_destination),
        )
        # Nobody would accept on it: the program must see a refusal, and no connection that hangs.
        if serve_runtime is None:
            sockets.runtime.close()
        self._listeners = [
            ConnectionListener(sock, serve, limit=max_connections, overflow=self._overflow)
            for sock, serve in served
            if sock is not None
        ]

    @property
    def events(self) -> tuple[EgressEvent, ...]:
        """The last 1000 connection attempts of the sandbox, oldest first; also after `close`."""
        return self._log.all()

    async def close(self) -> None:
        """Close listeners and every connection. Idempotent; never raises."""
        if self._dns is not None:
            self._dns.close()
        await asyncio.gather(*(listener.close() for listener in self._listeners), return_exceptions=True)

    async def _to_runtime(self, client: socket.socket) -> None:
        assert self._serve_runtime is not None  # noqa: S101  # else nobody listens
        interception, tls = self._interception, None
        if interception is not None and interception.trusted:
            tls = partial(interception.authority.context, client.getsockname()[0], "http/1.1")
        await self._serve_runtime(self._sandbox_id, client, tls)

    async def _to_destination(self, client: socket.socket) -> None:
        """Serve a connection that the kernel redirected.

        The program sees it open; a refusal is then a reset.
        """
        destination = _original_destination(client)
        # A connection to the redirect's own port, made by a program on purpose.
        if destination is None:
            reset(client)
            return

        try:
            host, upstream = await self._reach(*destination)
        except DialFailed:
            await _reset_after_first_byte(client)
            return

        await self._forward(client, upstream, host, destination[1])

    async def _to_proxy(self, client: socket.socket) -> None:
        # Most sandboxes are redirected by the kernel: h11 is imported for the first that asks a proxy.
        from codewords_mcp.runtime.egress.proxy import BadRequest, read_request, respond

        try:
            request = await read_request(client)
            if request is None:
                client.close()
                return
        except BadRequest as error:
            await respond(client, error.status, error.message)
            return

        try:
            host, upstream = await self._reach(request.host, request.port)
        except DialFailed as error:
            message = f"{error.host}:{request.port} {error.verb}: {error.reason}."
            # 502: the host is at fault; 403: the policy.
            await respond(client, 502 if error.allowed else 403, message)
            return

        await self._forward(
            client, upstream, host, request.port, to_client=request.to_client, to_upstream=request.to_upstream
        )

    async def _forward(
        self,
        client: socket.socket,
        upstream: socket.socket | None,
        host: str,
        port: int,
        *,
        to_client: bytes = b"",
        to_upstream: bytes = b"",
    ) -> None:
        """Tunnel, unless the sandbox has placeholders: then check that they are for this host."""
        if self._interception is None:
            assert upstream is not None  # noqa: S101  # only what is intercepted is dialled later
            check = self._host_check(host, port)
            await relay(
                client,
                upstream,
                to_client=to_client,
                to_upstream=to_upstream,
                traffic=self.traffic,
                check=check,
            )
            return

        # Imported here: most sandboxes have no placeholders, and this brings h2 and cryptography.
        from codewords_mcp.runtime.egress.intercept.routing import serve_connection

        await serve_connection(
            InterceptSession(
                self._interception,
                host,
                port,
                dial=partial(self._dial_again, host, port),
                refused=partial(self._record_refusal, host, port),
                used=partial(self._record_secrets, host, port),
                traffic=self.traffic,
                check=self._host_check(host, port),
            ),
            client,
            upstream,
            to_client=to_client,
            to_upstream=to_upstream,
        )

    def _record_refusal(self, host: str, port: int, reason: str) -> None:
        self._log.request(host, port, refused=reason)

    def _record_secrets(self, host: str, port: int, names: tuple[str, ...]) -> None:
        self._log.request(host, port, secrets=names)

    def _host_check(self, host: str, port: int) -> HostCheck | None:
        """The check for a listed name; None where there is nothing to check."""
        # Without a list any host is allowed, so naming another gains nothing.
        if not self._policy.lists(host):
            return None
        return HostCheck(host, partial(self._record_refusal, host, port))

    async def _reach(self, target: str, port: int) -> tuple[str, socket.socket | None]:
        """(the host's name, a connection to it).

        If a recorder may answer in its place, the host is judged by name and dialled later. Raises
        DialFailed.
        """
        if self._interception is None or not self._interception.answers:
            dialled = await self._dial(target, port)
            return dialled.host, dialled.sock

        host = target
        try:
            # Inside the block: an address that stands for no name is recorded too.
            host = self._name_behind(target)
            if reason := self._policy.lookup_refusal(host, port):
                raise DialRefused(reason)
        except DialFailed as error:
            self._note(error, host, port)
            raise

        return host, None

    async def _dial_again(self, host: str, port: int) -> socket.socket:
        return (await self._dial(host, port)).sock

    async def _dial(self, target: str, port: int) -> Dialled:
        """Connect to the sandbox's target, and record it. Raises DialFailed."""
        host = target
        try:
            host = self._name_behind(target)
            dialled = await self._dialler.dial(self._policy, host, port, self._share)
        except DialFailed as error:
            self._note(error, host, port)
            raise

        self._log.add(host, port, dialled.address, allowed=True)
        dialled.host = host
        return dialled

    def _note(self, error: DialFailed, host: str, port: int) -> None:
        error.host = host
        self._log.add(host, port, error.address, allowed=error.allowed, reason=error.reason)

    def _name_behind(self, host: str) -> str:
        address = parse_address(host)
        # Only these addresses stand for names; any other was named by the program itself.
        if address is None or address not in FAKE_NETWORK:
            return host
        name = self._names.name_of(address)
        if name is None:
            raise DialRefused(f"{address} stands for no name that was looked up here", host)
        return name

    def _overflow(self, client: socket.socket) -> None:
        """Record a connection past the limit: by its destination, or by the listener's address
        without one.
        """
        # A connection to the proxy has no destination yet.
        host, port = _original_destination(client) or ("localhost", client.getsockname()[1])
        address = parse_address(host)
        if address:
            name = self._names.name_of(address)
        else:
            name = None
        reason = f"{self._limit} connections are open already"
        self._log.add(name or host, port, None, allowed=False, reason=reason)


async def _reset_after_first_byte(client: socket.socket) -> None:
    """Reset a connection, but only after its first byte or `REFUSAL_DELAY`."""
    # The redirect accepted it before it was judged. Some clients (anyio on uvloop) fail on a
    # connection that is closed while they still set it up. Most send first.
    try:
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(REFUSAL_DELAY):
                await asyncio.get_running_loop().sock_recv(client, 1)
    finally:
        reset(client)


def _original_destination(client: socket.socket) -> tuple[str, int] | None:
    """Destination of a redirected connection; None if it was made to the redirect's own port."""
    try:
        # struct sockaddr_in: family, port, address.
        raw = client.getsockopt(_SOL_IP, _SO_ORIGINAL_DST, 16)
    except OSError:
        return None
    port, packed = struct.unpack_from("!H4s", raw, 2)
    destination = (socket.inet_ntoa(packed), int(port))
    # Not redirected: it would be relayed to itself without end.
    if destination == client.getsockname():
        return None
    return destination
