"""The tasks of an open home that start runs by themselves, and the pause of a restored home."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from codewords_mcp.common.cancellation import end
from codewords_mcp.runtime.runs import pausing
from codewords_mcp.runtime.runs.background import BackgroundRuns
from codewords_mcp.runtime.runs.event_sources import EventSources
from codewords_mcp.runtime.runs.poll_loop import PollLoop
from codewords_mcp.runtime.runs.registry import RunRegistry
from codewords_mcp.runtime.runs.scheduler import Scheduler
from codewords_mcp.runtime.runs.suspended_runs import SuspendedRuns
from codewords_mcp.runtime.runs.webhook_dispatcher import WebhookDispatcher
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.summing import keep_summed
from codewords_mcp.runtime.triggers.slack_socket_mode import SocketMode

log = structlog.get_logger(__name__)


class TriggerLoops:
    """The loops that start runs, the summing of usage, and those that go on while a home is paused (`lasting`)."""

    def __init__(
        self,
        database: Database,
        registry: RunRegistry,
        background: BackgroundRuns,
        scheduler: Scheduler,
        webhooks: WebhookDispatcher,
        socket_mode: SocketMode,
        sources: EventSources,
        suspended: SuspendedRuns,
        lasting: Sequence[PollLoop],
    ) -> None:
        self._database = database
        self._registry = registry
        self._background = background
        self._scheduler = scheduler
        self._webhooks = webhooks
        self._socket_mode = socket_mode
        self._sources = sources
        self._suspended = suspended
        self._lasting = lasting
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def paused_at(self) -> int | None:
        """The time at which this home was restored and paused, in µs; None where it is not paused."""
        return self._registry.paused_at

    @property
    def awaits_events(self) -> bool:
        """Whether a schedule, trigger or webhook is active, or a run waits: then the runtime does not end for want of callers."""
        return self._scheduler.armed or self._webhooks.armed or self._sources.armed or self._suspended.armed

    def start(self) -> None:
        """Start the triggers of runs, the lasting loops and the summing of usage. They go on until `close`."""
        lasting = keep_summed(self._database), *(loop.run() for loop in self._lasting)
        self._tasks = [asyncio.create_task(task) for task in lasting]
        if self.paused_at is None:
            self._start_runs()
        else:
            log.warning(
                "home paused after a restore: schedules, triggers and waiting runs wait until it is resumed"
            )

    async def resume(self, *, cancel_waiting: bool) -> None:
        """Start the triggers and waiting runs of a restored home, which do not start by themselves. Idempotent."""
        if self.paused_at is None:
            return
        # Stored first: after a crash the next opening of the home starts them.
        await self._database.write(pausing.resume, cancel_waiting=cancel_waiting)
        self._registry.paused_at = None
        self._start_runs()
        await self._background.recover()

    async def close(self) -> None:
        """Stop all of them."""
        await end(self._tasks)

    def _start_runs(self) -> None:
        loops = (self._scheduler, self._webhooks, self._socket_mode, *self._sources.loops, self._suspended)
        self._tasks += [asyncio.create_task(loop.run()) for loop in loops]
