"""Runs without a sandbox that go on once their wait is over.

::

    answer of a person (`wait_answers.py`) ──▶ wait is over ─┐
    a run that it called has ended ──────────▶ wait is over ─┤
    its time has come (`poll`) ──────────────▶ wait is over ─┴▶ this process goes on with the run: the next attempt is
                                                                answered from the journal, and finds the wait over

A process that stops in between loses nothing: `poll` looks for waits that are over and unknown to their run.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import structlog
from sqlalchemy import Connection
from typing_extensions import override

from codewords_mcp.errors import CodewordsError, InvalidInput
from codewords_mcp.runtime.model.answer_form import fill
from codewords_mcp.runtime.model.events import EventBus, RunChanged, WaitingPagesChanged
from codewords_mcp.runtime.model.run_state import to_resumed
from codewords_mcp.runtime.model.run_wait import RunWait
from codewords_mcp.runtime.runs.background import BackgroundRuns
from codewords_mcp.runtime.runs.context import RunDependencies
from codewords_mcp.runtime.runs.poll_loop import PollLoop
from codewords_mcp.runtime.store import run_waits as rows
from codewords_mcp.runtime.store import runs
from codewords_mcp.runtime.store.executors import clock

LONGEST_SLEEP: Final = 10.0
"""Seconds after which the times are looked at again: clocks jump, and other processes add some."""
BATCH: Final = 100
log = structlog.get_logger(__name__)


class SuspendedRuns(PollLoop):
    """Closes waits whose time has come and goes on with their runs. `armed`: a wait has a time to come."""

    def __init__(self, context: RunDependencies, bus: EventBus) -> None:
        super().__init__("waits of runs are not looked at", LONGEST_SLEEP)
        self._context = context
        self._db = context.database
        self._bus = bus
        self._background: BackgroundRuns | None = None

    def join(self, background: BackgroundRuns) -> None:
        """Go on with runs by `background`."""
        self._background = background

    @override
    async def poll(self) -> float:
        while True:
            closed = await self._db.write(self._close_due)
            for wait, resumes in closed:
                self.changed(wait)
                if resumes:
                    self.resume(wait.run_id)
            if len(closed) < BATCH:
                break

        await self.close_ended()
        # Of processes that stopped between an answer and the run that it resumes.
        for run_id in await self._db.read(rows.suspended_with_news, BATCH):
            await self.wake_run(run_id)

        due_at, at = await self._db.read(lambda connection: (rows.next_due(connection), clock(connection)))
        self.armed = due_at is not None
        if due_at is None:
            return LONGEST_SLEEP
        return min(max((due_at - at) / 1e6, 0.01), LONGEST_SLEEP)

    def _close_due(self, connection: Connection) -> list[tuple[RunWait, bool]]:
        closed: list[tuple[RunWait, bool]] = []
        for wait in rows.due(connection, clock(connection), BATCH):
            run = rows.lock_run(connection, wait.run_id)
            default = wait.question.get("default")
            answer = None
            if default is not None:
                # Checked when it was asked.
                with suppress(InvalidInput):
                    answer = {"answer": default, "fields": fill(wait.question["fields"], {})}
            status = "timed_out" if answer is None else "answered"
            if rows.close(connection, wait.id, status, answer, source="the deadline"):
                closed.append((wait, self.claim(connection, run)))
        return closed

    async def close_ended(self, called_id: str | None = None) -> None:
        """End the waits for runs that have ended, or for this one, and go on with the runs that called them."""

        def close(connection: Connection) -> list[tuple[RunWait, bool]]:
            closed: list[tuple[RunWait, bool]] = []
            for wait in rows.for_ended_runs(connection, BATCH, called_id):
                run = rows.lock_run(connection, wait.run_id)
                if rows.close(connection, wait.id, "answered", None):
                    closed.append((wait, self.claim(connection, run)))
            return closed

        for wait, resumes in await self._db.write(close):
            self.changed(wait)
            if resumes:
                self.resume(wait.run_id)

    async def close_ended_soon(self, called_id: str) -> None:
        """As `close_ended`, for a task that nobody waits for: a failure is logged."""
        try:
            await self.close_ended(called_id)
        except CodewordsError as error:
            # What has ended is looked for again.
            log.warning("the callers of a run were not resumed", run_id=called_id, reason=error.message)

    def claim(self, connection: Connection, run: rows.WaitingRun | None) -> bool:
        """Take a suspended run for this process; True if it has it. One that drains leaves it to the others."""
        if run is None or not run.is_suspended:
            return False
        registry = self._context.registry
        stays = registry.draining or registry.paused_at is not None
        executor = None if stays else registry.executor
        runs.change(connection, run.id, to_resumed(executor), only_from=("queued",))
        return not stays

    def resume(self, run_id: str) -> None:
        """Go on with a run that was claimed."""
        if self._background is not None:
            self._background.begin(run_id)

    async def wake_soon(self, run_id: str) -> None:
        """As `wake_run`, for a task that nobody waits for: a failure is logged."""
        try:
            await self.wake_run(run_id)
        except CodewordsError as error:
            # What is over is looked for again.
            log.warning("a waiting run was not looked at", run_id=run_id, reason=error.message)

    async def wake_run(self, run_id: str) -> None:
        """Go on with a run if a wait of it is over."""

        def claim(connection: Connection) -> bool:
            # Of several replicas that see the end of a wait, the lock lets one go on with the run.
            run = rows.lock_run(connection, run_id)
            return run is not None and rows.has_news(connection, run) and self.claim(connection, run)

        if await self._db.write(claim):
            self.resume(run_id)

    def changed(self, wait: RunWait) -> None:
        """Tell listeners that a wait began or ended."""
        self._context.events.publish(RunChanged(wait.run_id))
        if wait.kind == "question":
            self._bus.publish(WaitingPagesChanged())
