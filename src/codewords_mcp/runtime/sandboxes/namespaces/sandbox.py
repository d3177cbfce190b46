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

    def __init__(self, spec: SandboxSpec, cell: Isolation, network: Network | None) -> None:
        self.cell = cell
        self._network = network
        super().__init__(spec, cell.place.executor)

    @property
    def socket_path(self) -> str:
        """See `Sandbox`."""
        return self.cell.place.folders.socket

    @property
    def place(self) -> IsolationResources:
        """Where it lives, and as whom."""
        return self.cell.place

    @property
    def roots(self) -> tuple[int, ...]:
        """See `Watched`."""
        return self.cell.roots

    @property
    def condemned(self) -> bool:
        """Whether it ends, or ended, because somebody wanted it to."""
        return self._reason is not None

    def output(self) -> AsyncIterator[OutputChunk]:
        """See `Sandbox`."""
        return self.cell.output.chunks()

    @property
    def group(self) -> Group | None:
        """See `ManagedSandbox`."""
        return self.cell.group

    async def _bring_up(self) -> None:
        self.cell.hear(self._on_message)
        await self.cell.stand()
        await self._attach()
        await self.cell.run(self.spec)
        limit = self.spec.limits.start_timeout
        self._arm("no_port", limit, lambda: self._not_ready(explain.no_port(self.spec.port, limit)))

    async def _attach(self) -> None:
        listeners = self.cell.take_listeners()
        if self._network is not None and listeners:
            self._handle = await self._network.attach(self.id, SandboxSockets(**listeners))
            return
        for listener in listeners.values():
            listener.close()

    def _on_message(self, message: dict[str, Any]) -> None:
        if "serving" in message:
            asked = message["asked"]
            if asked is not None:
                self.cell.output.say(explain.served_elsewhere(self.spec.port, asked))
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

    def _ask_to_end(self) -> bool:
        if self.cell.link is None:
            return False
        self.cell.link.send({"signal": int(signal.SIGTERM)})
        return True

    def _let_go(self) -> None:
        self.cell.kill()

    async def _until_gone(self) -> None:
        await self.cell.gone()
        self._broken = self._broken or self.cell.broken

    def _close(self) -> None:
        self.cell.close()

    def _discard(self) -> None:
        self.cell.remove()
