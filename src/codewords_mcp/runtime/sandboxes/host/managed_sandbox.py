"""Base of the sandboxes whose processes run on this machine: start, readiness, end, usage."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from typing import Final, TypeVar

from codewords_mcp.common.cancellation import ignore_result
from codewords_mcp.errors import CodewordsError, SandboxFailed
from codewords_mcp.runtime.model.shortages import shortage
from codewords_mcp.runtime.sandboxes import explain
from codewords_mcp.runtime.sandboxes.base import (
    Exit,
    ExitReason,
    NetworkHandle,
    OutputChunk,
    SandboxSpec,
    Usage,
)
from codewords_mcp.runtime.sandboxes.host.cgroups import Group, GroupUsage
from codewords_mcp.runtime.sandboxes.host.setup_log import setup_failed

T = TypeVar("T")

WRONG_PORT_SECONDS: Final = 5.0
"""A program that only listens elsewhere, and has not imported uvicorn, is told so after this."""


class ManagedSandbox(ABC):
    """Implements `Sandbox`, but for how its processes are made, told and ended. One task, `_live`, brings it up, waits for
    its end and cleans up, whatever happens. `executor` is for what blocks.
    """

    def __init__(self, spec: SandboxSpec, executor: Executor) -> None:
        loop = asyncio.get_running_loop()
        self.id = spec.id
        self.spec = spec
        self._executor = executor
        self._started: asyncio.Future[None] = loop.create_future()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[Exit] = loop.create_future()
        for future in (self._started, self._ready):
            future.add_done_callback(ignore_result)
        self._handle: NetworkHandle | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._reason: ExitReason | None = None
        self._stopping = False
        self._served = False
        # Of the program's exit, negative for a signal; None while nobody has told.
        self._status: int | None = None
        self._broken: CodewordsError | None = None
        self._began = time.monotonic()
        # Seconds of processor time and peak bytes, as its process 1 counted them.
        self._reported: tuple[float | None, int | None] = (None, None)
        self._usage: Usage | None = None
        self._life = asyncio.create_task(self._live(), name=f"sandbox {spec.id}")

    @property
    @abstractmethod
    def socket_path(self) -> str:
        """See `Sandbox`."""

    @abstractmethod
    def output(self) -> AsyncIterator[OutputChunk]:
        """See `Sandbox`."""

    @property
    @abstractmethod
    def group(self) -> Group | None:
        """The cgroup that holds its memory and processes."""

    @abstractmethod
    async def _bring_up(self) -> None:
        """Make it and start its program. Raises CodewordsError, OSError."""

    @abstractmethod
    def _terminate(self) -> bool:
        """Send SIGTERM to the program; False where there is none yet."""

    @abstractmethod
    def _begin_kill(self) -> None:
        """Begin to end every process, also those still to come."""

    @abstractmethod
    async def _wait_gone(self) -> None:
        """Return when every process has ended and all that they said was heard."""

    @abstractmethod
    def _close(self) -> None:
        """Let go of pipes and sockets. After `_wait_gone`."""

    @abstractmethod
    def _discard(self) -> None:
        """Remove group and folders. In a thread, after `_close`."""

    def on_end(self, then: Callable[[], object]) -> None:
        """Call `then` when the sandbox is gone."""

        def ended(_: object) -> None:
            then()

        self._ended.add_done_callback(ended)

    async def started(self) -> None:
        """Return when the isolation stands and the program was started. Raises SandboxFailed."""
        # Shielded: many wait for these futures, and one that is cancelled must not cancel them.
        await asyncio.shield(self._started)

    async def wait_ready(self) -> None:
        """See `Sandbox`."""
        await asyncio.shield(self._ready)

    async def wait(self) -> Exit:
        """See `Sandbox`."""
        return await asyncio.shield(self._ended)

    async def stop(self, grace: float) -> Exit:
        """See `Sandbox`."""
        self._stopping = True
        if not self._ended.done() and self._terminate():
            await asyncio.wait({self._ended}, timeout=grace)
        return await self.kill()

    async def kill(self, reason: ExitReason = "killed") -> Exit:
        """See `Sandbox`."""
        self.condemn(reason)
        return await self.wait()

    def condemn(self, reason: ExitReason) -> None:
        """Begin killing, without waiting: for the watchdog."""
        if not self._ended.done():
            # The first reason is the true one: a kill follows each of the others.
            self._reason = self._reason or reason
            self._begin_kill()

    def failure(self) -> CodewordsError | None:
        """See `Sandbox`."""
        if not self._ended.done():
            return None
        if self._broken is not None:
            return self._broken
        exit_ = self._ended.result()
        # A program that was asked to stop may end as it likes.
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
        except Exception as error:  # noqa: BLE001  # logged by `setup_failed`
            # Whatever it is: the sandbox must be cleaned up, and its callers get an error of ours.
            setup_failed(exc_info=True, sandbox=self.id)
            self._broken = shortage(error, "sandbox") or SandboxFailed(
                f"This machine could not make a sandbox: {_reason_of(error)}."
            )

        if self._broken is None:
            self._started.set_result(None)
        else:
            self._begin_kill()

        # Also where it was never made: parts of it may be running.
        await self._wait_gone()
        self._disarm()
        self._close()
        if self._handle is not None:
            await self._handle.close()
        self._end(await self._in_thread(self._remove))

    def _now_ready(self) -> None:
        self._served = True
        if not self._ready.done():
            self._ready.set_result(None)
        self._disarm()

    def _not_ready(self, error: CodewordsError) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)
        self._disarm()

    def _arm(self, name: str, seconds: float, then: Callable[[], None]) -> None:
        if not self._ready.done():
            self._timers[name] = asyncio.get_running_loop().call_later(seconds, then)

    def _disarm(self, *names: str) -> None:
        for name in names or tuple(self._timers):
            timer = self._timers.pop(name, None)
            if timer is not None:
                timer.cancel()

    def _remove(self) -> Exit:
        """In a thread: what was used, how it ended, then everything away."""
        # The counters go with the group.
        counted = self._counted()
        self._usage = self._measured(counted)
        exit_ = self._exit(counted)
        self._discard()
        return exit_

    def _counted(self) -> GroupUsage | None:
        if self.group is None:
            return None
        return self.group.usage()

    def _measure(self) -> Usage:
        return self._measured(self._counted())

    def _measured(self, counted: GroupUsage | None) -> Usage:
        """As its group counted, else as its process 1 told."""
        wall, (cpu, peak) = time.monotonic() - self._began, self._reported
        if counted is not None:
            if counted.cpu_seconds is not None:
                cpu = counted.cpu_seconds
            if counted.peak_memory is not None:
                peak = counted.peak_memory
        return Usage(wall, cpu, peak)

    def _exit(self, counted: GroupUsage | None) -> Exit:
        """By why it was ended and its status; its group tells a kill by the kernel from one by a program."""
        # A limit that we enforce ends the program by a kill, which alone would tell nothing.
        if self._reason not in (None, "killed"):
            return Exit(self._reason)
        # Only a kill by the kernel counts: a program may end well after a child of it was killed.
        if self._status != 0 and counted is not None and counted.oom_kills:
            return Exit("out_of_memory")

        if self._status is not None:
            code = self._status
            if code >= 0:
                return Exit("exited", code=code)
            return Exit("signaled", signal=-code)

        if self._reason is None and self._broken is None:
            self._broken = SandboxFailed("The sandbox ended without saying how its program did.")
        return Exit("killed")

    def _end(self, exit_: Exit) -> None:
        self._ended.set_result(exit_)
        # `_ended` first: `failure` answers only after it.
        if self._broken is not None and not self._started.done():
            self._started.set_exception(self._broken)
        gone = SandboxFailed("The sandbox was destroyed before its program listened.")
        self._not_ready(self.failure() or gone)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def _reason_of(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__
