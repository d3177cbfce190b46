"""Fork servers, seen from the host, and the sandboxes that are forked from them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, Limits, SandboxSpec
from codewords_mcp.runtime.sandboxes.local import cgroups, paths, slots, spawn
from codewords_mcp.runtime.sandboxes.local.cell import Cell, Place, host_pid
from codewords_mcp.runtime.sandboxes.local.inside import channel
from codewords_mcp.runtime.sandboxes.local.link import Link
from codewords_mcp.runtime.sandboxes.output import Output

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
class Ground:
    """What a driver gives its fork servers."""

    instance: paths.Instance
    slots: slots.Slots
    make_group: Callable[[str, Limits], cgroups.Group | None]
    exact_memory: Callable[[], bool]
    executor: Executor


class ForkServer:
    """One environment's fork server. `boot` it once; it ends by `retire`, or by itself, and what it forked lives on."""

    def __init__(self, environment: EnvironmentRef, ground: Ground) -> None:
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
        self._output = Output()
        self._tail: deque[bytes] = deque(maxlen=8)
        self._group: cgroups.Group | None = None
        self._spawned: spawn.Spawned | None = None
        self._link: Link | None = None
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
        return self._pid if not self.ended.is_set() else None

    _pid: int | None = None

    async def boot(self) -> None:
        """Start it; return when it can fork, or with `refusal` set. Never raises, but for being cancelled."""
        # Whoever gives up waiting does not stop the process from being made, and it has to be ended and buried.
        await asyncio.shield(self._keep(self._start()))
        if self.ended.is_set():
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._ready), BOOT_SECONDS)
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
        self._link = Link(spawned.channel, self._on_message, spawned)
        self._keep(self._bury())
        if self.refusal is not None:  # it was retired meanwhile
            self._kill(insist=True)

    def cell(self, *, early: bool, network: bool) -> ForkCell:
        """A sandbox to come. `early`: nobody waits for it yet, so it may take its time to be quick later."""
        self.forks += 1
        inner = self._ids.take() if self._ids is not None else None
        folders = self._ground.instance.next_folders(self._sandboxes)
        place = Place(
            folders=folders,
            uid=self._ids.first + inner if self._ids is not None and inner is not None else None,
            discard=self._ground.instance.discard,
            make_group=lambda limits: self._ground.make_group(folders.top.name, limits),
            exact_memory=self._ground.exact_memory(),
            give_back=lambda: self._ids.give_back(inner) if self._ids is not None else None,
            executor=self._ground.executor,
        )
        return ForkCell(place, self, inner, early=early, network=network)

    async def fork(self, message: dict[str, Any], fds: list[int]) -> None:
        """Ask for a fork. Raises OSError where the server is gone, or its queue stays full."""
        assert self._spawned is not None  # noqa: S101  # only asked once it is ready
        for _ in range(round(1 / _SEND_PAUSE)):
            try:
                channel.send(self._spawned.channel, message, fds)
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

    def _spawn(self) -> spawn.Spawned:
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
        with contextlib.suppress(OSError):
            channel.send(spawned.channel, {"go": True})
        return spawned

    def _on_message(self, message: dict[str, Any], fds: list[int]) -> None:
        if "server" in message and fds and self._link is not None:
            self._pid = host_pid(fds[0])
            self._link.adopt(fds[0])
        elif "ready" in message:
            self.facts = {name: message[name] for name in ("modules", "seconds")}
            if not self._ready.done():
                self._ready.set_result(None)
        else:
            self._refuse(str(message.get("refused") or message.get("error")))

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
        if not expected:
            tail = b"".join(self._tail).decode(errors="replace")[-_KEPT_OUTPUT:]
            logger.warning("a fork server ended", environment=str(self.environment.path), printed=tail)
        await self._in_thread(self._remove)
        self.ended.set()

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


class ForkCell(Cell):
    """A cell that a fork server makes. It may stand for long before it is told what to run."""

    setup_seconds = FORK_SECONDS

    def __init__(
        self, place: Place, server: ForkServer, inner: int | None, *, early: bool, network: bool
    ) -> None:
        super().__init__(place)
        self.server = server
        self.waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when an early one has warmed up."""
        self._inner = inner
        self._early = early
        self._network = network
        self._limits = Limits()
        if early:
            self.hear(self._on_early_message)

    async def stand(self) -> None:
        """See `Cell`. Returns at once where it stands already."""
        if self.init_pid is not None:
            return
        place = self.place
        stirring = asyncio.ensure_future(self.in_thread(self.server.stir))
        stirring.add_done_callback(lambda done: done.cancelled() or done.exception())
        place.folders.make(place.uid, forked=True)
        outputs = self.output.open()
        try:
            spawn.own_outputs(outputs, place.uid)
            ours, theirs = channel.pair()
            ours.setblocking(False)
            link = self._connect(ours)
            with theirs, spawn.open_listener(place.folders) as listener:
                message = {
                    "name": place.folders.top.name,
                    "uid": self._inner,
                    "early": self._early,
                    "network": self._network,
                    "exact_memory": place.exact_memory,
                }
                await self.server.fork(message, [theirs.fileno(), listener.fileno(), *outputs])
        finally:
            for fd in outputs:
                os.close(fd)
        pid = await self._expect(self._forked)
        await self._settle(pid, self._limits)
        self.init_pid = pid
        link.send({"go": True})

    async def run(self, spec: SandboxSpec) -> None:
        """See `Cell`."""
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

    async def discard(self) -> None:
        """End it, unused."""
        self.kill()
        await self.gone()
        self.close()
        await self.in_thread(self.remove)

    def _on_early_message(self, message: dict[str, Any]) -> None:
        if "waiting" in message and not self.waiting.done():
            self.waiting.set_result(None)
