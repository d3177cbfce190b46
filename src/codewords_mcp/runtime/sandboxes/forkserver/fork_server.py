"""Fork servers, seen from the host, and the sandboxes that their programs enter.

Two processes serve: the *keeper* makes shells, which are sandboxes without a program; the server itself forks programs
into them.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, Limits, SandboxSpec
from codewords_mcp.runtime.sandboxes.host import cgroups, paths
from codewords_mcp.runtime.sandboxes.host import host_users as slots
from codewords_mcp.runtime.sandboxes.host.output import ProgramOutput
from codewords_mcp.runtime.sandboxes.host.process_channel import ProcessChannel, SpawnedLauncher
from codewords_mcp.runtime.sandboxes.namespaces import spawn
from codewords_mcp.runtime.sandboxes.namespaces.inside import channel
from codewords_mcp.runtime.sandboxes.namespaces.isolation import Isolation, IsolationResources, host_pid

BOOT_SECONDS: Final = 30.0
"""For a server to import its packages; takes some 500 ms. A package that takes longer is imported by each program."""
FORK_SECONDS: Final = 10.0
"""For a fork to stand; takes some 5 ms, more when a hundred start at once. Then the server counts as hung."""
_SEND_PAUSE: Final = 0.005
_SERVER_LIMITS: Final = Limits(memory=1 << 30, processes=1024)
_KEPT_OUTPUT: Final = 4 << 10

T = TypeVar("T")
logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DriverResources:
    """What a driver gives its fork servers."""

    instance: paths.DriverFolder
    slots: slots.HostUsers
    make_group: Callable[[str, Limits], cgroups.Group | None]
    exact_memory: Callable[[], bool]
    executor: Executor


class ForkServer:
    """One environment's fork server. `boot` it once; it ends by `retire`, or by itself, and what it forked lives on."""

    def __init__(self, environment: EnvironmentRef, ground: DriverResources) -> None:
        self.environment = environment
        self.forks = 0
        self.facts: dict[str, Any] = {}
        """`modules` and `seconds`, once it is ready."""
        self.refusal: str | None = None
        """Why there are no forks, in words."""
        self.ended = asyncio.Event()
        self._ground = ground
        self._folders = ground.instance.next_folders()
        self._sandboxes = self._folders.top / "s"
        self._ids: slots.Block | None = None
        self._output = ProgramOutput()
        self._tail: deque[bytes] = deque(maxlen=8)
        self._group: cgroups.Group | None = None
        self._spawned: SpawnedLauncher | None = None
        self._link: ProcessChannel | None = None
        self._keeper: ProcessChannel | None = None
        self._asked: dict[str, ForkIsolation] = {}
        """Cells whose program was asked for, by name; then by its number in the server's namespace, until it has ended."""
        self._born: dict[int, ForkIsolation] = {}
        self._number = 0
        self.moves_quickly = False
        """Whether a program gets into its control groups without a wait."""
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
        # Whoever gives up waiting does not stop the process from being made, and it has to be ended and buried.
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
        self._link = ProcessChannel(spawned.channel, self._on_message, spawned)
        self._keeper = ProcessChannel(self._requests, self._on_keeper_message)
        self._keep(self._bury())
        if self.refusal is not None:  # it was retired meanwhile
            self._kill(insist=True)

    def cell(self, *, network: bool) -> ForkIsolation:
        """A sandbox to come."""
        self.forks += 1
        if self._ids is not None:
            inner = self._ids.take()
        else:
            inner = None

        folders = self._ground.instance.next_folders(self._sandboxes)
        place = IsolationResources(
            folders=folders,
            uid=self._ids.first + inner if self._ids is not None and inner is not None else None,
            discard=self._ground.instance.discard,
            make_group=lambda limits: self._ground.make_group(folders.top.name, limits),
            exact_memory=self._ground.exact_memory(),
            give_back=lambda: self._ids.give_back(inner) if self._ids is not None else None,
            executor=self._ground.executor,
        )
        return ForkIsolation(place, self, inner, network=network)

    async def make_shell(self, message: dict[str, Any], fds: list[int]) -> None:
        """Ask for a shell. Raises OSError where the server is gone, or its queue stays full."""
        await self._send(self._requests, message, fds)

    async def fork(self, cell: ForkIsolation, message: dict[str, Any], shell: int) -> None:
        """Ask for a cell's program, in its shell. The cell is told of its end in any case. Raises OSError as `make_shell`."""
        assert self._spawned is not None  # noqa: S101  # only asked once it is ready
        self._asked[message["name"]] = cell
        try:
            await self._send(self._spawned.channel, message, [shell])
        except OSError:
            self._asked.pop(message["name"], None)
            cell.program_ended(None)
            raise

    async def _send(self, messages: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
        for _ in range(round(1 / _SEND_PAUSE)):
            try:
                channel.send(messages, message, fds)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.ETOOMANYREFS):
                    raise
                await asyncio.sleep(_SEND_PAUSE)
            else:
                return
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def stir(self) -> None:
        """Have the kernel begin the wait that moving a process into a group takes (see `Group.add`), for the move to come.

        Putting the server's launcher where it is does nothing else. Blocks.
        """
        if self._group is not None and self._spawned is not None:
            with contextlib.suppress(OSError):
                self._group.add(self._spawned.process.pid)

    def retire(self, *, insist: bool = False) -> None:
        """End the server; what it forked goes on. With `insist` that is over too, so its launcher is not waited for long."""
        self._refuse("it was ended")
        self._kill(insist=insist)

    def _kill(self, *, insist: bool) -> None:
        if self._link is None:
            return
        if self.forks:
            self._link.kill(insist=insist)
        else:  # nothing goes on, whatever a package may have left running
            self._link.kill_launcher()

    def _spawn(self) -> SpawnedLauncher:
        """Blocks. Raises OSError."""
        folders, environment = self._folders, self.environment
        outputs = self._output.open()

        try:
            for folder in (folders.top, folders.root, self._sandboxes):
                folder.mkdir(mode=0o700)
            self._ids = self._ground.slots.take_block()
            if self._ids is not None:
                self._sandboxes.chmod(0o711)  # the server's root may go through, not look
            first, count = (self._ids.first, self._ids.count) if self._ids is not None else (None, 1)
            description = spawn.describe_server(environment, folders.top, self._sandboxes, first, count)
            self._group = self._ground.make_group(folders.top.name, _SERVER_LIMITS)
        except OSError:
            for fd in outputs:
                os.close(fd)
            raise

        spawned = spawn.launch_server(description, outputs)
        if self._group is not None:
            with contextlib.suppress(ProcessLookupError):
                self._group.add(spawned.process.pid)

        self.moves_quickly = cgroups.moves_are_quick()
        self._requests, theirs = channel.pair()
        self._requests.setblocking(False)
        with theirs, contextlib.suppress(OSError):
            channel.send(spawned.channel, {"go": True}, [theirs.fileno()])
        return spawned

    def _on_message(self, message: dict[str, Any], fds: list[int]) -> None:
        if "server" in message and fds and self._link is not None:
            self._number = message["server"]
            self._pid = host_pid(fds[0])
            self._link.adopt(fds[0])
        elif "ended" in message:
            self._program_ended(message)
        elif "born" in message:
            self._born[message["pid"]] = self._asked.pop(message["born"])
        elif "failed" in message:
            self._asked.pop(message["failed"]).program_failed(message | {"step": "fork"})
        elif "ready" in message:
            self.facts = {name: message[name] for name in ("modules", "seconds")}
            if not self._ready.done():
                self._ready.set_result(None)
        else:
            self._refuse(str(message.get("refused") or message.get("error")))

    def _on_keeper_message(self, message: dict[str, Any], _fds: list[int]) -> None:
        """The keeper tells of the shells' own processes, of the server's end, and of the programs that it has left."""
        assert self._link is not None  # noqa: S101  # made before
        if message["ended"] not in self._born:
            self._link.drain()  # what the server said before it ended
        self._program_ended(message)
        if message["ended"] == self._number:
            for cell in self._asked.values():
                cell.program_ended(None)
            self._asked.clear()

    def _program_ended(self, message: dict[str, Any]) -> None:
        cell = self._born.pop(message["ended"], None)
        if cell is not None:
            cell.program_ended({name: message[name] for name in ("exited", "cpu", "peak")})

    def _refuse(self, why: str) -> None:
        self.refusal = self.refusal or why
        if not self._ready.done():
            self._ready.set_result(None)

    async def _read_output(self) -> None:
        async for chunk in self._output.chunks():
            self._tail.append(chunk.data[-_KEPT_OUTPUT:])

    async def _bury(self) -> None:
        """Once the server and all that it forked are gone: everything away."""
        assert self._link is not None  # noqa: S101
        await self._link.gone.wait()
        self._link.drain()
        expected = self.refusal is not None
        self._refuse("it ended")
        self._output.finish()
        self._link.close()

        if self._keeper is not None:
            self._keeper.drain()
            self._keeper.close()

        self._all_ended()
        if not expected:
            tail = b"".join(self._tail).decode(errors="replace")[-_KEPT_OUTPUT:]
            logger.warning("a fork server ended", environment=str(self.environment.path), printed=tail)

        await self._in_thread(self._remove)
        self.ended.set()

    def _all_ended(self) -> None:
        """Whoever would have told how programs end is gone, and they with it."""
        for cell in (*self._asked.values(), *self._born.values()):
            cell.program_ended(None)
        self._asked.clear()
        self._born.clear()

    def _remove(self) -> None:
        if self._group is not None:
            self._group.remove()
        with contextlib.suppress(OSError):
            self._ground.instance.discard(self._folders)
        self._ground.slots.give_back_block(self._ids)

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._ground.executor, work)


class ForkIsolation(Isolation):
    """A shell, and the program that is forked into it. It may wait, empty or with a blank program, to be told what to run."""

    setup_seconds = FORK_SECONDS

    def __init__(
        self, place: IsolationResources, server: ForkServer, inner: int | None, *, network: bool
    ) -> None:
        super().__init__(place)
        loop = asyncio.get_running_loop()
        self.server = server
        self._inner = inner
        self._network = network
        self._limits = Limits()
        self._shell: socket.socket | None = None
        """Holds the key of the shell (`inside.shell`), then nothing."""
        self._empty: asyncio.Future[None] = loop.create_future()
        self._warm: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[None] | None = None
        """Done when it is known how the program ended. None before there is one."""
        self._program: int | None = None

    @property
    def roots(self) -> tuple[int, ...]:
        """See `Isolation`."""
        return tuple(pid for pid in (self.init_pid, self._program) if pid is not None)

    @property
    def usable(self) -> bool:
        """Whether it stands, and is not gone."""
        return self.init_pid is not None and self.link is not None and not self.link.gone.is_set()

    async def stand(self) -> None:
        """See `Isolation`. The program is on its way then: what is left to do for it is done while the server forks."""
        if self.init_pid is None:
            await self.make_shell()
        if self._ended is None:
            await self._fork(early=False)

    async def make_shell(self) -> None:
        """Have everything but a program. Raises SandboxFailed, OSError."""
        place = self.place
        self.group = await self.in_thread(lambda: place.make_group(self._limits))
        place.folders.make(place.uid, forked=True)
        outputs = self.output.open()

        with contextlib.ExitStack() as stack:
            for fd in outputs:
                stack.callback(os.close, fd)
            spawn.own_outputs(outputs, place.uid)
            ours, theirs = channel.pair()
            ours.setblocking(False)
            self._connect(ours)
            self._shell, inside = channel.pair()
            listener = spawn.open_listener(place.folders)
            for one in (theirs, inside, listener):
                stack.enter_context(one)
            if self.group:
                groups = [stack.enter_context(file) for file in self.group.entrances()]
            else:
                groups = []

            message = {
                "name": place.folders.top.name,
                "uid": self._inner,
                "network": self._network,
                "exact_memory": place.exact_memory,
            }
            files = [theirs, listener, *outputs, inside, *groups]
            fds = [file if isinstance(file, int) else file.fileno() for file in files]
            await self.server.make_shell(message, fds)

        pid = await self._expect(self._forked)
        await self._expect(self._empty)
        self.init_pid = pid

    async def warm(self) -> None:
        """Have a program in the shell that has done all that can be done before it is told what to run.

        Raises SandboxFailed, OSError.
        """
        await self._fork(early=True)
        await self._expect(self._warm)

    async def run(self, spec: SandboxSpec) -> None:
        """See `Isolation`."""
        assert self.link is not None  # noqa: S101  # it stands
        spawn.write_files(self.place.folders, spec, self.place.uid)
        if self.group is not None and spec.limits != self._limits:
            self.group.limit(spec.limits)
        claim = {
            "port": spec.port,
            "variables": spawn.variables(spec),
            "limits": spawn.describe_limits(spec.limits, exact_memory=self.group is not None),
        }
        memory = spawn.memory_file(json.dumps(claim).encode() + b"\n")
        try:
            self.link.send({"claim": True}, [memory])
        finally:
            os.close(memory)

        await self._expect(self._running)

    async def gone(self) -> None:
        """See `Isolation`."""
        await super().gone()
        if self._ended is not None:  # the word of it may come a moment later
            await asyncio.wait({self._ended}, timeout=FORK_SECONDS)

    def close(self) -> None:
        """See `Isolation`."""
        self._program = None
        if self._shell is not None:
            self._shell.close()
        super().close()

    async def discard(self) -> None:
        """End it, unused."""
        self.kill()
        await self.gone()
        self.close()
        await self.in_thread(self.remove)

    def program_ended(self, how: dict[str, Any] | None) -> None:
        """The program is gone; None: nobody knows how."""
        if how is not None:
            self._tell(how)
        self._has_ended()

    def program_failed(self, message: dict[str, Any]) -> None:
        """There is none."""
        self._on_error(message)
        self._has_ended()

    def _has_ended(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
        if not self.told:  # else its process 1 has seen it
            self.kill()

    async def _fork(self, *, early: bool) -> None:
        assert self._shell is not None  # noqa: S101  # it stands
        if self.group is not None and not self.server.moves_quickly:
            stirring = asyncio.ensure_future(self.in_thread(self.server.stir))
            stirring.add_done_callback(lambda done: done.cancelled() or done.exception())

        self._ended = asyncio.get_running_loop().create_future()
        message = {
            "name": self.place.folders.top.name,
            "early": early,
            "exact_memory": self.place.exact_memory,
        }
        await self.server.fork(self, message, self._shell.fileno())
        self._shell.close()

    def _on_message(self, message: dict[str, Any], fds: list[int]) -> None:
        if "running" in message and fds:
            self._program = host_pid(fds[0])
            os.close(fds[0])
        for name, reached in (("empty", self._empty), ("waiting", self._warm)):
            if name in message:
                if not reached.done():
                    reached.set_result(None)
                return
        super()._on_message(message, fds)
