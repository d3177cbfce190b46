"""Serves the networks of all sandboxes of this runtime."""

from __future__ import annotations

import socket
import weakref
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog

from codewords_mcp.errors import SandboxFailed
from codewords_mcp.runtime.egress.events import EgressEvent
from codewords_mcp.runtime.egress.intercept.interception import Interception
from codewords_mcp.runtime.egress.relay import Traffic
from codewords_mcp.runtime.egress.sandbox_network import SandboxNetwork, ServeRuntime
from codewords_mcp.runtime.model.addresses import parse_address
from codewords_mcp.runtime.model.egress_policy import EgressPolicy
from codewords_mcp.runtime.model.host_names import normal_host
from codewords_mcp.runtime.sandboxes.base import SandboxSockets
from codewords_mcp.runtime.web.dial import Dialler, Resolve, system_resolve

log = structlog.get_logger(__name__)

EventListener = Callable[[str, EgressEvent], None]
"""`listener(sandbox_id, event)`, on the event loop; must not block."""

MAX_CONNECTIONS = 256
CONNECT_TIMEOUT = 10.0
MAX_REASON = 300
"""Characters of a reason from another machine."""


class Egress:
    """The `Network` of `sandboxes.base`: the only way out of a sandbox, on the host's side.

    `serve_runtime` serves each connection from a sandbox to the runtime. Each listener of a sandbox
    accepts `max_connections` at a time. For one event loop.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        serve_runtime: ServeRuntime,
        *,
        on_event: EventListener | None = None,
        resolve: Resolve = system_resolve,
        connect_timeout: float = CONNECT_TIMEOUT,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._policy = policy
        self._policies: dict[str, EgressPolicy] = {}
        self._interceptions: dict[str, Interception] = {}
        self._apart: set[str] = set()
        self._dialler = Dialler(resolve, connect_timeout)
        self._serve_runtime = serve_runtime
        self._on_event = on_event
        self._max_connections = max_connections
        # Weak: counts can be read as long as somebody holds the sandbox's handle.
        self._attached: weakref.WeakValueDictionary[str, SandboxNetwork] = weakref.WeakValueDictionary()
        self._closed = False

    def expect(
        self,
        sandbox_id: str,
        policy: EgressPolicy,
        interception: Interception | None = None,
        *,
        runtime: bool = True,
    ) -> None:
        """Register the policy and interception of a sandbox that is about to start.

        Without `runtime` the sandbox cannot reach the runtime.
        """
        self._policies[sandbox_id] = policy
        if not runtime:
            self._apart.add(sandbox_id)
        if interception is not None:
            self._interceptions[sandbox_id] = interception

    def forget(self, sandbox_id: str) -> None:
        """Drop the registration of a sandbox that does not start, or is attached already."""
        self._policies.pop(sandbox_id, None)
        self._interceptions.pop(sandbox_id, None)
        self._apart.discard(sandbox_id)

    @property
    def policy(self) -> EgressPolicy:
        """Policy of sandboxes without a registered one."""
        return self._policy

    def traffic(self, sandbox_id: str) -> Traffic | None:
        """Bytes that a sandbox moved through this machine, while its handle lives; None without a
        network here.
        """
        network = self._attached.get(sandbox_id)
        return network and network.traffic

    def describe(self, sandbox_id: str) -> dict[str, Any]:
        """See `PolicedNetwork`."""
        policy = self._policies.get(sandbox_id, self._policy)
        if policy.hosts is None:
            hosts = None
        else:
            hosts = sorted(policy.hosts)

        # A machine elsewhere cannot intercept: it has neither the authority's key nor the values.
        interception = self._interceptions.get(sandbox_id)
        if interception is not None and interception.everything_here:
            return {"by": "runtime"}

        # Intercepted hosts are dialled here too: values and the authority's key never leave this machine.
        if interception:
            here = interception.credentials.hosts
        else:
            here = set[tuple[str, int]]()

        return {"mode": policy.mode, "hosts": hosts, "private": sorted(policy.pairs | here)}

    def report(self, sandbox_id: str, event: Mapping[str, Any]) -> None:
        """See `PolicedNetwork`. An event of another machine is bounded before it is used."""
        host = normal_host(str(event.get("host")))
        address = parse_address(str(event.get("address")))
        port = event.get("port")
        if host is None or not isinstance(port, int):
            return

        # Shown in logs and to people: no control characters, no endless text.
        reason = "".join(letter for letter in str(event.get("reason", "")) if letter.isprintable())[
            :MAX_REASON
        ]
        known = str(address) if address else None
        if self._on_event is not None:
            allowed = bool(event.get("allowed"))
            self._on_event(sandbox_id, EgressEvent(datetime.now(UTC), host, port, known, allowed, reason))

    async def attach(self, sandbox_id: str, sockets: SandboxSockets) -> SandboxNetwork:
        """Start serving a sandbox's sockets. Owns them from here on, also when it raises.

        Raises SandboxFailed if the runtime is stopping or the sockets are unusable.
        """
        try:
            if self._closed:
                raise SandboxFailed("The runtime is stopping and serves no more sandboxes.")
            return self._serve(sandbox_id, sockets)
        except (OSError, ValueError) as error:
            _close(sockets)
            raise SandboxFailed(f"The network of sandbox {sandbox_id} cannot be served.") from error
        except SandboxFailed:
            _close(sockets)
            raise

    def _serve(self, sandbox_id: str, sockets: SandboxSockets) -> SandboxNetwork:
        def on_event(event: EgressEvent) -> None:
            if not event.allowed:
                log.info(
                    "egress refused",
                    sandbox=sandbox_id,
                    host=event.host,
                    port=event.port,
                    reason=event.reason,
                )
            if self._on_event is not None:
                self._on_event(sandbox_id, event)

        for sock in _all(sockets):
            # Raises for one that is closed, before anything is served.
            sock.setblocking(False)
        network = SandboxNetwork(
            sandbox_id,
            sockets,
            self._dialler,
            self._policies.pop(sandbox_id, self._policy),
            None if sandbox_id in self._apart else self._serve_runtime,
            on_event,
            self._max_connections,
            self._interceptions.pop(sandbox_id, None),
        )
        self._attached[sandbox_id] = network
        return network

    async def close(self) -> None:
        """Close the networks of all sandboxes. Idempotent; never raises."""
        self._closed = True
        self._dialler.close()
        for network in list(self._attached.values()):
            await network.close()


def _all(sockets: SandboxSockets) -> list[socket.socket]:
    every = (sockets.runtime, sockets.connect, sockets.transparent, sockets.dns)
    return [sock for sock in every if sock is not None]


def _close(sockets: SandboxSockets) -> None:
    for sock in _all(sockets):
        sock.close()
