"""The entry to the runs of a home: start, find, wait for, follow and cancel them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection

from codewords_mcp.errors import (
    Conflict,
    NotFound,
    RunCancelled,
    RunInterrupted,
    RuntimeUnavailable,
    StorageFailed,
)
from codewords_mcp.errors.remedies import DIAGNOSE, Remedy, RemedyAction
from codewords_mcp.runtime.model.caller import Caller, MadeBy
from codewords_mcp.runtime.model.log_batch import LogBatch
from codewords_mcp.runtime.model.run import FINISHED, LogLine, Run, RunRequest, RunResponse
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.model.run_state import to_provisioned
from codewords_mcp.runtime.runs.attempt import Execution
from codewords_mcp.runtime.runs.background import BackgroundRuns
from codewords_mcp.runtime.runs.background_run import BackgroundRun
from codewords_mcp.runtime.runs.cancellation import RunCanceller
from codewords_mcp.runtime.runs.context import RunDependencies
from codewords_mcp.runtime.runs.foreground import ForegroundRuns
from codewords_mcp.runtime.runs.records import new_id, shown
from codewords_mcp.runtime.runs.repeated_request import (
    RepeatedRequest,
    never_began,
    repeat_file,
    repeat_response,
)
from codewords_mcp.runtime.runs.run_plan import RunPlan
from codewords_mcp.runtime.runs.service_calls import ServiceRunner
from codewords_mcp.runtime.runs.submit import Submitter
from codewords_mcp.runtime.store import logs
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.clock import now

if TYPE_CHECKING:
    from codewords_mcp.runtime.runs.called_runs import CalledRuns
    from codewords_mcp.runtime.runs.websocket import WebSocketSession

log = structlog.get_logger(__name__)
POLL = 1.0
"""Seconds between looks at a run of which no news comes."""
CLEANUP_TIMEOUT = 20.0
"""Seconds after a run's grace within which its sandbox is gone and its last output stored."""
SETTLE_TIMEOUT = 5.0
"""Seconds within which who waits for a run is told that the runtime ends."""
FILE_TIMEOUT = 10.0
"""Seconds that a repetition waits for the first response's file to be stored."""
LOG_END_TIMEOUT = 3.0
"""Seconds that a failed run's log is waited for."""


class RunDispatcher:
    """Runs of a home, by request and by id."""

    def __init__(self, context: RunDependencies, services: ServiceRunner) -> None:
        self._context = context
        self._db = context.database
        self._journal = context.journal
        self._active = context.registry.active
        self._services = services
        self._submitter = Submitter(context, services.find)
        self._foreground = ForegroundRuns(context)
        self.background = BackgroundRuns(context, services)
        self.traces = context.traces
        self._called_runs: CalledRuns | None = None
        self._ending = asyncio.Event()
        self._canceller = RunCanceller(context, self.get, self.background.withdraw)

    @property
    def active(self) -> int:
        """Runs in flight, queued ones included."""
        return len(self._context.registry.tasks) + self.background.waiting

    @property
    def submissions(self) -> int:
        """Requests on their way to a run."""
        return self._context.registry.submissions

    @property
    def last_activity(self) -> float:
        """Time at which a run last came or went, by the monotonic clock."""
        return self._context.registry.last_activity

    async def left(self, run_id: str, seconds: float) -> None:
        """Wait until this process has nothing to do with a run any more: its program has ended, and its recording is stored."""
        run = self._active.get(run_id)
        if run is not None and run.task is not None:
            await asyncio.wait({run.task}, timeout=seconds)

    async def answered_left(self, owner: str, seconds: float) -> None:
        """The same as `left`, for all runs of an owner that have their response."""
        tasks = {
            run.task
            for run in self._active.values()
            if run.task is not None and run.request.caller.owner == owner and run.settled.is_set()
        }
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    async def made_by(self, caller: Caller) -> MadeBy | None:
        """See `AncestryResolver.made_by`."""
        return await self._context.ancestry.made_by(caller)

    async def provision(self, caller: Caller) -> str:
        """Record a run that has not started. Returns its id, so that its log can be followed before anything runs."""
        run_id = new_id()
        row: RunColumns = {
            "id": run_id,
            "owner": caller.owner,
            "created_at": now(),
            "parent_id": caller.run_id,
            **to_provisioned(),
        }
        await self._db.write(rows.add, row)
        return run_id

    async def run(self, request: RunRequest) -> RunResponse:
        """Run in the foreground and stream the answer. See `RunApi.execute`."""
        try:
            return await self._run(request)
        except (RunInterrupted, RunCancelled, RuntimeUnavailable):
            self._note_broken(request.caller)
            raise

    def spawn(self, coroutine: Coroutine[Any, Any, object], name: str) -> None:
        """Start work in the background that counts as activity."""
        self._context.registry.spawn(coroutine, name=name)

    async def run_planned(self, request: RunRequest, plan: RunPlan) -> RunResponse:
        """Run a version with a recorder of the caller's choice; see `run`."""
        response = await self._submitter.submit(request, self._foreground, None, plan)
        if isinstance(response, RepeatedRequest):
            raise Conflict("A planned run is not repeated by a key.")
        return response

    def _note_broken(self, caller: Caller) -> None:
        """Note in the calling run, if this runtime is ending, that its call did not fail by itself."""
        if caller.run_id and not self._context.registry.accepts_foreground:
            run_log = self._journal.live(caller.run_id)
        else:
            run_log = None
        if run_log is not None:
            run_log.call_broken = True

    def join(self, called_runs: CalledRuns) -> None:
        """Make calls that may last for days by these."""
        self._called_runs = called_runs

    async def _run(self, request: RunRequest) -> RunResponse:
        if self._called_runs is not None and await self._called_runs.takes(request):
            return await self._called_runs.call(request, self.start, self.cancel)
        while True:
            response = await self._submitter.submit(request, self._foreground, self._services)
            if isinstance(response, RunResponse):
                return response

            first = await self._first_run(request, response.first_run_id)
            # Else the key is free again, and the request is submitted as if it were the first.
            if not never_began(first):
                return await self._repeat(first)

    async def start(self, request: RunRequest) -> str:
        """Run in the background; the id at once, when the run is recorded for good."""
        mode = self.background.mode
        # to its end, though the caller hangs up meanwhile: a run that is on record is carried out
        accepting = self._context.registry.spawn(
            self._submitter.submit(request, mode, mode), name=f"accept for {request.service_id}"
        )
        answer = await asyncio.shield(accepting)
        if isinstance(answer, RepeatedRequest):
            run_id = answer.first_run_id
        else:
            run_id = answer

        if request.caller.run_id is not None and request.idempotency_key is not None:
            # the first run with this key may be that of another run of the same workflow
            self._context.authorities.show(request.caller.run_id, run_id)

        return run_id

    async def _first_run(self, request: RunRequest, run_id: str) -> Run:
        """The first run with the idempotency key, which is waited for, wherever it goes on. Raises RuntimeUnavailable."""
        owner, registry = Caller(request.caller.owner, "user"), self._context.registry
        # As the run itself, this is a reason for a runtime not to end yet.
        registry.submissions += 1
        waiting = asyncio.ensure_future(self.wait(owner, run_id, self._context.settings.sync_timeout))
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            await asyncio.wait({waiting, ending}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
        finally:
            registry.submissions -= 1
            waiting.cancel()
            ending.cancel()

        raise RuntimeUnavailable(
            f"This runtime is ending, and the run {run_id} with this Idempotency-Key is not over.",
            hint="Send the request again in a moment.",
        )

    async def _repeat(self, run: Run) -> RunResponse:
        """Repeat the response of the first run with an idempotency key; see `repeat_response`."""
        if run.response_file is not None:
            stored = await self._context.response_files.open(run, wait=FILE_TIMEOUT)
            if stored is not None:
                return repeat_file(run, *stored)
        return repeat_response(run)

    async def websocket(self, request: RunRequest, subprotocols: list[str]) -> WebSocketSession:
        """See `RunApi.open_websocket`."""
        from codewords_mcp.runtime.runs.websocket import WebSocketRuns

        session = await self._submitter.submit(request, WebSocketRuns(self._context, subprotocols), None)
        if isinstance(session, RepeatedRequest):
            raise Conflict("A websocket cannot be replayed.", hint="Leave the Idempotency-Key out.")
        return session

    async def get(self, caller: Caller, run_id: str) -> Run:
        """The record. A run's key finds that run and its descendants only. Raises NotFound, AttemptOver."""
        authorities = self._context.authorities
        own = authorities.of(caller).run_id

        if own is None or authorities.shows(own, run_id):
            root = None
        else:
            root = own

        run = await self._db.read(rows.get, run_id, caller.owner, root)
        # It may be among the writes that the store has not taken yet.
        if run is None and self._db.stalled:
            raise StorageFailed(
                "The database has not taken recent runs yet, so whether this run exists is not known.",
                hint="Try again.",
                remedy=DIAGNOSE,
            )
        if run is None:
            raise NotFound(f"There is no run {shown(run_id)}.", remedy=Remedy(RemedyAction.LIST_RUNS))

        return run

    async def wait(self, caller: Caller, run_id: str, seconds: float) -> Run:
        """The record when it is final, or as it is after so many seconds."""
        deadline = time.monotonic() + seconds
        while True:
            # before the look, so that nothing falls between the two
            with self._context.events.subscribe(run_id) as changed:
                remaining = deadline - time.monotonic()
                goes_on = remaining > 0 and self._goes_on_here(caller, run_id)
                if not goes_on:
                    run = await self.get(caller, run_id)
                    if run.status in FINISHED or remaining <= 0:
                        return run

                with suppress(TimeoutError):
                    async with asyncio.timeout(remaining if goes_on else min(remaining, POLL)):
                        await changed.wait()

    def _goes_on_here(self, caller: Caller, run_id: str) -> bool:
        """True if a run of the caller has no outcome yet, and will have it by this process, which tells of it."""
        active, run_log = self._active.get(run_id), self._journal.live(run_id)
        if active is None or run_log is None or run_log.is_settled:
            return False
        may_look = self._context.authorities.of(caller).run_id is None
        return may_look and active.request.caller.owner == caller.owner

    async def cancel(self, caller: Caller, run_id: str) -> Run:
        """End a run; its sandbox is gone when this returns. Raises NotFound, Conflict."""
        return await self._canceller.cancel(caller, run_id)

    async def follow(
        self, caller: Caller, run_id: str, *, after: str | None, follow: bool
    ) -> AsyncIterator[LogBatch | None]:
        """Log lines, live. Raises NotFound at the first step."""
        await self.get(caller, run_id)

        def ended(connection: Connection) -> bool:
            run = rows.end_of(connection, run_id)
            return run is None or (
                run.status in FINISHED and run_id not in self._active and not self._grows_elsewhere(run)
            )

        async for batch in self._journal.followers.follow(
            run_id, after=after, follow=follow, has_ended=ended
        ):
            yield batch

    def _grows_elsewhere(self, run: rows.RunEnd) -> bool:
        """Whether another process may still add to the log of an ended run."""
        if not (self._db.shared and run.executor and run.completed_at):
            return False
        return now() - run.completed_at < (self._context.settings.grace_timeout + CLEANUP_TIMEOUT) * 1e6

    async def last_batch(self, caller: Caller, run_id: str, limit: int, before: str | None) -> LogBatch:
        """The last stored lines, of those before this time."""
        await self.get(caller, run_id)
        return LogBatch(await self._db.read(logs.tail, run_id, limit, before))

    async def tail(self, caller: Caller, run_id: str, limit: int) -> list[LogLine]:
        """The last stored lines."""
        await self.get(caller, run_id)
        return await self._db.read(logs.last, run_id, limit)

    async def final_tail(self, caller: Caller, run: Run, limit: int) -> list[LogLine]:
        """The last lines, of a failed run once its log has ended: its traceback comes after its response.

        Waits at most `LOG_END_TIMEOUT` seconds, since a program may go on for as long as its grace.
        """
        if run.status in FINISHED and run.status != "succeeded":
            seen = await self.tail(caller, run.id, 1)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOG_END_TIMEOUT):
                    after = seen[-1].created_at if seen else None
                    # Only its end is awaited: following ends with the log.
                    async for _ in self.follow(caller, run.id, after=after, follow=True):
                        pass
        return await self.tail(caller, run.id, limit)

    async def stop_answering(self) -> None:
        """Start no more foreground runs, and stop active ones, while their callers still have a connection for the error."""
        self._context.registry.accepts_foreground = False
        self._ending.set()
        awaited = [run for run in self._active.values() if not isinstance(run, BackgroundRun)]

        for run in awaited:
            if isinstance(run, Execution):
                self._note_broken(run.request.caller)  # also where its answer is on its way already
            run.stop()

        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_TIMEOUT):
                for run in awaited:
                    await run.settled.wait()

    async def close(self, drain: float) -> None:
        """Let started runs finish for `drain` seconds, then end the rest. Another process can go on with background runs."""
        tasks = self._context.registry.tasks
        if tasks:
            await asyncio.wait(tasks, timeout=drain)
        for execution in list(self._active.values()):
            execution.stop()
        if tasks:
            await asyncio.wait(tasks, timeout=30)
        # Only now: this releases the runs on record, and another process would execute one that
        # still ends here.
        await self.background.close()
        await self.traces.close()
