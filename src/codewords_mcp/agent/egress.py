"""A machine's network: the product's own egress in it, dialling out from here or by way of the runtime.

With a program the host says how: {"by": "runtime"} sends every connection to it, to be judged there. {"by": "machine",
"mode", "hosts", "private"} has them judged and dialled here; only what the operator allowed on private addresses, which
are the runtime's and not this machine's, goes by way of it.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final, Protocol

from codewords_mcp.runtime.egress import HOST_ALIAS, EgressEvent, EgressPolicy, SandboxNetwork
from codewords_mcp.runtime.egress.network import CONNECT_TIMEOUT, MAX_CONNECTIONS
from codewords_mcp.runtime.egress.sandbox_network import RuntimeTls, ServeRuntime
from codewords_mcp.runtime.sandboxes.base import SandboxSockets
from codewords_mcp.runtime.sandboxes.e2b.mux import Json, Stream, relay
from codewords_mcp.runtime.web.dial import (
    DialFailed,
    Dialled,
    Dialler,
    DialRefused,
    Share,
    Unreachable,
    system_resolve,
)

_NOWHERE: Final[Json] = {"by": "machine", "mode": "none", "hosts": None, "private": []}


class Tunnel(Protocol):
    """The way to the runtime."""

    def open(self, what: Json) -> Stream:
        """A stream. Raises ConnectionResetError."""
        ...

    def heard(self, event: Json) -> None:
        """Tell of an attempt to connect."""
        ...


class TunnelDialler(Dialler):
    """Dials out of the runtime's machine: everything, or only what `through` names."""

    def __init__(self, tunnel: Tunnel, through: frozenset[tuple[str, int]] | None) -> None:
        super().__init__(system_resolve, CONNECT_TIMEOUT)
        self._tunnel = tunnel
        self._through = through
        self._tasks: set[asyncio.Task[None]] = set()

    def is_tunnelled(self, host: str, port: int) -> bool:
        """Whether a connection goes by way of the runtime."""
        return self._through is None or host == HOST_ALIAS or (host, port) in self._through

    async def dial(self, policy: EgressPolicy, host: str, port: int, share: Share) -> Dialled:
        """See `Dialler`."""
        if not self.is_tunnelled(host, port):
            return await super().dial(policy, host, port, share)
        try:
            async with asyncio.timeout(2 * CONNECT_TIMEOUT):
                return await self._by_runtime(host, port)
        except (OSError, TimeoutError):
            raise Unreachable("the runtime did not connect to it") from None

    async def _by_runtime(self, host: str, port: int) -> Dialled:
        # The runtime judges the host again by its own policy: this machine runs the program and
        # is not trusted with the decision.
        stream = self._tunnel.open({"to": "out", "host": host, "port": port})
        try:
            verdict = json.loads(await stream.read() or b"{}")
        except BaseException:
            stream.reset()
            raise

        if not verdict.get("open"):
            kind: type[DialFailed] = Unreachable if verdict.get("allowed") else DialRefused
            raise kind(verdict.get("reason") or "the runtime did not connect to it")

        # The caller splices a socket into the program's connection, so the multiplexed stream
        # is given one.
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=theirs)
        task = asyncio.create_task(relay(stream, reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

        return Dialled(ours, host)


@dataclass(slots=True)
class Handle:
    """One program's network, served."""

    served: SandboxNetwork
    dialler: Dialler

    async def close(self) -> None:
        """See `NetworkHandle`."""
        self.dialler.close()
        await self.served.close()


class MachineNetwork:
    """Implements `Network` for the machine's driver."""

    def __init__(self) -> None:
        self._expected: dict[str, tuple[Json, Tunnel]] = {}

    def expect(self, sandbox_id: str, how: Json, tunnel: Tunnel) -> None:
        """A program is about to start. Raises InvalidInput for a policy that is none."""
        self._expected[sandbox_id] = (how, tunnel)

    async def attach(self, sandbox_id: str, sockets: SandboxSockets) -> Handle:
        """See `Network`. What nobody expects, as the self-test's sandboxes, reaches nothing."""
        how, tunnel = self._expected.pop(sandbox_id, (_NOWHERE, None))
        if tunnel is None:
            dialler = Dialler(system_resolve, CONNECT_TIMEOUT)
            return Handle(_serve(sandbox_id, sockets, dialler, _policy(how), _unserved, _unheard), dialler)

        if how["by"] == "runtime":
            through = None
        else:
            through = frozenset((host, port) for host, port in how["private"])

        dialler = TunnelDialler(tunnel, through)

        def heard(event: EgressEvent) -> None:
            # The runtime records connections that it makes itself; reporting them would count
            # twice.
            if not dialler.is_tunnelled(event.host, event.port):  # of those the runtime knows itself
                tunnel.heard(asdict(event) | {"at": event.at.isoformat()})

        served = _serve(sandbox_id, sockets, dialler, _policy(how), _to_runtime(tunnel), heard)

        return Handle(served, dialler)


def _policy(how: Json) -> EgressPolicy:
    if how["by"] == "runtime":
        return EgressPolicy()
    hosts = how["hosts"]
    return EgressPolicy(how["mode"], hosts=None if hosts is None else frozenset(hosts))


def _unheard(_: EgressEvent) -> None:
    """Nobody waits for it."""


def _serve(
    sandbox_id: str,
    sockets: SandboxSockets,
    dialler: Dialler,
    policy: EgressPolicy,
    runtime: ServeRuntime,
    heard: Callable[[EgressEvent], None],
) -> SandboxNetwork:
    for end in (sockets.runtime, sockets.connect, sockets.transparent, sockets.dns):
        if end is not None:
            end.setblocking(False)
    return SandboxNetwork(sandbox_id, sockets, dialler, policy, runtime, heard, MAX_CONNECTIONS)


async def _unserved(_sandbox_id: str, client: socket.socket, _tls: RuntimeTls | None) -> None:
    client.close()


def _to_runtime(tunnel: Tunnel) -> ServeRuntime:
    """Carries a program's connections to the internal listener of the runtime, which knows them by the tunnel's sandbox."""

    async def serve(_sandbox_id: str, client: socket.socket, _tls: RuntimeTls | None) -> None:
        reader, writer = await asyncio.open_connection(sock=client)
        try:
            await relay(tunnel.open({"to": "runtime"}), reader, writer)
        finally:
            writer.close()

    return serve
