"""One running local sandbox: what the runtime holds of it, from launch to the last removed file."""

from __future__ import annotations

import functools
import signal
from collections.abc import AsyncIterator
from typing import Any, Final

from codewords_mcp.runtime.sandboxes import explain
from codewords_mcp.runtime.sandboxes.base import Network, OutputChunk, SandboxSockets, SandboxSpec
from codewords_mcp.runtime.sandboxes.host.cgroups import Group
from codewords_mcp.runtime.sandboxes.host.managed_sandbox import WRONG_PORT_SECONDS, ManagedSandbox
from codewords_mcp.runtime.sandboxes.namespaces.inside import image
from codewords_mcp.runtime.sandboxes.namespaces.isolation import Isolation, IsolationResources

_BROKEN_MEMORY: Final = frozenset(
    {
        image.BROKEN,
        -signal.SIGSEGV,
        -signal.SIGBUS,
        -signal.SIGILL,
        -signal.SIGFPE,
        -signal.SIGTRAP,
        -signal.SIGABRT,
    }
)
"""Statuses of a process that could not restore a snapshot's memory, or was ended by what it found in it."""


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

    @property
    def failed_to_restore(self) -> bool:
        """True if its program, which was to go on from a snapshot, ended as by memory that is not what it was.

        An error of its own ends it otherwise, unless a package makes the same fault.
        """
        return not self._served and not self.condemned and self._status in _BROKEN_MEMORY

    def output(self) -> AsyncIterator[OutputChunk]:
        """See `Sandbox`."""
        return self.isolation.output.chunks()

    @property
    def group(self) -> Group | None:
        """See `ManagedSandbox`."""
        return self.isolation.group

    async def _bring_up(self) -> None:
        # Subscribed first: a program may report, or end, before `run` has returned.
        self.isolation.subscribe(self._on_message)
        await self.isolation.set_up()
        # The network serves before the program starts, which may connect with its first line.
        await self._attach()
        await self.isolation.run(self.spec)
        limit = self.spec.limits.start_timeout
        no_port = explain.no_port(self.spec.port, limit)
        self._arm("no_port", limit, functools.partial(self._not_ready, no_port))

    async def _attach(self) -> None:
        listeners = self.isolation.take_listeners()
        if self._network is not None and listeners:
            self._handle = await self._network.attach(self.id, SandboxSockets(**listeners))
            return
        # A sandbox without a network has listeners too: nobody serves them, so connections are
        # refused.
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
        elif "exited" in message:
            # Of a fork two processes report: its parent, and process 1, which adopted its orphans.
            # A kill of ours is no status of the program's: its reason is known already.
            if self._status is None and not (self.condemned and message["exited"] == -signal.SIGKILL):
                self._status = message["exited"]
            cpu, peak = self._reported
            self._reported = (message["cpu"] + (cpu or 0.0), max(message["peak"], peak or 0))

    def _on_listening(self, others: list[int]) -> None:
        # Another list of ports means that the program still starts: the wait begins again.
        self._disarm("wrong_port")
        if others:
            error = explain.wrong_port(self.spec.port, others)
            self._arm("wrong_port", WRONG_PORT_SECONDS, functools.partial(self._not_ready, error))

    def _terminate(self) -> bool:
        if self.isolation.channel is None:
            return False
        self.isolation.channel.send({"signal": int(signal.SIGTERM)})
        return True

    def _begin_kill(self) -> None:
        self.isolation.kill()

    async def _wait_gone(self) -> None:
        await self.isolation.gone()
        # What broke the isolation explains the end better than the end itself.
        self._broken = self._broken or self.isolation.broken

    def _close(self) -> None:
        self.isolation.close()

    def _discard(self) -> None:
        self.isolation.remove()
