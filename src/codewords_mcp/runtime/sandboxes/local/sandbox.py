"""One running local sandbox: what the runtime holds of it, from launch to the last removed file."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

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
from codewords_mcp.runtime.sandboxes.local import outcome
from codewords_mcp.runtime.sandboxes.local.cell import Cell, Place

WRONG_PORT_SECONDS: Final = 5.0
"""A program that only listens elsewhere, and has not imported uvicorn, is told so after this."""

logger = structlog.get_logger(__name__)


class LocalSandbox:
    """Implements `Sandbox`. One task, `_live`, launches it, waits for its end and cleans up, whatever happens."""

    def __init__(self, spec: SandboxSpec, cell: Cell, network: Network | None) -> None:
        loop = asyncio.get_running_loop()
        self.id = spec.id
        self.spec = spec
        self.cell = cell
        self._network = network
        self._started: asyncio.Future[None] = loop.create_future()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[Exit] = loop.create_future()
        for future in (self._started, self._ready):
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._handle: NetworkHandle | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._reason: ExitReason | None = None
        self._stopping = False
        self._served = False
        self._status: int | None = None
        self._broken: CodewordsError | None = None
        self._began = time.monotonic()
        self._reported: tuple[float | None, int | None] = (None, None)
        self._usage: Usage | None = None
        self._life = asyncio.create_task(self._live(), name=f"sandbox {spec.id}")

    @property
    def socket_path(self) -> str:
        """See `Sandbox`."""
        return self.cell.place.folders.socket

    def on_end(self, then: Callable[[], object]) -> None:
        """Call `then` when the sandbox is gone."""
        self._ended.add_done_callback(lambda _: then())

    @property
    def place(self) -> Place:
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

    async def started(self) -> None:
        """Return when the isolation stands and the program was started. Raises SandboxFailed."""
        await asyncio.shield(self._started)

    async def wait_ready(self) -> None:
        """See `Sandbox`."""
        await asyncio.shield(self._ready)

    def output(self) -> AsyncIterator[OutputChunk]:
        """See `Sandbox`."""
        return self.cell.output.chunks()

    async def wait(self) -> Exit:
        """See `Sandbox`."""
        return await asyncio.shield(self._ended)

    async def stop(self, grace: float) -> Exit:
        """See `Sandbox`."""
        self._stopping = True
        if self.cell.link is not None and not self._ended.done():
            self.cell.link.send({"signal": int(signal.SIGTERM)})
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
            self.cell.kill()

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
        return self._usage or await self.cell.in_thread(self._measure)

    async def _live(self) -> None:
        try:
            await self._bring_up()
        except CodewordsError as error:
            self._broken = error
        except Exception as error:
            logger.exception("a sandbox could not be made", sandbox=self.id)
            self._broken = SandboxFailed(f"This machine could not make a sandbox: {_reason_of(error)}.")
        if self._broken is None:
            self._started.set_result(None)
        else:
            self.cell.kill()
        await self.cell.gone()
        self._end(await self._clean_up())

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
            self._on_serving(message["asked"])
        elif "listening" in message:
            self._on_listening(message["listening"])
        elif (
            "exited" in message
        ):  # of a fork two processes tell: who made it, and the one that got its orphans
            if self._status is None and not (self.condemned and message["exited"] == -signal.SIGKILL):
                self._status = message["exited"]
            cpu, peak = self._reported
            self._reported = (message["cpu"] + (cpu or 0.0), max(message["peak"], peak or 0))

    def _on_serving(self, asked: int | None) -> None:
        self._served = True
        if asked is not None:
            self.cell.output.say(explain.served_elsewhere(self.spec.port, asked))
        if not self._ready.done():
            self._ready.set_result(None)
        self._disarm()

    def _on_listening(self, others: list[int]) -> None:
        self._disarm("wrong_port")
        if others:
            error = explain.wrong_port(self.spec.port, others)
            self._arm("wrong_port", WRONG_PORT_SECONDS, lambda: self._not_ready(error))

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

    async def _clean_up(self) -> Exit:
        self._disarm()
        self.cell.close()
        if self._handle is not None:
            await self._handle.close()
        return await self.cell.in_thread(self._remove)

    def _remove(self) -> Exit:
        """In a thread: what was used, how it ended, then everything away."""
        self._broken = self._broken or self.cell.broken
        self._usage = self._measure()
        exit_ = self._exit()
        self.cell.remove()
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


def _reason_of(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else type(error).__name__
