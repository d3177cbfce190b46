"""The isolation of one sandbox, seen from the host: folders, processes, output, cgroup. It knows no workflow.

`Isolation` is the base of both ways to make one. `ExecIsolation` starts a launcher and a new interpreter, and needs the
program for that. `fork_isolation.ForkIsolation` forks from a fork server, and gets its program later.
"""

from __future__ import annotations

import asyncio
import functools
import os
import socket
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog

from codewords_mcp.errors import SandboxFailed, TooBusy
from codewords_mcp.errors.remedies import DIAGNOSE
from codewords_mcp.runtime.model.shortages import used_up
from codewords_mcp.runtime.sandboxes.base import Limits, SandboxSpec
from codewords_mcp.runtime.sandboxes.host import cgroups, paths
from codewords_mcp.runtime.sandboxes.host.output import ProgramOutput
from codewords_mcp.runtime.sandboxes.host.process_channel import ProcessChannel, SpawnedLauncher
from codewords_mcp.runtime.sandboxes.host.setup_log import setup_failed
from codewords_mcp.runtime.sandboxes.namespaces import spawn

T = TypeVar("T")

SETUP_SECONDS: Final = 30.0
"""For the machine to make a sandbox; takes some 50 ms, more when a hundred start at once."""

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class IsolationResources:
    """An isolation's resources from its driver: folders, host user, cgroup, threads for blocking work.

    `exact_memory`: whether `make_group` gives one.
    """

    folders: paths.Folders
    uid: int | None
    discard: Callable[[paths.Folders], None]
    make_group: Callable[[Limits], cgroups.Group | None]
    exact_memory: bool
    release: Callable[[], None]
    executor: Executor


class Isolation:
    """`set_up` makes it, `run` tells it what to run. Who has it calls `close` and `remove` once `channel.gone` is set."""

    setup_seconds: float = SETUP_SECONDS

    def __init__(self, resources: IsolationResources) -> None:
        loop = asyncio.get_running_loop()
        self.resources = resources
        self.output = ProgramOutput()
        self.channel: ProcessChannel | None = None
        self.group: cgroups.Group | None = None
        self.init_pid: int | None = None
        """Host pid of process 1 while it lives."""
        self.transparent = False
        """Whether the kernel redirects every TCP connection to the runtime's policy. After `set_up`."""
        self.broken: SandboxFailed | TooBusy | None = None
        # Set by messages from inside, in this order.
        self._forked: asyncio.Future[int] = loop.create_future()
        self._listeners: asyncio.Future[dict[str, socket.socket]] = loop.create_future()
        self._running: asyncio.Future[None] = loop.create_future()
        self._doomed = False
        self._subscriber: Callable[[dict[str, Any]], None] | None = None
        self._undelivered: list[dict[str, Any]] = []

    @property
    def roots(self) -> tuple[int, ...]:
        """See `measure.processes`, for the watchdog."""
        if self.init_pid is None:
            return ()
        return (self.init_pid,)

    @property
    def program_started(self) -> bool:
        """Whether its program has begun."""
        return self._running.done()

    async def set_up(self) -> None:
        """Return when the isolation stands and nothing runs in it yet. Raises SandboxFailed, OSError."""
        raise NotImplementedError

    async def run(self, spec: SandboxSpec) -> None:
        """Start the program. Raises SandboxFailed, OSError."""
        raise NotImplementedError

    def subscribe(self, then: Callable[[dict[str, Any]], None]) -> None:
        """Give what the program is said to do to `then`, and what was said before."""
        # Messages may arrive between `set_up` and the subscription.
        self._subscriber = then
        while self._undelivered:
            then(self._undelivered.pop(0))

    def take_listeners(self) -> dict[str, socket.socket]:
        """The sockets of its network, to whoever serves them. Once."""
        listeners, self._listeners = self._listeners.result(), asyncio.get_running_loop().create_future()
        self._listeners.set_result({})
        return listeners

    def kill(self) -> None:
        """Begin to end every process, also those still to come."""
        self._doomed = True
        if self.channel is not None:
            self.channel.kill()

    async def gone(self) -> None:
        """Return when every process has ended, everything they said was heard, and nothing is done for them any more."""
        if self.channel is not None:
            await self.channel.gone.wait()
            # The channel may hold messages that arrived with the end.
            self.channel.drain()

    def close(self) -> None:
        """Let go of pipes and sockets. After `gone`."""
        self.init_pid = None
        self.output.finish()
        if self.channel is not None:
            self.channel.close()
        if self._listeners.done():
            for listener in self.take_listeners().values():
                listener.close()

    def remove(self) -> None:
        """Remove group and folders, give back the rest; blocks for some milliseconds."""
        name = self.resources.folders.top.name
        if self.group is not None and not self.group.remove():
            logger.warning("sandbox cgroup not removed", folder=name)
        try:
            self.resources.discard(self.resources.folders)
        except OSError as error:
            logger.warning("sandbox folder not removed", folder=name, error=str(error))
        self.resources.release()

    async def discard(self) -> None:
        """End it without having used it, in whatever state it is."""
        self.kill()
        await self.gone()
        self.close()
        await self.in_thread(self.remove)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do something that blocks."""
        return await asyncio.get_running_loop().run_in_executor(self.resources.executor, work)

    def _connect(self, messages: socket.socket, launcher: SpawnedLauncher | None = None) -> ProcessChannel:
        self.output.start()
        self.channel = ProcessChannel(messages, self._on_message, launcher)
        if self._doomed:
            self.channel.kill()
        return self.channel

    async def _expect(self, message: asyncio.Future[T]) -> T:
        """A message from inside, or SandboxFailed when the processes end, or are silent, first."""
        assert self.channel is not None  # noqa: S101  # connected before anything is expected
        if not message.done():
            either = (message, self.channel.over)
            # What ended, and why, is judged below: the wait itself raises nothing.
            await asyncio.wait(either, timeout=self.setup_seconds, return_when=asyncio.FIRST_COMPLETED)

        # The message may have come in the same turn of the loop as the end of the processes.
        if not message.done():
            self.channel.drain()
        if message.done():
            return message.result()
        if self.broken is not None:
            raise self.broken
        if self._doomed:
            raise SandboxFailed("The sandbox was destroyed while it was being made.")
        if self.channel.gone.is_set():
            raise SandboxFailed("The sandbox's processes ended before the sandbox stood.")

        raise SandboxFailed(f"The sandbox did not stand within {self.setup_seconds:g} seconds.")

    def _on_message(self, message: dict[str, Any], fds: list[int]) -> None:
        if "forked" in message and self.channel is not None and fds:
            self.channel.adopt(fds[0])
            pid = message["forked"]
            # A prepared isolation's process 1 doesn't know its number out here.
            _resolve(self._forked, pid if pid is not True else host_pid(fds[0]))
        elif "standing" in message:
            sockets = {
                name: socket.socket(fileno=fd) for name, fd in zip(message["listeners"], fds, strict=True)
            }
            self.transparent = "transparent" in sockets
            _resolve(self._listeners, sockets)
        elif "running" in message:
            _resolve(self._running, None)
        elif "error" in message:
            self._on_error(message)
        else:
            self._deliver(message)

    def _deliver(self, message: dict[str, Any]) -> None:
        """To whoever hears."""
        if self._subscriber is not None:
            self._subscriber(message)
        else:
            self._undelivered.append(message)

    def _on_error(self, message: dict[str, Any]) -> None:
        # The text from inside goes to the log only: callers get words of our own.
        setup_failed(folder=self.resources.folders.top.name, **message)
        if message["step"] == "exec":
            what = "run the environment's Python"
        else:
            what = "isolate the sandbox"

        number = message.get("errno")
        if isinstance(number, int):
            detail = f" ({os.strerror(number)})"
        else:
            detail = ""

        self.broken = used_up(number) or SandboxFailed(
            f"This machine could not {what}{detail}.", remedy=DIAGNOSE
        )


class ExecIsolation(Isolation):
    """An isolation whose program is started by exec."""

    def __init__(self, resources: IsolationResources, spec: SandboxSpec) -> None:
        super().__init__(resources)
        self._spec = spec

    async def set_up(self) -> None:
        """See `Isolation`."""
        limits, resources = self._spec.limits, self.resources
        self.group = await self.in_thread(functools.partial(resources.make_group, limits))
        outputs = self.output.open()
        launch = functools.partial(
            spawn.launch, self._spec, resources.folders, resources.uid, group=self.group, outputs=outputs
        )
        spawned = await self.in_thread(launch)
        self._connect(spawned.channel, spawned)
        self.init_pid = await self._expect(self._forked)
        await self._expect(self._listeners)

    async def run(self, spec: SandboxSpec) -> None:  # noqa: ARG002  # it knows
        """See `Isolation`."""
        assert self.channel is not None  # noqa: S101
        self.channel.send({"go": True})
        await self._expect(self._running)


def _resolve(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)


def host_pid(pidfd: int) -> int:
    """The number, here, of a process that knows only its number inside."""
    # Every start does this, so without a file object.
    fd = os.open(f"/proc/self/fdinfo/{pidfd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _, there, rest = os.read(fd, 4096).partition(b"\nPid:")
    finally:
        os.close(fd)

    if there:
        return int(rest.split(None, 1)[0])

    return -1
