"""Sandboxes that have started before their run comes, for scripts that run often; each still serves one run only.

How many wait is decided by how often a script ran in the last seconds: none for one that runs now and then, since a
program that starts may already do something; some for a hot one, so that its runs find one at once while others are
being made.
"""

from __future__ import annotations

import asyncio
import functools
import math
import operator
import os
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from codewords_mcp.errors import CodewordsError, ProgramFailed
from codewords_mcp.runtime.runs.launcher import LaunchConfig
from codewords_mcp.runtime.runs.lease import PreparedSandbox

WINDOW = 10.0
"""Seconds over which runs are counted."""
HOT = 2
"""Runs within the window that make a script hot."""
AHEAD = 0.3
"""Seconds of runs that the ready ones should last, while others are made."""
SETTLE = 0.01
"""Seconds after a run has come before what it took is made anew, so that it has been answered by then: on two busy
processors the one would slow the other down.
"""
FILLERS = min(4, os.cpu_count() or 1)
MAX_EACH = 16
MAX_ALL = 64
MAX_AGE = 60.0
"""Seconds that a ready sandbox waits: its program may hold tokens or a clock."""
SWEEP = 5.0
GIVE_UP = 2
"""Programs of one entry that ended while they waited, after which the pool makes no more of them."""
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class PoolEntry:
    """The ready sandboxes of one launch configuration."""

    config: LaunchConfig
    waiting: deque[tuple[float, PreparedSandbox]] = field(
        default_factory=deque[tuple[float, PreparedSandbox]]
    )
    runs: deque[float] = field(default_factory=functools.partial(deque[float], maxlen=256))
    failures: int = 0
    making: int = 0

    def target(self, now: float) -> int:
        """The number of sandboxes that should wait."""
        recent = len(self.runs) - bisect_right(self.runs, now - WINDOW)
        if recent < HOT or self.failures >= GIVE_UP:
            return 0
        return min(MAX_EACH, max(1, math.ceil(recent / WINDOW * AHEAD)))


class WarmPool:
    """Ready sandboxes by launch configuration. At most one for each processor is made at once, beside the runs."""

    def __init__(
        self, prepare: Callable[[LaunchConfig], Awaitable[PreparedSandbox]], has_room: Callable[[], bool]
    ) -> None:
        self._prepare = prepare
        self._has_room = has_room
        self._entries: dict[str, PoolEntry] = {}
        self._fillers: set[asyncio.Task[None]] = set()
        self._filling: asyncio.TimerHandle | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[object]] = set()
        self._closed = False

    def claim(self, config: LaunchConfig) -> PreparedSandbox | None:
        """Note a run; a ready sandbox for it, if one waits and is alive."""
        entry = self._entries.setdefault(config.pool_key, PoolEntry(config))
        entry.runs.append(time.monotonic())
        found: PreparedSandbox | None = None

        # One that waited may have ended by itself, or been killed for want of memory.
        while entry.waiting and found is None:
            _, prepared = entry.waiting.popleft()
            if prepared.sandbox.failure() is None:
                found = prepared
            else:
                entry.failures += 1
                self._end(prepared)

        if self._filling is None:
            self._filling = asyncio.get_running_loop().call_later(SETTLE, self._fill)
        return found

    def count(self) -> tuple[int, int]:
        """The number of sandboxes that wait, and of those that are made."""
        entries = self._entries.values()
        return sum(len(entry.waiting) for entry in entries), sum(entry.making for entry in entries)

    def forget(self, service_id: str) -> None:
        """End what waits for this service."""
        for name in [name for name in self._entries if name.startswith(f"{service_id}/")]:
            self._drop(name)

    async def close(self) -> None:
        """End everything that waits."""
        self._closed = True
        for task in [*self._fillers, *([self._sweeper] if self._sweeper else [])]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        # A copy, since `_drop` takes each out.
        for name in list(self._entries):
            self._drop(name)
        if self._ending:
            await asyncio.wait(self._ending)

    def _fill(self) -> None:
        self._filling = None
        if self._closed:
            return
        if len(self._fillers) < FILLERS and self._neediest():
            task = asyncio.create_task(self._fill_entries())
            self._fillers.add(task)
            task.add_done_callback(self._fillers.discard)
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = asyncio.create_task(self._sweep())

    async def _fill_entries(self) -> None:
        while (entry := self._neediest()) and self._has_room():
            entry.making += 1
            try:
                prepared = await self._prepare(entry.config)
            except ProgramFailed:
                entry.failures += 1  # it does not come up without a run
                continue
            # Not the program's fault (no room, no memory), so the next ones would fail as well.
            except CodewordsError as error:
                log.warning("no sandbox could be made ready", reason=error.message)
                return
            finally:
                entry.making -= 1

            # Dropped meanwhile where another version went live, or the pool was closed.
            if self._entries.get(entry.config.pool_key) is entry:
                entry.waiting.append((time.monotonic(), prepared))
            else:
                self._end(prepared)

    def _neediest(self) -> PoolEntry | None:
        now = time.monotonic()
        if sum(len(entry.waiting) + entry.making for entry in self._entries.values()) >= MAX_ALL:
            return None
        needs = (
            (entry.target(now) - len(entry.waiting) - entry.making, entry) for entry in self._entries.values()
        )
        need, entry = max(needs, key=operator.itemgetter(0), default=(0, None))
        if need > 0:
            return entry
        return None

    async def _sweep(self) -> None:
        while self._entries:
            await asyncio.sleep(SWEEP)
            now = time.monotonic()
            for name, entry in list(self._entries.items()):
                # Without this the entry of each version that ever ran would stay.
                if not entry.runs or entry.runs[-1] < now - MAX_AGE:
                    self._drop(name)
                    continue
                while entry.waiting and (
                    entry.waiting[0][0] < now - MAX_AGE or len(entry.waiting) > entry.target(now)
                ):
                    self._end(entry.waiting.popleft()[1])

    def _drop(self, name: str) -> None:
        for _, prepared in self._entries.pop(name).waiting:
            self._end(prepared)

    def _end(self, prepared: PreparedSandbox) -> None:
        async def end() -> None:
            # somebody has to read what it wrote, else its end would wait for that
            reading = asyncio.create_task(_discard(prepared))
            await prepared.sandbox.kill()
            await reading

        task: asyncio.Task[object] = asyncio.create_task(end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _discard(prepared: PreparedSandbox) -> None:
    async for _ in prepared.sandbox.output():
        pass
