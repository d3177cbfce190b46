"""Fork servers, seen from the host, and the sandboxes that their programs enter.

Two processes serve. The *supervisor* makes prepared isolations, which are sandboxes without a
program. The server itself forks programs into them.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog

from codewords_mcp.runtime.sandboxes import authorities
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, Limits
from codewords_mcp.runtime.sandboxes.forkserver.compiled_scripts import CompiledScripts
from codewords_mcp.runtime.sandboxes.forkserver.fork_isolation import ForkIsolation
from codewords_mcp.runtime.sandboxes.host import cgroups, paths
from codewords_mcp.runtime.sandboxes.host.host_users import Block, HostUsers
from codewords_mcp.runtime.sandboxes.host.output import ProgramOutput
from codewords_mcp.runtime.sandboxes.host.process_channel import ProcessChannel, SpawnedLauncher
from codewords_mcp.runtime.sandboxes.namespaces import spawn
from codewords_mcp.runtime.sandboxes.namespaces.inside import channel, identity
from codewords_mcp.runtime.sandboxes.namespaces.isolation import IsolationResources, host_pid

BOOT_SECONDS: Final = 30.0
"""For a server to import its packages; takes some 500 ms. A package that takes longer is imported by each program."""
_FORKS_AT_ONCE: Final = 8
"""Forks that a server is asked for at once. The others wait for a turn: one that is long in its queue would count as hung."""
_SEND_PAUSE: Final = 0.005
_SERVER_LIMITS: Final = Limits(memory=1 << 30, processes=1024)
_OUTPUT_TAIL: Final = 4 << 10

T = TypeVar("T")
logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DriverResources:
    """The parts of a driver that its fork servers use."""

    instance: paths.DriverFolder
    host_users: HostUsers
    make_group: Callable[[str, Limits], cgroups.Group | None]
    exact_memory: Callable[[], bool]
    executor: Executor
    busy: Callable[[], bool]
    """Whether all processors of the machine have work."""


class ForkServer:
    """One environment's fork server. Call `boot` once; `retire` ends it.

    Programs that it forked outlive it.
    """

    def __init__(self, environment: EnvironmentRef, resources: DriverResources) -> None:
        self.environment = environment
        self.forks = 0
        self.facts: dict[str, Any] = {}
        """`modules` and `seconds`, once it is ready."""
        self.refusal: str | None = None
        """The reason why it forks nothing, in words."""
        self.ended = asyncio.Event()
        self.supervised = asyncio.Event()
        """Set when isolations can be prepared, though it may still import packages, or when none ever will."""
        self._resources = resources
        self._folders = resources.instance.next_folders()
        self._sandboxes = self._folders.top / "s"
        self._ids: Block | None = None
        self._output = ProgramOutput()
        self._tail: deque[bytes] = deque(maxlen=8)
        self._group: cgroups.Group | None = None
        self._spawned: SpawnedLauncher | None = None
        self._channel: ProcessChannel | None = None
        self._supervisor: ProcessChannel | None = None
        # Isolations whose program was asked for, by name; then by its number in the server's
        # namespace, until it has ended.
        self._requested: dict[str, ForkIsolation] = {}
        self._forked_isolations: dict[int, ForkIsolation] = {}
        self._turns = asyncio.Semaphore(_FORKS_AT_ONCE)
        self._waiting = 0
        # The server's process, as numbered in its own pid namespace.
        self._number = 0
        self.authority = authorities.shared()
        self.compiled = CompiledScripts()
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """Of its folder and its cgroup."""
        return self._folders.top.name

    @property
    def ready(self) -> bool:
        """Whether it can fork."""
        return self._ready.done() and self.refusal is None

    @property
    def pid(self) -> int | None:
        """Host pid of the server's process while it lives."""
        if not self.ended.is_set():
            return self._pid
        return None

    _pid: int | None = None

    async def boot(self) -> None:
        """Start it; return when it can fork, or with `refusal` set. Never raises, but for being cancelled."""
        # Shielded: a caller that gives up waiting does not stop the process from being made, and
        # it has to be ended and collected.
        await asyncio.shield(self._keep(self._start()))
        if self.ended.is_set():
            return
        await asyncio.wait({self._ready}, timeout=BOOT_SECONDS)
        if not self._ready.done():
            self._refuse(f"importing its packages takes longer than {BOOT_SECONDS:g} seconds")
        if self.refusal is not None:
            self.retire()

    async def _start(self) -> None:
        try:
            spawned = self._spawned = await self._in_thread(self._spawn)
        except OSError as error:
            self._refuse(error.strerror or type(error).__name__)
            await self._in_thread(self._remove)
            self.ended.set()
            return

        self._output.start()
        self._keep(self._read_output())
        self._channel = ProcessChannel(spawned.channel, self._on_message, spawned)
        self._supervisor = ProcessChannel(self._requests, self._on_supervisor_message)
        self._keep(self._clean_up())
        # It may have been retired while its process was made.
        if self.refusal is not None:
            self._kill(insist=True)

    def new_isolation(self, *, network: bool, high_pids: bool = False) -> ForkIsolation:
        """Reserve ids and folders for a sandbox that isn't made yet. `high_pids`: see `inside.rootfs.skip_pids`."""
        self.forks += 1
        ids, inner, uid = self._ids, None, None
        folders = self._resources.instance.next_folders(self._sandboxes)
        release: Callable[[], None] = _nothing
        if ids is not None:
            inner = ids.take()
            uid, release = ids.first + inner, functools.partial(ids.release, inner)

        resources = IsolationResources(
            folders=folders,
            uid=uid,
            discard=self._resources.instance.discard,
            make_group=functools.partial(self._make_group, folders.top.name),
            exact_memory=self._resources.exact_memory(),
            release=release,
            executor=self._resources.executor,
        )
        return ForkIsolation(resources, self, inner, network=network, high_pids=high_pids)

    async def prepare(self, message: dict[str, Any], fds: list[int]) -> None:
        """Request a prepared isolation. Raises OSError if the server is gone or its queue stays full."""
        await self._send(self._requests, message, fds)

    async def fork(self, isolation: ForkIsolation, message: dict[str, Any], entry: int) -> None:
        """Fork the program of a prepared isolation; `entry` is the descriptor of its entry socket.

        `program_ended` is called on the isolation in any case. Raises OSError as `prepare` does.
        """
        assert self._spawned is not None  # noqa: S101  # only asked once it is ready
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        # Before the request: the answer may be there when `_send` returns.
        self._requested[message["name"]] = isolation
        try:
            await self._send(self._spawned.channel, message | {"waiting": self._waiting}, [entry])
        except OSError:
            self._take_requested(message["name"])
            isolation.program_ended(None)
            raise

    def _take_requested(self, name: str) -> ForkIsolation:
        """The isolation whose fork was requested, and a turn for another."""
        self._turns.release()
        return self._requested.pop(name)

    async def _send(self, messages: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
        for _ in range(round(1 / _SEND_PAUSE)):
            try:
                channel.send(messages, message, fds)
            except OSError as error:
                # A full queue, or too many descriptors on their way: both pass as the server reads.
                if error.errno not in (errno.EAGAIN, errno.ETOOMANYREFS):
                    raise
                await asyncio.sleep(_SEND_PAUSE)
            else:
                return
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def retire(self, *, insist: bool = False) -> None:
        """End the server; the programs that it forked go on.

        `insist`: those have ended too, so the launcher is killed if it doesn't exit soon.
        """
        self._refuse("it was ended")
        self._kill(insist=insist)

    def _kill(self, *, insist: bool) -> None:
        if self._channel is None:
            return
        if self.forks:
            self._channel.kill(insist=insist)
        else:
            # No program goes on, whatever a package may have left running.
            self._channel.kill_launcher()

    def _spawn(self) -> SpawnedLauncher:
        """Blocks. Raises OSError."""
        folders, environment = self._folders, self.environment
        outputs = self._output.open()

        try:
            for folder in (folders.top, folders.root, self._sandboxes):
                folder.mkdir(mode=0o700)
            self._ids = self._resources.host_users.take_block()
            if self._ids is not None:
                # The server's root may pass through the folder, but not list it.
                self._sandboxes.chmod(0o711)
            first, count = (self._ids.first, self._ids.count) if self._ids is not None else (None, 1)
            if self.authority:
                bundle = spawn.write_bundle(folders.top, self.authority)
            else:
                bundle = None
            self._group = self._resources.make_group(folders.top.name, _SERVER_LIMITS)
            description = spawn.describe_server(
                environment, folders.top, self._sandboxes, first, count, bundle, self._group
            )
        except OSError:
            for fd in outputs:
                os.close(fd)
            raise

        spawned = spawn.launch_server(description, outputs)
        self._requests, theirs = channel.pair()
        self._requests.setblocking(False)
        with theirs, cgroups.entrances(self._group) as groups, contextlib.suppress(OSError):
            channel.send(spawned.channel, {"go": True}, [theirs.fileno(), *groups])
        return spawned

    def _make_group(self, name: str, limits: Limits) -> cgroups.Group | None:
        """A sandbox's group, into which the server may fork. Raises OSError."""
        group = self._resources.make_group(name, limits)
        if group is not None and group.folder is not None and self._ids is not None:
            # Without it the processes move there.
            with contextlib.suppress(OSError):
                group.let_in(self._ids.first + identity.SERVER_ID)
        return group

    def _on_message(self, message: dict[str, Any], fds: list[int]) -> None:
        if "server" in message and fds and self._channel is not None:
            self._number = message["server"]
            # The message has the number in the server's own PID namespace; its pidfd gives the one
            # out here.
            self._pid = host_pid(fds[0])
            self._channel.adopt(fds[0])
            # Isolations are made by process 1, which goes on with that.
            self.supervised.set()
        elif "ended" in message:
            self._program_ended(message)
        elif "born" in message:
            self._forked_isolations[message["pid"]] = self._take_requested(message["born"])
        elif "failed" in message:
            self._take_requested(message["failed"]).program_failed(message | {"step": "fork"})
        elif "ready" in message:
            self.facts = {name: message[name] for name in ("modules", "seconds")}
            if not self._ready.done():
                self._ready.set_result(None)
        else:
            self._refuse(str(message.get("refused") or message.get("error")))

    def _on_supervisor_message(self, message: dict[str, Any], _fds: list[int]) -> None:
        """Handle the end of a prepared isolation's process, of the server, or of a program it left."""
        assert self._channel is not None  # noqa: S101  # made before
        if message["ended"] not in self._forked_isolations:
            # The birth of that program may still wait in the server's own channel.
            self._channel.drain()
        self._program_ended(message)
        if message["ended"] == self._number:
            self._lose_requested()

    def _program_ended(self, message: dict[str, Any]) -> None:
        isolation = self._forked_isolations.pop(message["ended"], None)
        if isolation is not None:
            isolation.program_ended({name: message[name] for name in ("exited", "cpu", "peak")})

    def _refuse(self, why: str) -> None:
        self.refusal = self.refusal or why
        self.supervised.set()
        if not self._ready.done():
            self._ready.set_result(None)

    async def _read_output(self) -> None:
        async for chunk in self._output.chunks():
            self._tail.append(chunk.data[-_OUTPUT_TAIL:])

    async def _clean_up(self) -> None:
        """Wait until the server and its programs have ended, then remove folders, group and ids."""
        assert self._channel is not None  # noqa: S101
        await self._channel.gone.wait()
        self._channel.drain()
        # A server that was retired or refused ends as it should.
        expected = self.refusal is not None
        self._refuse("it ended")
        self._output.finish()
        self._channel.close()

        if self._supervisor is not None:
            self._supervisor.drain()
            self._supervisor.close()

        self._all_ended()
        if not expected:
            tail = b"".join(self._tail).decode(errors="replace")[-_OUTPUT_TAIL:]
            logger.warning("fork server lost", environment=str(self.environment.path), output=tail)

        await self._in_thread(self._remove)
        self.ended.set()

    def _all_ended(self) -> None:
        """Report every program as ended with an unknown status: no process is left to report it."""
        self._lose_requested()
        for isolation in self._forked_isolations.values():
            isolation.program_ended(None)
        self._forked_isolations.clear()

    def _lose_requested(self) -> None:
        """Report the programs that nobody forks any more as ended."""
        for name in list(self._requested):
            self._take_requested(name).program_ended(None)

    def _remove(self) -> None:
        if self._group is not None:
            self._group.remove()
        # What stays is removed by the next start's janitor.
        with contextlib.suppress(OSError):
            self._resources.instance.discard(self._folders)
        self._resources.host_users.release_block(self._ids)

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._resources.executor, work)


def _nothing() -> None:
    """An ordinary user's sandboxes are all that user: there is no id to give back."""
