"""One running program of the development driver: a process group of this user."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog

from codewords_mcp.errors import SandboxFailed
from codewords_mcp.runtime.model.shortages import shortage
from codewords_mcp.runtime.sandboxes import explain
from codewords_mcp.runtime.sandboxes.base import Network, OutputChunk, SandboxSockets, SandboxSpec
from codewords_mcp.runtime.sandboxes.host import paths, program
from codewords_mcp.runtime.sandboxes.host.cgroups import Group
from codewords_mcp.runtime.sandboxes.host.listeners import is_another_users_port
from codewords_mcp.runtime.sandboxes.host.managed_sandbox import ManagedSandbox
from codewords_mcp.runtime.sandboxes.host.output import ProgramOutput
from codewords_mcp.runtime.sandboxes.host.port_forwarder import PortForwarder
from codewords_mcp.runtime.sandboxes.namespaces.inside import channel

_HOST: Final = "127.0.0.1"
_PORT_POLL: Final = 0.1
# Seconds that a program's last words have, once it has ended.
_LAST_WORDS: Final = 1.0

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ProcessResources:
    """A sandbox's resources from its driver: folders, threads for blocking work, network."""

    folders: paths.Folders
    discard: Callable[[paths.Folders], None]
    executor: Executor
    waiting: Executor
    """A thread for each living program."""
    network: Network | None


@dataclass(frozen=True, slots=True)
class SpawnedProgram:
    """A program that runs, and its channel to the runtime."""

    process: subprocess.Popen[bytes]
    boot: socket.socket


class ProcessSandbox(ManagedSandbox):
    """A program in a process group of its own."""

    def __init__(self, spec: SandboxSpec, resources: ProcessResources) -> None:
        self.resources = resources
        self._output = ProgramOutput()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Free now. Another program of this machine may take it first, so each connection is checked.
        with socket.create_server((_HOST, 0)) as probe:
            self._port: int = probe.getsockname()[1]
        self._forwarder = PortForwarder(self._listener, lambda: not is_another_users_port(self._port))
        self._spawned: SpawnedProgram | None = None
        self._gone: asyncio.Future[int] | None = None
        self._watching: asyncio.Task[None] | None = None
        super().__init__(spec, resources.executor)

    @property
    def socket_path(self) -> str:
        """See `Sandbox`."""
        return self.resources.folders.socket

    @property
    def group(self) -> Group | None:
        """See `ManagedSandbox`; no limits are held."""
        return None

    def output(self) -> AsyncIterator[OutputChunk]:
        """See `Sandbox`."""
        return self._output.chunks()

    async def _bring_up(self) -> None:
        await self._in_thread(partial(self.resources.folders.make, None))
        uri, proxy = await self._attach()
        if self._reason is not None:
            raise SandboxFailed("The sandbox was destroyed while it was being made.")

        outputs = self._output.open()
        spawned = await self._in_thread(partial(self._spawn, uri, proxy, outputs))
        self._output.start()
        self._watch(spawned)
        # Killed while its process was made: the kill found no process.
        if self._reason is not None:
            self._begin_kill()

        limit = self.spec.limits.start_timeout
        self._arm("no_port", limit, partial(self._not_ready, explain.no_port(self._port, limit)))

    async def _attach(self) -> tuple[str | None, int | None]:
        """The address at which the program finds the runtime, and the port of the proxy."""
        network = self.resources.network
        if network is None:
            return None, None

        runtime = socket.create_server((_HOST, 0))
        # Placeholders become values on the way out only, so a program that holds some goes by way
        # of the runtime.
        if self.spec.authority:
            connect = socket.create_server((_HOST, 0))
        else:
            connect = None
        proxy: int | None = connect.getsockname()[1] if connect else None
        self._handle = await network.attach(self.id, SandboxSockets(runtime, connect))
        return f"http://{_HOST}:{runtime.getsockname()[1]}", proxy

    def _spawn(self, uri: str | None, proxy: int | None, outputs: tuple[int, int]) -> SpawnedProgram:
        """Write the program and start its Python. In a thread. Closes `outputs`."""
        folders = self.resources.folders
        ours, theirs = channel.pair()
        fds = (self._listener.fileno(), theirs.fileno())
        main = str(folders.app / "main.py")
        try:
            program.write_program(self.spec, folders, self._listener)
            process = subprocess.Popen(
                [program.python(self.spec), program.BOOT, main, *map(str, fds), str(self._port)],
                stdin=subprocess.DEVNULL,
                stdout=outputs[0],
                stderr=outputs[1],
                pass_fds=fds,
                cwd=folders.app,
                env=program.variables(self.spec, folders, self._port, uri, proxy),
                # A group of its own, by which everything that the program starts is signalled.
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise shortage(error, "sandbox") or SandboxFailed(
                f"The environment's Python did not start: {error.strerror}."
            ) from error
        finally:
            theirs.close()
            for fd in outputs:
                os.close(fd)

        ours.setblocking(False)
        return SpawnedProgram(process, ours)

    def _watch(self, spawned: SpawnedProgram) -> None:
        loop = asyncio.get_running_loop()
        self._spawned = spawned
        self._gone = asyncio.ensure_future(loop.run_in_executor(self.resources.waiting, spawned.process.wait))
        self._watching = asyncio.create_task(self._watch_port())
        loop.add_reader(spawned.boot.fileno(), self._on_readable, spawned.boot)

    async def _watch_port(self) -> None:
        """For servers that bind the port themselves: carry connections there from the Unix socket."""
        while not self._ready.done():
            await asyncio.sleep(_PORT_POLL)
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(_HOST, self._port)
                writer.close()
                # Its program may still serve on the socket that it was passed.
                if is_another_users_port(self._port):
                    continue

                self._forwarder.start(_HOST, self._port)
                self._now_ready()

    def _on_readable(self, boot: socket.socket) -> None:
        if not program.receive_messages(boot, self._on_program):
            asyncio.get_running_loop().remove_reader(boot.fileno())

    def _on_program(self, message: dict[str, Any]) -> None:
        if "serving" in message:
            if isinstance(message["serving"], int):
                self._output.write_platform_line(explain.served_elsewhere(self._port, message["serving"]))
            self._now_ready()

    def _terminate(self) -> bool:
        return self._signal(signal.SIGTERM)

    def _begin_kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> bool:
        """Signal the program's process group; returns False where there is none yet."""
        if self._spawned is None:
            return False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._spawned.process.pid, number)
        return True

    async def _wait_gone(self) -> None:
        if self._gone is None:
            return

        await asyncio.wait({self._gone})
        # Without a status the sandbox ended as it was condemned.
        if self._reason is None:
            self._status = self._gone.result()
        # What the program left in its group.
        self._signal(signal.SIGKILL)
        await self._forwarder.finish(_LAST_WORDS)

    def _close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        self._output.finish()
        if self._spawned is not None:
            asyncio.get_running_loop().remove_reader(self._spawned.boot.fileno())
            self._spawned.boot.close()
        self._forwarder.close()
        self._listener.close()

    def _discard(self) -> None:
        try:
            self.resources.discard(self.resources.folders)
        except OSError as error:
            logger.warning("sandbox folder not removed", sandbox=self.id, error=str(error))
