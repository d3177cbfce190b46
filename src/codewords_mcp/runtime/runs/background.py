"""Runs that nobody holds a connection for: accepted once, and executed until they end, also across crashes.

Accepting writes the run's row and its request in one transaction; from then on it is not lost. A run under its limits
starts at once, held by this process; one that has to wait has its place in the queue from the same transaction.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from codewords_mcp.errors import RunCancelled, StorageFailed
from codewords_mcp.runtime.model.limits import LimitScope
from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.model.run_state import delivered, platform_error, to_finished, to_waiting_in_queue
from codewords_mcp.runtime.runs import background_request as works
from codewords_mcp.runtime.runs import pausing
from codewords_mcp.runtime.runs.background_run import STORE_PAUSE, BackgroundRun
from codewords_mcp.runtime.runs.context import RunDependencies
from codewords_mcp.runtime.runs.launcher import LaunchConfig
from codewords_mcp.runtime.runs.queue import RunQueue
from codewords_mcp.runtime.runs.records import CalledService, new_id
from codewords_mcp.runtime.runs.service_calls import ServiceRunner
from codewords_mcp.runtime.store import recovery, requests, slots
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.clock import now

log = structlog.get_logger(__name__)


class BackgroundRuns:
    """Accepts runs, carries out what is this process's turn, and goes on with what others left."""

    def __init__(self, context: RunDependencies, served: ServiceRunner) -> None:
        self._context = context
        self._served = served
        self._queue = RunQueue(
            context.database.engine,
            context.registry.executor,
            limit=context.settings.concurrency,
            execute=self.execute,
        )
        self._queued: Counter[str] = Counter()
        """Runs of each part of the line that this process has put there and that have not been taken out; new ones
        go behind them. Delayed ones are not among them: nothing waits for their time but they."""
        self._queue_names: dict[str, str] = {}
        self.coming: set[str] = set()
        """Runs that this process holds and is about to carry out."""

    @property
    def waiting(self) -> int:
        """Runs that this process knows to be in the queue."""
        return len(self._queue_names)

    # accepting

    async def accept(self, request: RunRequest) -> str:
        """Record the run for good, then start it or let it wait; the id, or that of the idempotency key's first run.

        Raises NotFound, Conflict, TooBusy, StorageFailed.
        """
        context = self._context
        request.background = True
        body = b"".join([chunk async for chunk in request.body])
        service = self._served.find(request.service_id)

        if service:
            target = CalledService(service.name)
        else:
            target = await context.authorization.servable(request.caller, request.service_id)

        run_id = request.request_id or new_id()
        ancestry = await context.ancestry.of_request(request, run_id)
        ancestry.check()
        scope = context.records.limit_scope(request, target)
        config: LaunchConfig | None = None
        if not isinstance(target, CalledService):
            config = await context.launcher.launch_config(request, target)
        row = context.records.new_row(request, target, run_id, ancestry) | {
            "background": True,
            "retries": target.retries,
            "priority": request.priority,
        }
        work = works.Work(request, body, ancestry.correlation_id, ancestry.depth, target.retries)
        claimed = self._claim(scope, delayed=request.delay > 0)

        try:
            if not (claimed or context.registry.draining):
                await self._queue.open()
            first, started = await self._record(request, row, body, scope, claimed=claimed)
        except BaseException:
            if claimed:
                context.admission.leave(scope)
            raise

        if claimed and not started:
            context.admission.leave(scope)
        if first is not None:
            return first

        if started:
            run = BackgroundRun(context, self._served, run_id, work, started=True)
            context.registry.enter(run, run.live(config))
        elif not context.registry.draining:
            self._note_queued(run_id, "" if request.delay > 0 else scope.queue_name)

        return run_id

    def _claim(self, scope: LimitScope, *, delayed: bool) -> bool:
        # behind those that wait already, but for a call that a running workflow makes: it would wait for itself
        if (
            delayed
            or self._context.registry.draining
            or (self._queued[scope.queue_name] and not scope.nested)
        ):
            return False
        return self._context.admission.claim(scope)

    async def _record(
        self, request: RunRequest, row: dict[str, Any], body: bytes, scope: LimitScope, *, claimed: bool
    ) -> tuple[str | None, bool]:
        """(the run that first used the idempotency key, whether this one has started). Otherwise the run waits in the queue;
        if this process drains, another puts it there.
        """
        started = in_queue = False

        def decide(connection: Connection, row: dict[str, Any]) -> dict[str, Any]:
            nonlocal started, in_queue
            slot_manager, in_queue = self._context.slots, not self._context.registry.draining
            if claimed and not in_queue:
                waits_for = "turn"
            elif claimed:
                waits_for = slot_manager.why_not_now(connection, scope, behind=True)
            elif request.delay > 0:
                waits_for = "time"
            else:
                waits_for = slot_manager.why(scope)

            if waits_for is None:
                started = True
                return row

            return _waiting(connection, row, scope, waits_for, request.delay, in_queue=in_queue)

        def more(connection: Connection, row: dict[str, Any]) -> None:
            requests.add(connection, works.stored(request, row["id"], body))
            if in_queue and not started:
                self._queue.put(
                    connection,
                    row["id"],
                    1,
                    partition=scope.queue_name,
                    priority=row["priority"],
                    delay=request.delay,
                )

        first = await self._context.records.record_once(request, row, decide, more)

        return first, started and first is None

    def _note_queued(self, run_id: str, queue_name: str) -> None:
        if run_id not in self._queue_names:
            self._queue_names[run_id] = queue_name
            if queue_name:
                self._queued[queue_name] += 1

    def _note_dequeued(self, run_id: str) -> None:
        if queue_name := self._queue_names.pop(run_id, None):
            self._queued[queue_name] -= 1
            if self._queued[queue_name] <= 0:
                del self._queued[queue_name]

    # carrying out

    async def execute(self, run_id: str) -> None:
        """Carry out a run that waits, to its end; nothing, where somebody else has it or it is over."""
        context = self._context
        self._note_dequeued(run_id)
        if context.registry.draining or await self._is_paused(run_id):
            await context.database.write(recovery.stranded, {run_id})
            return

        while (
            before := context.registry.active.get(run_id)
        ) and before.task:  # let go of, and still cleaning up
            await asyncio.wait({before.task})
        work = await context.database.write(works.take, run_id, context.registry.executor)
        if work is None:
            return

        run = self._enter(run_id, work)
        if work.unwanted:
            run.cancel("it was asked to")
        await asyncio.wait({run.task} if run.task else set())

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
        while True:
            try:
                work = await self._context.database.read(works.load, run_id)
                break
            except StorageFailed as error:
                log.warning("a run waits for the store", run_id=run_id, reason=error.message)
                await asyncio.sleep(STORE_PAUSE)
        if work is not None:
            self._enter(run_id, work)

    def _enter(self, run_id: str, work: works.Work) -> BackgroundRun:
        run = BackgroundRun(self._context, self._served, run_id, work)
        self._context.registry.enter(run, run.live())
        if self._context.registry.draining:
            run.retire()
        return run

    async def withdraw(self, run_id: str) -> bool:
        """Cancel a run that waits and that nobody holds; False where it is not one."""
        error = platform_error(RunCancelled.code, "The run was cancelled before it started.")
        values = to_finished("cancelled", error, now())

        def write(connection: Connection) -> int | None:
            row = requests.load(connection, run_id)
            if row is None or row["executor"] is not None:
                return None
            if not rows.change(connection, run_id, values, only_from=("queued",)):
                return None
            requests.forget(connection, run_id)
            return row["deliveries"]

        deliveries = await self._context.database.write(write)
        if deliveries is None:
            return False

        self._note_dequeued(run_id)
        self._context.events.notify(run_id)
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
        await self._queue.open()
        await self.take_over({self._context.registry.executor})

    @property
    def in_queue(self) -> bool:
        """Whether this process takes part in the line."""
        return self._queue.is_open

    async def open_queue(self) -> None:
        """Take part in the line from now on. Raises StorageFailed."""
        await self._queue.open()

    async def take_over(self, alive: set[str]) -> None:
        """Put what nobody has into the queue again; `alive` are the executors that still hold theirs."""
        database, queue = self._context.database, self._queue
        entries, failed = await asyncio.to_thread(queue.orphaned, alive), set(queue.failed)
        await self._mark_not_queued(failed, entries)
        queue.failed -= failed
        if entries:
            await asyncio.to_thread(queue.remove, entries)
        while await database.write(self._deliver):
            pass

    async def _mark_not_queued(self, run_ids: set[str], entries: list[str]) -> None:
        """Mark runs as in no queue: these, and those of these entries, whose process does not execute them.

        Recorded before the entries are removed: a process that stops in between leaves an extra entry, not a run without one.
        """
        if run_ids := run_ids | {entry.rpartition("/")[0] for entry in entries}:
            await self._context.database.write(recovery.stranded, run_ids)

    def _deliver(self, connection: Connection) -> int:
        found = recovery.undelivered(connection)
        at = now()
        for row in found:
            delivery = row["deliveries"] + 1
            rows.change(connection, row["id"], delivered(delivery))
            delay = max(0.0, ((row["not_before"] or 0) - at) / 1e6)
            queue_name = LimitScope(row["owner"], row["key_id"] or "", row["service_id"], ()).queue_name
            self._queue.put(
                connection, row["id"], delivery, partition=queue_name, priority=row["priority"], delay=delay
            )
        return len(found)

    async def tidy(self) -> None:
        """Remove what the queue keeps of runs that ended long ago."""
        if self._queue.is_open:
            await asyncio.to_thread(self._queue.purge)

    async def drain(self) -> None:
        """Take no more runs, start no attempt, and return runs that have not started to the queue. Attempts go on. Idempotent."""
        self._context.registry.draining = True
        self._queue_names.clear()  # others' now
        self._queued.clear()

        for run in list(self._context.registry.active.values()):
            if isinstance(run, BackgroundRun):
                run.retire()

        try:
            if claimed_entries := await self._queue.stop_consuming():
                await self._mark_not_queued(set(), claimed_entries)
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


def _waiting(
    connection: Connection,
    row: dict[str, Any],
    scope: LimitScope,
    waits_for: str,
    delay: float,
    *,
    in_queue: bool,
) -> dict[str, Any]:
    """Return the row of a run that goes into the queue, now or soon. Raises TooBusy if the queue is full."""
    slots.lock(connection, scope)
    slots.require_queue_capacity(connection, scope)
    not_before = row["created_at"] + int(delay * 1e6) if delay > 0 else None
    return row | to_waiting_in_queue(waits_for, in_queue=in_queue, not_before=not_before)
