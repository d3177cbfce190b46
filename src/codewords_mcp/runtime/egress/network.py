"""Serves the networks of all sandboxes of this runtime."""

from __future__ import annotations

import socket
import weakref
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog

from codewords_mcp.errors import SandboxFailed
from codewords_mcp.runtime.egress.addresses import parse_address
from codewords_mcp.runtime.egress.dial import Dialler, Resolve, system_resolve
from codewords_mcp.runtime.egress.events import EgressEvent
from codewords_mcp.runtime.egress.intercept.interception import Interception
from codewords_mcp.runtime.egress.names import normal_host
from codewords_mcp.runtime.egress.policy import EgressPolicy
from codewords_mcp.runtime.egress.relay import Traffic
from codewords_mcp.runtime.egress.sandbox_network import SandboxNetwork, ServeRuntime
from codewords_mcp.runtime.sandboxes.base import SandboxSockets

log = structlog.get_logger(__name__)

EventListener = Callable[[str, EgressEvent], None]
"""`listener(sandbox_id, event)`, on the event loop; must not block."""

MAX_CONNECTIONS = 256
CONNECT_TIMEOUT = 10.0
MAX_REASON = 300
"""Characters of a reason that another machine gave."""


class Egress:
    """The `Network` of `sandboxes.base`: the only way out of a sandbox, from the host's side.

    `serve_runtime` answers each connection that a sandbox makes to the runtime. Each of a sandbox's listeners holds
    `max_connections` at once. Use it from one event loop.
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
        self._own: dict[str, EgressPolicy] = {}
        self._interceptions: dict[str, Interception] = {}
        self._apart: set[str] = set()
        self._dialler = Dialler(resolve, connect_timeout)
        self._serve_runtime = serve_runtime
        self._on_event = on_event
        self._max_connections = max_connections
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
        """Serve the sandbox of this id, which is about to start, under a policy and with secrets of its own.

        Without `runtime` it does not reach the runtime either.
        """
        self._own[sandbox_id] = policy
        if not runtime:
            self._apart.add(sandbox_id)
        if interception is not None:
            self._interceptions[sandbox_id] = interception

    def forget(self, sandbox_id: str) -> None:
        """The sandbox of this id does not start after all, or has its network already."""
        self._own.pop(sandbox_id, None)
        self._interceptions.pop(sandbox_id, None)
        self._apart.discard(sandbox_id)

    @property
    def policy(self) -> EgressPolicy:
        """What sandboxes may reach that no policy of their own is expected for."""
        return self._policy

    def traffic(self, sandbox_id: str) -> Traffic | None:
        """What a sandbox moved by way of this machine, while its handle lives; None where it has no network here."""
        served = self._attached.get(sandbox_id)
        return served and served.traffic

    def describe(self, sandbox_id: str) -> dict[str, Any]:
        """See `PolicedNetwork`."""
        policy = self._own.get(sandbox_id, self._policy)
        if policy.hosts is None:
            hosts = None
        else:
            hosts = sorted(policy.hosts)

        interception = self._interceptions.get(sandbox_id)
        if interception is not None and interception.everywhere:
            return {"by": "runtime"}

        # what is intercepted is dialled here too: values and the authority's key never leave this machine
        if interception:
            here = interception.credentials.hosts
        else:
            here = set[tuple[str, int]]()

        return {"mode": policy.mode, "hosts": hosts, "private": sorted(policy.pairs | here)}

    def report(self, sandbox_id: str, event: Mapping[str, Any]) -> None:
        """See `PolicedNetwork`. What another machine says is bounded before anybody sees it."""
        host = normal_host(str(event.get("host")))
        address = parse_address(str(event.get("address")))
        port = event.get("port")
        if host is None or not isinstance(port, int):
            return

        reason = "".join(letter for letter in str(event.get("reason", "")) if letter.isprintable())[
            :MAX_REASON
        ]
        known = str(address) if address else None
        heard = EgressEvent(datetime.now(UTC), host, port, known, bool(event.get("allowed")), reason)
        if self._on_event is not None:
            self._on_event(sandbox_id, heard)

    async def attach(self, sandbox_id: str, sockets: SandboxSockets) -> SandboxNetwork:
        """Start serving a sandbox's sockets, which it owns from here on, also when it raises.

        Raises SandboxFailed when the runtime is stopping or the sockets are of no use.
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
        def heard(event: EgressEvent) -> None:
            if not event.allowed:
                log.info(
                    "egress refused", sandbox=sandbox_id, host=event.host, port=event.port, why=event.reason
                )
            if self._on_event is not None:
                self._on_event(sandbox_id, event)

        for sock in _all(sockets):
            sock.setblocking(False)  # raises for one that is closed, before anything is served
        served = SandboxNetwork(
            sandbox_id,
            sockets,
            self._dialler,
            self._own.pop(sandbox_id, self._policy),
            None if sandbox_id in self._apart else self._serve_runtime,
            heard,
            self._max_connections,
            self._interceptions.pop(sandbox_id, None),
        )
        self._attached[sandbox_id] = served
        return served

    async def close(self) -> None:
        """Close the networks of all sandboxes. Idempotent; never raises."""
        self._closed = True
        self._dialler.close()
        for served in list(self._attached.values()):
            await served.close()


def _all(sockets: SandboxSockets) -> list[socket.socket]:
    every = (sockets.runtime, sockets.connect, sockets.transparent, sockets.dns)
    return [sock for sock in every if sock is not None]


def _close(sockets: SandboxSockets) -> None:
    for sock in _all(sockets):
        sock.close()
