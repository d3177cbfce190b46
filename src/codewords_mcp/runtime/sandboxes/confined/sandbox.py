"""One running confined sandbox: what the runtime holds of it, from launch to the last removed file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog

from codewords_mcp.errors import CodewordsError, SandboxFailed
from codewords_mcp.runtime.sandboxes import explain
from codewords_mcp.runtime.sandboxes.base import (
    Exit,
    ExitReason,
    Network,
    NetworkHandle,
    OutputChunk,
    SandboxSockets,
    SandboxSpec,
    Usage,
)
from codewords_mcp.runtime.sandboxes.confined import spawn
from codewords_mcp.runtime.sandboxes.confined.carry import Carrier
from codewords_mcp.runtime.sandboxes.confined.confinement import Confinement, Start
from codewords_mcp.runtime.sandboxes.local import cgroups, outcome, paths
from codewords_mcp.runtime.sandboxes.local.inside import channel
from codewords_mcp.runtime.sandboxes.output import Output

T = TypeVar("T")

SETUP_SECONDS: Final = 30.0
WRONG_PORT_SECONDS: Final = 5.0
_PORT_POLL: Final = 0.1
KILL_SECONDS: Final = 10.0
"""For the warden to end every process; takes some milliseconds. Then it is killed itself."""

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """What a driver gives a sandbox: where it lives, how it is confined, in which group, threads for what blocks."""

    folders: paths.Folders
    confinement: Confinement
    discard: Callable[[paths.Folders], None]
    make_group: Callable[[], cgroups.Group | None]
    executor: Executor
    waiting: Executor
    """A thread for each living sandbox."""
    network: Network | None


@dataclass(slots=True)
class Cell:
    """What holds a sandbox's memory and processes."""

    group: cgroups.Group | None = None


class ConfinedSandbox:
    """Implements `Sandbox`. One task, `_live`, launches it, waits for its end and cleans up, whatever happens."""

    def __init__(self, spec: SandboxSpec, place: Place) -> None:
        loop = asyncio.get_running_loop()
        self.id = spec.id
        self.spec = spec
        self.place = place
        self.roots: tuple[int, ...] = ()
        """Pid of the warden while it lives, for the watchdog."""
        self.by_address = False
        """Whether the warden judges connections by address. After `started`."""
        self.port = spec.port
        self._output = Output()
        self._running: asyncio.Future[None] = loop.create_future()
        self._started: asyncio.Future[None] = loop.create_future()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[Exit] = loop.create_future()
        for future in (self._running, self._started, self._ready):
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._carrier = Carrier(self._listener)
        self._spawned: spawn.Spawned | None = None
        self._gone: asyncio.Future[int] | None = None
        self.cell = Cell()
        self._handle: NetworkHandle | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._reason: ExitReason | None = None
        self._stopping = self._imported = self._served = False
        self._status: int | None = None
        self._broken: CodewordsError | None = None
        self._began = time.monotonic()
        self._reported: tuple[float | None, int | None] = (None, None)
        self._usage: Usage | None = None
        self._looking: asyncio.Task[None] | None = None
        self._life = asyncio.create_task(self._live(), name=f"sandbox {spec.id}")

    @property
    def socket_path(self) -> str:
        """See `Sandbox`."""
        return self.place.folders.socket

    @property
    def exact(self) -> bool:
        """Whether a cgroup holds its memory and processes."""
        return self.cell.group is not None

    def on_end(self, then: Callable[[], object]) -> None:
        """Call `then` when the sandbox is gone."""
        self._ended.add_done_callback(lambda _: then())

    async def started(self) -> None:
        """Return when the program runs, confined. Raises SandboxFailed."""
        await asyncio.shield(self._started)

    async def wait_ready(self) -> None:
        """See `Sandbox`."""
        await asyncio.shield(self._ready)

    def output(self) -> AsyncIterator[OutputChunk]:
        """See `Sandbox`."""
        return self._output.chunks()

    async def wait(self) -> Exit:
        """See `Sandbox`."""
        return await asyncio.shield(self._ended)

    async def stop(self, grace: float) -> Exit:
        """See `Sandbox`."""
        self._stopping = True
        if self._spawned is not None and not self._ended.done():
            self._send({"signal": int(signal.SIGTERM)})
            await asyncio.wait({self._ended}, timeout=grace)
        return await self.kill()

    async def kill(self, reason: ExitReason = "killed") -> Exit:
        """See `Sandbox`."""
        self.condemn(reason)
        return await self.wait()

    def condemn(self, reason: ExitReason) -> None:
        """Begin killing, without waiting: for the watchdog."""
        if not self._ended.done():
            self._reason = self._reason or reason
            self._let_go()

    def failure(self) -> CodewordsError | None:
        """See `Sandbox`."""
        if not self._ended.done():
            return None
        if self._broken is not None:
            return self._broken
        exit_ = self._ended.result()
        if self._stopping and exit_.reason in ("exited", "signaled"):
            return None
        return explain.ended(exit_, self.spec.limits, served=self._served)

    async def usage(self) -> Usage:
        """See `Sandbox`."""
        return self._usage or await self._in_thread(self._measure)

    async def _live(self) -> None:
        try:
            await self._bring_up()
        except CodewordsError as error:
            self._broken = error
        except Exception as error:
            logger.exception("a sandbox could not be made", sandbox=self.id)
            why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            self._broken = SandboxFailed(f"This machine could not make a sandbox: {why}.")
        if self._broken is None:
            self._started.set_result(None)
        else:
            self._let_go()
        if self._gone is not None:
            await asyncio.wait({self._gone})
            self._drain()
        self._end(await self._clean_up())

    async def _bring_up(self) -> None:
        place, spec = self.place, self.spec
        await self._in_thread(lambda: place.folders.make(None))
        self.cell.group = await self._in_thread(place.make_group)
        uri, ports = await self._attach()
        if not place.confinement.own_ports:
            self.port = _free_port()
        start = Start(
            spec,
            place.folders,
            ports,
            spawn.variables(spec, place.folders, self.port, uri, ports[1] if len(ports) > 1 else None),
            (spawn.python(spec), spawn.BOOT, str(place.folders.app / "main.py")),
            self.port,
            exact=self.cell.group is not None,
        )
        outputs = self._output.open()
        spawned = await self._in_thread(
            lambda: spawn.launch(place.confinement, start, self._listener, outputs)
        )
        self._output.start()
        self._watch(spawned)
        if self._reason is not None:
            self._let_go()
        await self._join_group(spawned.process.pid)
        self._send({"go": True})
        await self._expect_running()
        if not place.confinement.own_ports:
            self._looking = asyncio.create_task(self._look_for_port())
        limit = spec.limits.start_timeout
        self._arm("no_port", limit, lambda: self._not_ready(explain.no_port(self.port, limit)))

    async def _attach(self) -> tuple[str | None, list[int]]:
        """Where the program finds the runtime, and the ports that it may reach: of the runtime, of the proxy."""
        network = self.place.network
        if network is None:
            return None, []
        runtime, connect = (socket.create_server(("127.0.0.1", 0), backlog=512) for _ in range(2))
        ports: list[int] = [runtime.getsockname()[1], connect.getsockname()[1]]
        self._handle = await network.attach(self.id, SandboxSockets(runtime, connect))
        return f"http://127.0.0.1:{ports[0]}", ports

    def _watch(self, spawned: spawn.Spawned) -> None:
        loop = asyncio.get_running_loop()
        self._spawned = spawned
        self._gone = asyncio.ensure_future(loop.run_in_executor(self.place.waiting, spawned.process.wait))
        loop.add_reader(spawned.channel.fileno(), self._on_readable, spawned.channel, self._on_warden)
        loop.add_reader(spawned.boot.fileno(), self._on_readable, spawned.boot, self._on_program)
        self.roots = (spawned.process.pid,)

    async def _join_group(self, pid: int) -> None:
        group = self.cell.group
        if group is not None:
            with contextlib.suppress(ProcessLookupError):  # then `_expect_running` says why it is gone
                await self._in_thread(lambda: group.add(pid))

    async def _expect_running(self) -> None:
        assert self._gone is not None  # noqa: S101  # set before the first use
        await asyncio.wait(
            {self._running, self._gone}, timeout=SETUP_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        self._drain()
        if self._running.done():
            return
        if self._broken is not None:
            raise self._broken
        if self._reason is not None:
            raise SandboxFailed("The sandbox was destroyed while it was being made.")
        if self._gone.done():
            raise SandboxFailed("The sandbox's warden ended before the sandbox stood.")
        raise SandboxFailed(f"The sandbox did not stand within {SETUP_SECONDS:g} seconds.")

    def _send(self, message: dict[str, Any]) -> None:
        if self._spawned is not None:
            with contextlib.suppress(OSError):
                channel.send(self._spawned.channel, message)

    def _let_go(self) -> None:
        if self._spawned is not None and self._spawned.leash >= 0:
            self._spawned.let_go()
            self._timers["kill"] = asyncio.get_running_loop().call_later(KILL_SECONDS, self._kill_warden)

    def _kill_warden(self) -> None:
        if self._spawned is not None:
            logger.error("a sandbox's warden did not end; killing it", pid=self._spawned.process.pid)
            if self.cell.group is not None:
                self.cell.group.kill()
            self._spawned.process.kill()

    def _drain(self) -> None:
        if self._spawned is not None:
            self._on_readable(self._spawned.channel, self._on_warden)

    def _on_readable(self, end: socket.socket, hear: Callable[[dict[str, Any]], None]) -> None:
        while True:
            try:
                received = channel.receive(end)
            except BlockingIOError:
                return
            except OSError:
                received = None
            if received is None:
                asyncio.get_running_loop().remove_reader(end.fileno())
                return
            message, fds = received
            for fd in fds:  # the program may send some
                os.close(fd)
            hear(message)

    def _on_warden(self, message: dict[str, Any]) -> None:
        if "running" in message:
            self.by_address = bool(message["exact"])
            if not self._running.done():
                self._running.set_result(None)
        elif "ports" in message:
            self._on_ports({int(port): place for port, place in message["ports"].items()})
        elif "exited" in message:
            self._status = message["exited"]
            self._reported = (message["cpu"], message["peak"])
        elif "over" in message:
            self.condemn(message["over"])
        elif "error" in message:
            self._on_error(message)

    def _on_program(self, message: dict[str, Any]) -> None:
        """What the program says of itself; any of it may be a lie, about itself."""
        if "imported" in message:
            self._imported = True
            self._disarm("wrong_port")
        if "serving" in message:
            asked = message["serving"]
            if isinstance(asked, int) and asked != self.port:
                self._output.say(explain.served_elsewhere(self.port, asked))
            self._now_ready()

    def _on_ports(self, ports: dict[int, tuple[str, int]]) -> None:
        if self.port in ports:
            self._carrier.start(*ports[self.port])
            self._now_ready()
        elif not self._imported and "wrong_port" not in self._timers:
            error = explain.wrong_port(self.port, sorted(ports)[:16])
            self._arm("wrong_port", WRONG_PORT_SECONDS, lambda: self._not_ready(error))

    async def _look_for_port(self) -> None:
        """Where the warden does not see what the program listens on: knock until somebody answers."""
        while not self._ready.done():
            await asyncio.sleep(_PORT_POLL)
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                self._on_ports({self.port: ("127.0.0.1", self.port)})

    def _on_error(self, message: dict[str, Any]) -> None:
        logger.error("a sandbox broke", sandbox=self.id, **message)
        what = "run the environment's Python" if message["step"] == "exec" else "isolate the sandbox"
        number = message.get("errno")
        detail = f" ({os.strerror(number)})" if isinstance(number, int) and number else ""
        self._broken = SandboxFailed(
            f"This machine could not {what}{detail}.", hint="`codewords-mcp doctor` says what works here."
        )

    def _now_ready(self) -> None:
        self._served = True
        self._disarm("wrong_port", "no_port")
        if not self._ready.done():
            self._ready.set_result(None)

    def _not_ready(self, error: CodewordsError) -> None:
        self._disarm("wrong_port", "no_port")
        if not self._ready.done():
            self._ready.set_exception(error)

    def _arm(self, name: str, seconds: float, then: Callable[[], None]) -> None:
        if not self._ready.done():
            self._timers[name] = asyncio.get_running_loop().call_later(seconds, then)

    def _disarm(self, *names: str) -> None:
        for name in names or tuple(self._timers):
            timer = self._timers.pop(name, None)
            if timer is not None:
                timer.cancel()

    async def _clean_up(self) -> Exit:
        self._disarm()
        if self._looking is not None:
            self._looking.cancel()
        self.roots = ()
        self._output.finish()
        if self._spawned is not None:
            for end in (self._spawned.channel, self._spawned.boot):
                asyncio.get_running_loop().remove_reader(end.fileno())
            self._spawned.close()
        self._carrier.close()
        self._listener.close()
        if self._handle is not None:
            await self._handle.close()
        return await self._in_thread(self._remove)

    def _remove(self) -> Exit:
        """In a thread: what was used, how it ended, then everything away."""
        self._usage = self._measure()
        exit_ = self._exit()
        if self.cell.group is not None:
            self.cell.group.kill()
            if not self.cell.group.remove():
                logger.warning("a sandbox's cgroup stays", sandbox=self.id)
        try:
            self.place.discard(self.place.folders)
        except OSError as error:
            logger.warning("a sandbox's folder stays", sandbox=self.id, error=str(error))
        return exit_

    def _measure(self) -> Usage:
        return outcome.measured(time.monotonic() - self._began, self._reported, self.cell.group)

    def _exit(self) -> Exit:
        exit_ = outcome.told(self._reason, self._status, self.cell.group)
        if exit_ is None and self._reason is None and self._broken is None:
            self._broken = SandboxFailed("The sandbox ended without saying how its program did.")
        return exit_ or Exit("killed")

    def _end(self, exit_: Exit) -> None:
        self._ended.set_result(exit_)
        if self._broken is not None and not self._started.done():
            self._started.set_exception(self._broken)
        gone = SandboxFailed("The sandbox was destroyed before its program listened.")
        self._not_ready(self.failure() or gone)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.place.executor, work)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
