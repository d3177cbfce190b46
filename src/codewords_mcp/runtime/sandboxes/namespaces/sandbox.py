"""One running local sandbox: what the runtime holds of it, from launch to the last removed file."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from typing import Any

from codewords_mcp.runtime.sandboxes import explain
from codewords_mcp.runtime.sandboxes.base import Network, OutputChunk, SandboxSockets, SandboxSpec
from codewords_mcp.runtime.sandboxes.host.cgroups import Group
from codewords_mcp.runtime.sandboxes.host.managed_sandbox import WRONG_PORT_SECONDS, ManagedSandbox
from codewords_mcp.runtime.sandboxes.namespaces.isolation import Isolation, IsolationResources


class LocalSandbox(ManagedSandbox):
    """A program in a `Isolation`."""

    def __init__(self, spec: SandboxSpec, isolation: Isolation, network: Network | None) -> None:
        self.isolation = isolation
        self._network = network
        super().__init__(spec, isolation.resources.executor)

    @property
    def socket_path(self) -> str:
        """See `Sandbox`."""
        return self.isolation.resources.folders.socket

    @property
    def resources(self) -> IsolationResources:
        """Its folders, host user and cgroup."""
        return self.isolation.resources

    @property
    def roots(self) -> tuple[int, ...]:
        """See `Watched`."""
        return self.isolation.roots

    @property
    def condemned(self) -> bool:
        """Whether it was ended on purpose."""
        return self._reason is not None

    def output(self) -> AsyncIterator[OutputChunk]:
        """See `Sandbox`."""
        return self.isolation.output.chunks()

    @property
    def group(self) -> Group | None:
        """See `ManagedSandbox`."""
        return self.isolation.group

    async def _bring_up(self) -> None:
        self.isolation.subscribe(self._on_message)
        await self.isolation.set_up()
        await self._attach()
        await self.isolation.run(self.spec)
        limit = self.spec.limits.start_timeout
        self._arm("no_port", limit, lambda: self._not_ready(explain.no_port(self.spec.port, limit)))

    async def _attach(self) -> None:
        listeners = self.isolation.take_listeners()
        if self._network is not None and listeners:
            self._handle = await self._network.attach(self.id, SandboxSockets(**listeners))
            return
        for listener in listeners.values():
            listener.close()

    def _on_message(self, message: dict[str, Any]) -> None:
        if "serving" in message:
            requested_port = message["asked"]
            if requested_port is not None:
                self.isolation.output.write_platform_line(
                    explain.served_elsewhere(self.spec.port, requested_port)
                )
            self._now_ready()
        elif "listening" in message:
            self._on_listening(message["listening"])
        elif (
            "exited" in message
        ):  # of a fork two processes tell: who made it, and the one that got its orphans
            if self._status is None and not (self.condemned and message["exited"] == -signal.SIGKILL):
                self._status = message["exited"]
            cpu, peak = self._reported
            self._reported = (message["cpu"] + (cpu or 0.0), max(message["peak"], peak or 0))

    def _on_listening(self, others: list[int]) -> None:
        self._disarm("wrong_port")
        if others:
            error = explain.wrong_port(self.spec.port, others)
            self._arm("wrong_port", WRONG_PORT_SECONDS, lambda: self._not_ready(error))

    def _terminate(self) -> bool:
        if self.isolation.channel is None:
            return False
        self.isolation.channel.send({"signal": int(signal.SIGTERM)})
        return True

    def _begin_kill(self) -> None:
        self.isolation.kill()

    async def _wait_gone(self) -> None:
        await self.isolation.gone()
        self._broken = self._broken or self.isolation.broken

    def _close(self) -> None:
        self.isolation.close()

    def _discard(self) -> None:
        self.isolation.remove()
