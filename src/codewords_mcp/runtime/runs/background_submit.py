"""Submitted background runs: recorded for good, then started here or left to the queue.

Accepting writes the run's row and its request in one transaction; from then on it is not lost. A run under
its limits starts at once, held by this process; one that has to wait has its place in the queue from the
same transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

from sqlalchemy import Connection

from codewords_mcp.runtime.model.limits import LimitScope
from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.model.run_state import to_waiting_in_queue
from codewords_mcp.runtime.runs import background_request as works
from codewords_mcp.runtime.runs.background_run import BackgroundRun
from codewords_mcp.runtime.runs.context import RunDependencies
from codewords_mcp.runtime.runs.queue import RunQueue
from codewords_mcp.runtime.runs.service_calls import ServiceRunner
from codewords_mcp.runtime.runs.submit import Recorded, Submission
from codewords_mcp.runtime.store import requests, slots


class QueuedRuns:
    """Runs that this process knows to be in the queue; new ones of the same limits go behind them.

    Delayed runs have no queue name here: nothing waits for their time but they.
    """

    def __init__(self) -> None:
        self._queue_names: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._queue_names)

    def has_any(self, queue_name: str) -> bool:
        """Whether a run waits in this queue."""
        return self._counts[queue_name] > 0

    def add(self, run_id: str, queue_name: str) -> None:
        """The run has a queue entry; "" for a delayed run."""
        if run_id not in self._queue_names:
            self._queue_names[run_id] = queue_name
            if queue_name:
                self._counts[queue_name] += 1

    def discard(self, run_id: str) -> None:
        """The run waits no longer."""
        if queue_name := self._queue_names.pop(run_id, None):
            self._counts[queue_name] -= 1
            if self._counts[queue_name] <= 0:
                del self._counts[queue_name]

    def clear(self) -> None:
        """The queue is other processes' now."""
        self._queue_names.clear()
        self._counts.clear()


class BackgroundMode:
    """Background runs of workflows and library services; see `RunMode`. Starting answers with the run's id."""

    limits_depth = True

    def __init__(
        self,
        context: RunDependencies,
        services: ServiceRunner,
        queue: RunQueue,
        queued: QueuedRuns,
        open_queue: Callable[[], Awaitable[None]],
    ) -> None:
        self._context = context
        self._services = services
        self._queue = queue
        self._queued = queued
        self._open_queue = open_queue

    async def prepare(self, request: RunRequest) -> bytes:
        """See `RunMode`."""
        request.background = True
        return b"".join([chunk async for chunk in request.body])

    def claim(self, submission: Submission) -> bool:
        """See `RunMode`. A run goes behind those that wait, but for a call of a running workflow: it would wait for itself."""
        request, scope = submission.request, submission.scope
        if request.delay > 0 or self._context.registry.draining:
            return False
        if self._queued.has_any(scope.queue_name) and not scope.nested:
            return False
        return self._context.admission.claim(scope)

    async def record(self, submission: Submission, *, claimed: bool) -> Recorded:
        """Write the row and the request. A run that waits gets a queue entry, by another process if this one drains."""
        context, request, scope = self._context, submission.request, submission.scope
        started = in_queue = False
        submission.row["background"] = True
        submission.row["retries"] = submission.target.retries
        submission.row["priority"] = request.priority
        if not (claimed or context.registry.draining):
            # Not within the transaction, which cannot wait, and not before a run waits: it imports dbos.
            await self._open_queue()

        def decide(connection: Connection, row: RunColumns) -> RunColumns:
            nonlocal started, in_queue
            # The store may try a transaction again whose connection broke.
            started = False
            # A drain may begin while this write waits for its turn.
            in_queue = not context.registry.draining
            waits_for = self._reason_to_wait(
                connection, scope, claimed=claimed, in_queue=in_queue, delay=request.delay
            )
            if waits_for is None:
                started = True
                return row

            # Counted in the transaction that adds to the queue: two replicas could pass the bound together.
            slots.lock(connection, scope)
            slots.require_queue_capacity(connection, scope)
            return {
                **row,
                **to_waiting_in_queue(waits_for, in_queue=in_queue, not_before=_not_before(submission)),
            }

        def more(connection: Connection) -> None:
            if request.on_record is not None:
                request.on_record(connection, submission.run_id)
            requests.add(connection, works.stored(request, submission.run_id, submission.body))
            if in_queue and not started:
                self._queue.put(
                    connection,
                    submission.run_id,
                    1,
                    partition=scope.queue_name,
                    priority=request.priority,
                    delay=request.delay,
                )

        first = await context.records.record_once(request, submission.row, decide, more)
        return Recorded(first, started=started and first is None)

    def _reason_to_wait(
        self, connection: Connection, scope: LimitScope, *, claimed: bool, in_queue: bool, delay: float
    ) -> str | None:
        slot_manager = self._context.slots
        # The drain began after the slot was claimed, and another process starts the run.
        if claimed and not in_queue:
            return "turn"
        if claimed:
            return slot_manager.why_not_now(connection, scope, behind=True)
        if delay > 0:
            return "time"
        return slot_manager.why(scope)

    async def start(self, submission: Submission, recorded: Recorded) -> str:
        """See `RunMode`."""
        context, request, run_id = self._context, submission.request, submission.run_id
        if recorded.started:
            ancestry = submission.ancestry
            work = works.Work(request, submission.body, ancestry, submission.target.retries)
            run = BackgroundRun(context, self._services, run_id, work, started=True)
            context.registry.enter(run, run.live(submission.config))
        elif not context.registry.draining:
            self._queued.add(run_id, "" if request.delay > 0 else submission.scope.queue_name)

        return run_id


def _not_before(submission: Submission) -> int | None:
    if submission.request.delay <= 0:
        return None
    return submission.row.get("created_at", 0) + int(submission.request.delay * 1e6)
