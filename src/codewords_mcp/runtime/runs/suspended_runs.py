"""Runs without a sandbox that go on once their wait is over.

::

    answer of a person (`wait_answers.py`) ──▶ wait is over ─┐
    a run that it called has ended ──────────▶ wait is over ─┤
    its time has come (`poll`) ──────────────▶ wait is over ─┴▶ this process goes on with the run: the next attempt is
                                                                answered from the journal, and finds the wait over

A process that stops in between loses nothing: `poll` looks for suspended runs that nothing holds up any more, as
`model/suspension.py` decides.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, TypeVar

import structlog
from sqlalchemy import Connection
from typing_extensions import override

from codewords_mcp.errors import CodewordsError, InvalidInput
from codewords_mcp.runtime.model.answer_form import fill
from codewords_mcp.runtime.model.events import EventBus, RunChanged, WaitingPagesChanged
from codewords_mcp.runtime.model.run_wait import RunWait
from codewords_mcp.runtime.runs.background import BackgroundRuns
from codewords_mcp.runtime.runs.context import RunDependencies
from codewords_mcp.runtime.runs.poll_loop import PollLoop
from codewords_mcp.runtime.store import alert_causes, alerts
from codewords_mcp.runtime.store import run_waits as rows
from codewords_mcp.runtime.store.executors import clock

LONGEST_SLEEP: Final = 10.0
"""Seconds after which the times are looked at again: clocks jump, and other processes add some."""
BATCH: Final = 100
PATROL_INTERVAL: Final = 60.0
"""Seconds between looks at all suspended runs."""
OVERDUE_AFTER: Final = 30_000_000
"""Microseconds after the end of its wait within which a run is resumed, several polls: after them it is overdue."""
T = TypeVar("T")
log = structlog.get_logger(__name__)


class WaitChanges(NamedTuple):
    """Waits that a transaction has ended, and runs that it has claimed for this process."""

    ended: Sequence[RunWait] = ()
    claimed: Sequence[str] = ()


class SuspendedRuns(PollLoop):
    """Closes waits whose time has come and goes on with their runs. `armed`: a wait has a time to come."""

    def __init__(self, context: RunDependencies, bus: EventBus) -> None:
        super().__init__("waits of runs are not looked at", LONGEST_SLEEP)
        self._context = context
        self._db = context.database
        self._bus = bus
        self._background: BackgroundRuns | None = None
        # Due at the first poll, also where the monotonic clock began just now.
        self._patrolled = -PATROL_INTERVAL

    def join(self, background: BackgroundRuns) -> None:
        """Go on with runs by `background`."""
        self._background = background

    @override
    async def poll(self) -> float:
        while await self.change(self._close_due) == BATCH:
            pass
        await self.close_ended()
        # Of processes that stopped between an answer and the run that it resumes.
        for run_id in await self._db.read(rows.over_of_suspended, BATCH):
            await self.wake_run(run_id)
        if time.monotonic() >= self._patrolled + PATROL_INTERVAL:
            await self._patrol()
            self._patrolled = time.monotonic()

        due_at, at = await self._db.read(lambda connection: (rows.next_due(connection), clock(connection)))
        self.armed = due_at is not None
        if due_at is None:
            return LONGEST_SLEEP
        return min(max((due_at - at) / 1e6, 0.01), LONGEST_SLEEP)

    async def _patrol(self) -> None:
        """Go on with suspended runs that nothing holds up. An alert says so of each, once: something should have resumed it."""
        if self._context.registry.paused_at is not None:
            return
        for run_id in await self._db.write(_note_overdue):
            await self.wake_run(run_id)

    async def change(self, write: Callable[[Connection], tuple[T, WaitChanges]]) -> T:
        """End waits in one transaction, and go on with the runs that it claims.

        In a task of its own: a caller that hangs up after the commit would leave a claimed run that nobody carries out.
        """
        return await asyncio.shield(self._context.registry.spawn(self._change(write), name="end of waits"))

    async def _change(self, write: Callable[[Connection], tuple[T, WaitChanges]]) -> T:
        result, changes = await self._db.write(write)
        if self._background is not None:
            for run_id in changes.claimed:
                self._background.begin(run_id)
        for wait in changes.ended:
            self.changed(wait)
        return result

    def _close_due(self, connection: Connection) -> tuple[int, WaitChanges]:
        due = rows.due(connection, clock(connection), BATCH)
        ended: list[RunWait] = []
        claimed: list[str] = []
        for wait in due:
            run = rows.lock_run(connection, wait.run_id)
            default = wait.question.get("default")
            answer = None
            if default is not None:
                # Checked when it was asked.
                with suppress(InvalidInput):
                    answer = {"answer": default, "fields": fill(wait.question["fields"], {})}
            status = "timed_out" if answer is None else "answered"
            if rows.close(connection, wait.id, status, answer, source="the deadline"):
                ended.append(wait)
                claimed += self.claim(connection, run)
        return len(due), WaitChanges(ended, claimed)

    async def close_ended(self, called_id: str | None = None) -> None:
        """End the waits for runs that have ended, or for this one, and go on with the runs that called them."""

        def close(connection: Connection) -> tuple[None, WaitChanges]:
            ended: list[RunWait] = []
            claimed: list[str] = []
            for wait in rows.for_ended_runs(connection, BATCH, called_id):
                run = rows.lock_run(connection, wait.run_id)
                if rows.close(connection, wait.id, "answered", None):
                    ended.append(wait)
                    claimed += self.claim(connection, run)
            return None, WaitChanges(ended, claimed)

        await self.change(close)

    async def close_ended_soon(self, called_id: str) -> None:
        """As `close_ended`, for a task that nobody waits for: a failure is logged."""
        try:
            await self.close_ended(called_id)
        except CodewordsError as error:
            # What has ended is looked for again.
            log.warning("the callers of a run were not resumed", run_id=called_id, reason=error.message)

    def claim(self, connection: Connection, run: rows.WaitingRun | None) -> list[str]:
        """Resume a suspended run that nothing holds up, as `model/suspension.py` decides.

        Returns its id where this process has claimed it. A process that drains leaves it to the others.
        """
        registry = self._context.registry
        stays = registry.draining or registry.paused_at is not None
        executor = None if stays else registry.executor
        if run is None or not rows.resume(connection, run, executor) or stays:
            return []
        return [run.id]

    async def wake_soon(self, run_id: str) -> None:
        """As `wake_run`, for a task that nobody waits for: a failure is logged."""
        try:
            await self.wake_run(run_id)
        except CodewordsError as error:
            # What is over is looked for again.
            log.warning("a waiting run was not looked at", run_id=run_id, reason=error.message)

    async def wake_run(self, run_id: str) -> None:
        """Go on with a suspended run if nothing holds it up."""

        def claim(connection: Connection) -> tuple[None, WaitChanges]:
            # Of several replicas that see the end of a wait, the lock lets one go on with the run.
            return None, WaitChanges(claimed=self.claim(connection, rows.lock_run(connection, run_id)))

        await self.change(claim)

    def changed(self, wait: RunWait) -> None:
        """Tell listeners that a wait began or ended."""
        self._context.events.publish(RunChanged(wait.run_id))
        if wait.kind == "question":
            self._bus.publish(WaitingPagesChanged())


def overdue_runs(
    connection: Connection, limit: int = BATCH, owner: str | None = None
) -> list[rows.OverdueRun]:
    """Suspended runs that should have gone on: see `run_waits.overdue`."""
    return rows.overdue(connection, clock(connection) - OVERDUE_AFTER, limit, owner)


def _note_overdue(connection: Connection) -> list[str]:
    found = overdue_runs(connection)
    if found:
        known = {row["detail"].get("run_id") for row in alerts.unresolved_of(connection, ("run_overdue",))}
    else:
        known = set[str]()
    for run in found:
        log.warning("a run waits though nothing holds it up", run_id=run.id)
        if run.id not in known:
            alert_causes.note(connection, f"overdue {run.id}", "run_overdue", run._asdict())
    return [run.id for run in found]
