"""One running confined sandbox: what the runtime holds of it, from launch to the last removed file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog

from codewords_mcp.errors import SandboxFailed
from codewords_mcp.errors.remedies import DIAGNOSE
from codewords_mcp.runtime.model.shortages import used_up
from codewords_mcp.runtime.sandboxes import explain
from codewords_mcp.runtime.sandboxes.base import Network, OutputChunk, SandboxSockets, SandboxSpec
from codewords_mcp.runtime.sandboxes.host import cgroups, paths, program
from codewords_mcp.runtime.sandboxes.host.managed_sandbox import WRONG_PORT_SECONDS, ManagedSandbox
from codewords_mcp.runtime.sandboxes.host.output import ProgramOutput
from codewords_mcp.runtime.sandboxes.host.port_forwarder import PortForwarder
from codewords_mcp.runtime.sandboxes.host.setup_log import setup_failed
from codewords_mcp.runtime.sandboxes.landlock import spawn
from codewords_mcp.runtime.sandboxes.landlock.confinement import Landlock, LandlockProgram
from codewords_mcp.runtime.sandboxes.namespaces.inside import channel

SETUP_SECONDS: Final = 30.0
KILL_SECONDS: Final = 10.0
"""For the supervisor to end every process; takes some milliseconds. Then it is killed itself."""

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LandlockResources:
    """A sandbox's resources from its driver: folders, Landlock rules, cgroup, threads for blocking work."""

    folders: paths.Folders
    landlock: Landlock
    discard: Callable[[paths.Folders], None]
    make_group: Callable[[], cgroups.Group | None]
    executor: Executor
    waiting: Executor
    """A thread for each living sandbox."""
    network: Network | None


class LandlockSandbox(ManagedSandbox):
    """A program below its supervisor, which confines it and ends when its lifeline is let go."""

    def __init__(self, spec: SandboxSpec, resources: LandlockResources) -> None:
        self.resources = resources
        self.roots: tuple[int, ...] = ()
        """Pid of the supervisor while it lives, for the watchdog."""
        self.by_address = False
        """Whether the supervisor judges connections by address. After `started`."""
        self.port = spec.port
        self._group: cgroups.Group | None = None
        self._output = ProgramOutput()
        self._running: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._forwarder = PortForwarder(self._listener)
        self._spawned: spawn.SpawnedSupervisor | None = None
        self._gone: asyncio.Future[int] | None = None
        self._imported = False
        self._killing: asyncio.TimerHandle | None = None
        super().__init__(spec, resources.executor)

    @property
    def socket_path(self) -> str:
        """See `Sandbox`."""
        return self.resources.folders.socket

    @property
    def exact(self) -> bool:
        """Whether a cgroup holds its memory and processes."""
        return self._group is not None

    def output(self) -> AsyncIterator[OutputChunk]:
        """See `Sandbox`."""
        return self._output.chunks()

    @property
    def group(self) -> cgroups.Group | None:
        """See `ManagedSandbox`."""
        return self._group

    async def _bring_up(self) -> None:
        resources, spec = self.resources, self.spec
        await self._in_thread(partial(resources.folders.make, None))
        self._group = await self._in_thread(resources.make_group)
        uri, ports = await self._attach()
        start = LandlockProgram(
            spec,
            resources.folders,
            ports,
            program.variables(spec, resources.folders, self.port, uri, ports[1] if len(ports) > 1 else None),
            (program.python(spec), program.BOOT, str(resources.folders.app / "main.py")),
            self.port,
            exact=self._group is not None,
        )
        outputs = self._output.open()
        launch = partial(spawn.launch, resources.landlock, start, self._listener, outputs)
        spawned = await self._in_thread(launch)
        self._output.start()
        self._watch(spawned)
        # Killed while its process was made: the kill found no process.
        if self._reason is not None:
            self._begin_kill()
        # It enters its group before it makes any process of its own.
        with cgroups.entrances(self._group) as groups:
            self._send({"go": True}, groups)
        await self._expect_running()
        limit = spec.limits.start_timeout
        self._arm("no_port", limit, partial(self._not_ready, explain.no_port(self.port, limit)))

    async def _attach(self) -> tuple[str | None, list[int]]:
        """The runtime's address for the program, and the ports that it may reach: of the runtime, of the proxy."""
        network = self.resources.network
        if network is None:
            return None, []
        runtime, connect = (socket.create_server(("127.0.0.1", 0), backlog=512) for _ in range(2))
        ports: list[int] = [runtime.getsockname()[1], connect.getsockname()[1]]
        self._handle = await network.attach(self.id, SandboxSockets(runtime, connect))
        return f"http://127.0.0.1:{ports[0]}", ports

    def _watch(self, spawned: spawn.SpawnedSupervisor) -> None:
        loop = asyncio.get_running_loop()
        self._spawned = spawned
        self._gone = asyncio.ensure_future(loop.run_in_executor(self.resources.waiting, spawned.process.wait))
        loop.add_reader(spawned.channel.fileno(), self._on_readable, spawned.channel, self._on_supervisor)
        loop.add_reader(spawned.boot.fileno(), self._on_readable, spawned.boot, self._on_program)
        self.roots = (spawned.process.pid,)

    async def _expect_running(self) -> None:
        assert self._gone is not None  # noqa: S101  # set before the first use
        await asyncio.wait(
            {self._running, self._gone}, timeout=SETUP_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        # The reason may have arrived together with the end.
        self._drain()
        if self._running.done():
            return
        if self._broken is not None:
            raise self._broken
        if self._reason is not None:
            raise SandboxFailed("The sandbox was destroyed while it was being made.")
        if self._gone.done():
            raise SandboxFailed("The sandbox's supervisor ended before the program started.")

        raise SandboxFailed(f"The sandbox did not stand within {SETUP_SECONDS:g} seconds.")

    def _send(self, message: dict[str, Any], fds: list[int] | None = None) -> None:
        if self._spawned is not None:
            with contextlib.suppress(OSError):
                channel.send(self._spawned.channel, message, fds)

    def _kill_supervisor(self) -> None:
        if self._spawned is not None:
            logger.error("sandbox supervisor killed after timeout", pid=self._spawned.process.pid)
            # The group first: the supervisor's end would leave its children to the machine's
            # process 1.
            if self._group is not None:
                self._group.kill()
            self._spawned.process.kill()

    def _drain(self) -> None:
        if self._spawned is not None:
            self._on_readable(self._spawned.channel, self._on_supervisor)

    def _on_readable(self, end: socket.socket, deliver: Callable[[dict[str, Any]], None]) -> None:
        if not program.receive_messages(end, deliver):
            asyncio.get_running_loop().remove_reader(end.fileno())

    def _on_supervisor(self, message: dict[str, Any]) -> None:
        if "running" in message:
            self.by_address = bool(message["exact"])
            if not self._running.done():
                self._running.set_result(None)
        elif "ports" in message:
            self._on_ports({int(port): endpoint for port, endpoint in message["ports"].items()})
        elif "exited" in message:
            self._status = message["exited"]
            self._reported = (message["cpu"], message["peak"])
            # What the program left running has as long to end as after a kill.
            self._begin_kill()
        elif "over" in message:
            self.condemn(message["over"])
        elif "error" in message:
            self._on_error(message)

    def _on_program(self, message: dict[str, Any]) -> None:
        """Handle a message of the program. Any of it may be a lie, but only about itself."""
        if "imported" in message:
            self._imported = True
            self._disarm("wrong_port")
        if "serving" in message:
            requested_port = message["serving"]
            if isinstance(requested_port, int) and requested_port != self.port:
                self._output.write_platform_line(explain.served_elsewhere(self.port, requested_port))
            self._now_ready()

    def _on_ports(self, ports: dict[int, tuple[str, int]]) -> None:
        if self.port in ports:
            self._forwarder.start(*ports[self.port])
            self._now_ready()
        elif not self._imported and "wrong_port" not in self._timers:
            error = explain.wrong_port(self.port, sorted(ports)[:16])
            self._arm("wrong_port", WRONG_PORT_SECONDS, partial(self._not_ready, error))

    def _on_error(self, message: dict[str, Any]) -> None:
        setup_failed(sandbox=self.id, **message)
        if message["step"] == "exec":
            what = "run the environment's Python"
        else:
            what = "isolate the sandbox"

        number = message.get("errno")
        if isinstance(number, int) and number:
            detail = f" ({os.strerror(number)})"
        else:
            detail = ""

        self._broken = used_up(number) or SandboxFailed(
            f"This machine could not {what}{detail}.", remedy=DIAGNOSE
        )

    def _terminate(self) -> bool:
        if self._spawned is None:
            return False
        self._send({"signal": int(signal.SIGTERM)})
        return True

    def _begin_kill(self) -> None:
        if self._spawned is not None and self._spawned.lifeline >= 0:
            self._spawned.release()
            self._killing = asyncio.get_running_loop().call_later(KILL_SECONDS, self._kill_supervisor)

    async def _wait_gone(self) -> None:
        if self._gone is not None:
            await asyncio.wait({self._gone})
            self._drain()

    def _close(self) -> None:
        if self._killing is not None:
            self._killing.cancel()
        self.roots = ()
        self._output.finish()
        if self._spawned is not None:
            for end in (self._spawned.channel, self._spawned.boot):
                asyncio.get_running_loop().remove_reader(end.fileno())
            self._spawned.close()
        self._forwarder.close()
        self._listener.close()

    def _discard(self) -> None:
        if self._group is not None:
            # After the end of the supervisor something may be left only where it was killed.
            self._group.kill()
            if not self._group.remove():
                logger.warning("sandbox cgroup not removed", sandbox=self.id)
        try:
            self.resources.discard(self.resources.folders)
        except OSError as error:
            logger.warning("sandbox folder not removed", sandbox=self.id, error=str(error))
