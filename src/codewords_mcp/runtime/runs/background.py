"""Runs that nobody holds a connection for: executed until they end, also across crashes.

They are accepted by `background_submit.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from codewords_mcp.errors import RunCancelled, StorageFailed
from codewords_mcp.runtime.model.events import RunChanged, WaitingPagesChanged
from codewords_mcp.runtime.model.limits import LimitScope
from codewords_mcp.runtime.model.run_state import delivered, error_entry, platform_error, to_finished
from codewords_mcp.runtime.runs import background_request as works
from codewords_mcp.runtime.runs import pausing
from codewords_mcp.runtime.runs.background_run import STORE_PAUSE, BackgroundRun
from codewords_mcp.runtime.runs.background_submit import BackgroundMode, QueuedRuns
from codewords_mcp.runtime.runs.context import RunDependencies
from codewords_mcp.runtime.runs.queue import RunQueue
from codewords_mcp.runtime.runs.results import unstartable
from codewords_mcp.runtime.runs.service_calls import ServiceRunner
from codewords_mcp.runtime.store import recovery, requests, run_waits
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.clock import now

log = structlog.get_logger(__name__)


class BackgroundRuns:
    """Executes the background runs whose turn it is in this process, and goes on with what others left."""

    def __init__(self, context: RunDependencies, served: ServiceRunner) -> None:
        self._context = context
        self._served = served
        self._queue = RunQueue(
            context.database.engine,
            context.registry.executor,
            limit=context.settings.concurrency,
            execute=self.execute,
        )
        self._queued = QueuedRuns()
        self.mode = BackgroundMode(context, served, self._queue, self._queued, self.open_queue)
        """By which background runs are submitted."""
        self.coming: set[str] = set()
        """Runs that this process holds and is about to carry out."""

    @property
    def waiting(self) -> int:
        """Runs that this process knows to be in the queue."""
        return len(self._queued)

    # carrying out

    async def execute(self, run_id: str) -> None:
        """Carry out a run that waits, to its end; nothing, where somebody else has it or it is over."""
        context = self._context
        self._queued.discard(run_id)
        if context.registry.draining or await self._is_paused(run_id):
            # The queue has handed its entry over and keeps none. A run that is marked so gets a new one.
            await context.database.write(recovery.stranded, {run_id})
            return

        await self._let_go(run_id)
        if not await context.database.write(recovery.claim, run_id, context.registry.executor):
            return
        self.coming.add(run_id)
        try:
            run = await self._load(run_id)
        finally:
            self.coming.discard(run_id)
        # Not awaited directly: the queue may cancel this task when it closes, and the run must outlive that.
        await asyncio.wait({run.task} if run is not None and run.task else set())

    async def _let_go(self, run_id: str) -> None:
        """Wait for an attempt of this process that has let the run go, and is still cleaning up."""
        while (before := self._context.registry.active.get(run_id)) and before.task:
            await asyncio.wait({before.task})

    async def _is_paused(self, run_id: str) -> bool:
        """Whether the run waited in a backup that this home was restored from, and nobody has resumed it."""
        at = self._context.registry.paused_at
        return at is not None and await self._context.database.read(pausing.created_before, run_id, at)

    def begin(self, run_id: str) -> None:
        """Carry out a run that was recorded as waiting and held by this process."""
        self.coming.add(run_id)
        started = self._context.registry.spawn(self._begin(run_id), name=f"begin {run_id}")
        started.add_done_callback(lambda _: self.coming.discard(run_id))

    async def _begin(self, run_id: str) -> None:
        await self._let_go(run_id)
        await self._load(run_id)

    async def _load(self, run_id: str) -> BackgroundRun | None:
        """Start a run that this process has claimed; None where it failed, since its request cannot be read.

        The record says that this process holds the run, so no other one would go on with it.
        """
        while True:
            try:
                work = await self._context.database.read(works.load, run_id)
                if work is None:
                    raise LookupError("it has no request on record")
                run = self._enter(run_id, work)
            except StorageFailed as error:
                log.warning("a run waits for the store", run_id=run_id, reason=error.message)
                await asyncio.sleep(STORE_PAUSE)
            # Each further try would end likewise, whatever the reason is.
            except Exception:
                log.exception("a run that waited could not be started", run_id=run_id)
                self._fail(run_id)
                return None
            else:
                if work.unwanted:
                    run.cancel("it was asked to")
                return run

    def _fail(self, run_id: str) -> None:
        """End a run of this process that cannot be started; nothing where it has ended meanwhile."""
        executor = self._context.registry.executor

        def write(connection: Connection) -> None:
            values = to_finished("failed", error_entry(unstartable()), now(), release=True)
            if rows.change(connection, run_id, values, only_from=("queued",), holder=executor):
                run_waits.withdraw_of_run(connection, run_id)
                requests.forget_unless_resumable(connection, run_id)

        written = self._context.database.write_with_retries(write)
        self._context.killed_attempts.settle_after(written, run_id)
        written.add_done_callback(lambda _: self._context.events.publish(RunChanged(run_id)))

    def _enter(self, run_id: str, work: works.Work) -> BackgroundRun:
        run = BackgroundRun(self._context, self._served, run_id, work)
        self._context.registry.enter(run, run.live())
        # A drain that began while the request was read did not find this run among the active ones.
        if self._context.registry.draining:
            run.retire()
        return run

    async def withdraw(self, run_id: str) -> bool:
        """Cancel a run that waits and that nobody holds; False where it is not one."""

        def write(connection: Connection) -> int | None:
            row = requests.load(connection, run_id)
            if row is None or row.executor is not None:
                return None

            when = "while it waited" if row.attempts else "before it started"
            error = platform_error(RunCancelled.code, f"The run was cancelled {when}.")
            values = to_finished("cancelled", error, now())
            # A replica may have taken it since it was read.
            if not rows.change(connection, run_id, values, only_from=("queued",)):
                return None
            run_waits.withdraw_of_run(connection, run_id)
            requests.forget_unless_resumable(connection, run_id)
            return row.deliveries

        deliveries = await self._context.database.write(write)
        if deliveries is None:
            return False

        self._queued.discard(run_id)
        self._context.events.publish(RunChanged(run_id))
        self._context.events.publish(WaitingPagesChanged())
        self._context.killed_attempts.settle_soon(run_id)
        if self._queue.is_open and deliveries:
            await asyncio.to_thread(self._queue.withdraw, run_id, deliveries)
        return True

    # going on

    async def recover(self) -> None:
        """Go on with what waits since before this process: give it to the queue, of which the dead hold nothing."""
        database = self._context.database
        if self._context.registry.draining or self._context.registry.paused_at is not None:
            return
        if not await database.read(recovery.waiting_anywhere):
            return
        await self.open_queue()
        await self.take_over({self._context.registry.executor})

    @property
    def in_queue(self) -> bool:
        """Whether this process takes part in the line."""
        return self._queue.is_open

    async def open_queue(self) -> None:
        """Take part in the line from now on. Raises StorageFailed."""
        if self._queue.is_open:
            return
        await self._queue.open()
        await self._take_over_alone()

    async def _take_over_alone(self) -> None:
        """Go on with what a failure or an earlier process of this home left claimed, where no replica looks for it.

        It would count as being carried out for ever.
        """
        if not self._context.database.shared and self._context.registry.paused_at is None:
            await self.take_over({self._context.registry.executor})

    async def take_over(self, alive: set[str]) -> None:
        """Put what nobody has into the queue again; `alive` are the executors that still hold theirs."""
        database, queue = self._context.database, self._queue
        failed = set(queue.failed)
        if entries := {*await asyncio.to_thread(queue.orphaned, alive), *failed}:
            await self._mark_not_queued(entries)
            await asyncio.to_thread(queue.remove, entries)
            # Only those that were marked: further ones may have failed meanwhile.
            queue.failed -= failed
        # A batch for each transaction, so that thousands of runs do not hold up other writes.
        while await database.write(self._deliver):
            pass

    async def _mark_not_queued(self, entries: Collection[str]) -> None:
        """Mark the runs of these entries as in no queue, since their process does not execute them.

        Recorded before the entries are removed: a process that stops in between leaves an extra entry, not a run without one.
        """
        await self._context.database.write(recovery.stranded, {entry.rpartition("/")[0] for entry in entries})

    def _deliver(self, connection: Connection) -> int:
        found = recovery.undelivered(connection)
        at = now()
        for row in found:
            delivery = row.deliveries + 1
            rows.change(connection, row.id, delivered(delivery))
            delay = max(0.0, ((row.not_before or 0) - at) / 1e6)
            queue_name = LimitScope(row.owner, row.key_id or "", row.service_id, ()).queue_name
            self._queue.put(
                connection, row.id, delivery, partition=queue_name, priority=row.priority, delay=delay
            )
        return len(found)

    async def tidy(self) -> None:
        """Settle the journals of runs that were killed, and remove what the queue keeps of runs that ended long ago."""
        await self._context.killed_attempts.settle_all()
        if self._queue.is_open:
            await self._take_over_alone()
            await asyncio.to_thread(self._queue.purge)

    async def drain(self) -> None:
        """Take no more runs, start no attempt, and return runs that have not started to the queue. Attempts go on. Idempotent."""
        self._context.registry.draining = True
        self._queued.clear()

        for run in list(self._context.registry.active.values()):
            if isinstance(run, BackgroundRun):
                run.retire()

        try:
            if claimed_entries := await self._queue.stop_consuming():
                await self._mark_not_queued(claimed_entries)
                await asyncio.to_thread(self._queue.remove, claimed_entries)
        except (
            StorageFailed,
            SQLAlchemyError,
        ) as error:  # other processes recover the entries once this one has ended
            log.warning("what the line gave to this runtime was not given back", reason=str(error))

    async def close(self) -> None:
        """Release the runs of this process, so that another can go on with them."""
        await self._queue.close()
        executor = self._context.registry.executor
        await self._context.database.write(recovery.abandon, [executor])
