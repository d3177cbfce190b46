"""From a request to a run: record, admission, environment, execution; and what is asked about runs afterwards."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Connection, Row

from codewords_mcp.errors import (
    CodewordsError,
    Conflict,
    InvalidInput,
    NotFound,
    RunCancelled,
    RunInterrupted,
    RuntimeUnavailable,
    StorageFailed,
)
from codewords_mcp.remedies import DIAGNOSE, Remedy, RemedyAction
from codewords_mcp.runtime.model.caller import Caller, MadeBy
from codewords_mcp.runtime.model.log_batch import LogBatch
from codewords_mcp.runtime.model.run import FINISHED, LogLine, Run, RunRequest, RunResponse
from codewords_mcp.runtime.model.run_state import to_finished, to_provisioned
from codewords_mcp.runtime.runs.attempt import Execution
from codewords_mcp.runtime.runs.background import BackgroundRuns
from codewords_mcp.runtime.runs.background_run import BackgroundRun
from codewords_mcp.runtime.runs.context import RunDependencies
from codewords_mcp.runtime.runs.foreground import ForegroundRuns
from codewords_mcp.runtime.runs.records import new_id, shown
from codewords_mcp.runtime.runs.repeated_request import RepeatedRequest, repeat_response
from codewords_mcp.runtime.runs.service_calls import ServiceRunner
from codewords_mcp.runtime.store import executors, logs
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.clock import now

if TYPE_CHECKING:
    from codewords_mcp.runtime.runs.websocket import WebSocketSession

log = structlog.get_logger(__name__)
POLL = 1.0
"""Seconds between looks at a run of which no news comes."""
CANCEL_POLL = 0.25
CLEANUP_TIMEOUT = 20.0
"""Seconds after a run's grace within which its sandbox is gone and its last output stored."""
SETTLE_TIMEOUT = 5.0
"""Seconds within which who waits for a run is told that the runtime ends."""
CANCEL_TIMEOUT = 30.0
"""Seconds that a cancel waits for the sandbox's end."""


class RunDispatcher:
    """Every run of the home that is in flight, and the doors to it."""

    def __init__(self, context: RunDependencies, service_response: ServiceRunner) -> None:
        self._context = context
        self._db = context.database
        self._journal = context.journal
        self._active = context.registry.active
        self._served = service_response
        self._foreground = ForegroundRuns(context)
        self.background = BackgroundRuns(context, service_response)

    @property
    def active(self) -> int:
        """Runs in flight, queued ones included."""
        return len(self._context.registry.tasks) + self.background.waiting

    @property
    def last_activity(self) -> float:
        """Time at which a run last came or went, by the monotonic clock."""
        return self._context.registry.last_activity

    async def made_by(self, caller: Caller) -> MadeBy | None:
        """See `AncestryResolver.made_by`."""
        return await self._context.ancestry.made_by(caller)

    async def provision(self, caller: Caller) -> str:
        """Record a run that has not started. Returns its id, so that its log can be followed before anything runs."""
        run_id = new_id()
        await self._db.write(
            lambda c: rows.add(
                c,
                {
                    "id": run_id,
                    "owner": caller.owner,
                    "created_at": now(),
                    "parent_id": caller.run_id,
                }
                | to_provisioned(),
            )
        )
        return run_id

    async def run(self, request: RunRequest) -> RunResponse:
        """Run in the foreground and stream the answer. See `RunApi.execute`."""
        try:
            return await self._run(request)
        except (RunInterrupted, RunCancelled, RuntimeUnavailable):
            self._note_broken(request.caller)
            raise

    def _note_broken(self, caller: Caller) -> None:
        """Note in the calling run, if this runtime is ending, that its call did not fail by itself."""
        if caller.run_id and not self._context.registry.accepts_foreground:
            run_log = self._journal.live(caller.run_id)
        else:
            run_log = None
        if run_log is not None:
            run_log.call_broken = True

    async def _run(self, request: RunRequest) -> RunResponse:
        self._admit(request)
        if service := self._served.find(request.service_id):
            service_response = await self._served.run(service, request)
            if isinstance(service_response, RepeatedRequest):
                return await self._repeat(request, service_response)
            return service_response

        execution = await self._foreground.launch(request, Execution)
        if isinstance(execution, RepeatedRequest):
            return await self._repeat(request, execution)

        try:
            response = await asyncio.shield(execution.response.started)
        except asyncio.CancelledError:
            if not execution.response.started.cancelled():
                await execution.hang_up()
            raise
        except CodewordsError as error:
            error.run_id = execution.run_id
            raise

        body = execution.body()
        return RunResponse(
            execution.run_id, response.status, response.headers, body, _closer(execution, body)
        )

    async def start(self, request: RunRequest) -> str:
        """Run in the background; the id at once, when the run is recorded for good."""
        self._context.registry.last_activity = time.monotonic()
        self._admit(request)
        # to its end, though the caller hangs up meanwhile: a run that is on record is carried out
        accepting = self._context.registry.spawn(
            self.background.accept(request), name=f"accept for {request.service_id}"
        )
        run_id = await asyncio.shield(accepting)

        if request.caller.run_id is not None and request.idempotency_key is not None:
            # the first run with this key may be that of another run of the same workflow
            self._context.authorities.show(request.caller.run_id, run_id)

        return run_id

    def _admit(self, request: RunRequest) -> None:
        """Check that the caller may make this call. Idempotency keys of runs are their workflow's own, so that no run gets the
        answer to another workflow's call. Raises NotAgreed.
        """
        authority = self._context.authorities.of(request.caller)
        authority.require_call(request.service_id)
        if authority.workflow is not None and request.idempotency_key is not None:
            digest = hashlib.sha256(request.idempotency_key.encode()).hexdigest()
            request.idempotency_key = f"{authority.workflow}/{digest}"

    async def _repeat(self, request: RunRequest, repeated: RepeatedRequest) -> RunResponse:
        """Wait for the first run with the idempotency key and repeat its response. Raises Conflict."""
        owner = Caller(request.caller.owner, "user")
        timeout = self._context.settings.sync_timeout
        return repeat_response(await self.wait(owner, repeated.first_run_id, timeout))

    async def websocket(self, request: RunRequest, subprotocols: list[str]) -> WebSocketSession:
        """See `RunApi.open_websocket`."""
        from codewords_mcp.runtime.runs.websocket import WebSocketExecution

        self._admit(request)
        if self._served.find(request.service_id):
            raise InvalidInput("A library service has no websockets.", hint="POST to it.")

        make = partial(WebSocketExecution, subprotocols=subprotocols)
        execution = await self._foreground.launch(request, make)
        if isinstance(execution, RepeatedRequest):
            raise Conflict("A websocket cannot be replayed.", hint="Leave the Idempotency-Key out.")

        return await execution.session()

    async def get(self, caller: Caller, run_id: str) -> Run:
        """The record. A run's key finds that run and its descendants only. Raises NotFound, NotAgreed for a run that does not
        go on here.
        """
        authorities = self._context.authorities
        own = authorities.of(caller).run_id

        if own is None or authorities.shows(own, run_id):
            root = None
        else:
            root = own

        run = await self._db.read(rows.get, run_id, caller.owner, root)
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
            with self._context.events.subscribe(
                run_id
            ) as changed:  # before the look, so that nothing falls between the two
                run = await self.get(caller, run_id)
                remaining = deadline - time.monotonic()
                if run.status in FINISHED or remaining <= 0:
                    return run

                with suppress(TimeoutError):
                    async with asyncio.timeout(min(remaining, POLL)):
                        await changed.wait()

    async def cancel(self, caller: Caller, run_id: str) -> Run:
        """End a run; its sandbox is gone when this returns. Raises NotFound, Conflict."""
        run = await self.get(caller, run_id)
        if run.status in FINISHED:
            raise Conflict(f"The run {run_id} has already ended ({run.status}).")

        await self._cancel(run)
        for child in await self._db.read(rows.unfinished_children, run_id):
            with suppress(Conflict):  # it ended by itself
                await self.cancel(caller, child)

        ended = await self.get(caller, run_id)
        if ended.status in FINISHED and ended.status != "cancelled":  # it came to its own end meanwhile
            raise Conflict(f"The run {run_id} has already ended ({ended.status}).")

        return ended

    async def _cancel(self, run: Run) -> None:
        """End it wherever it is; it may be on its way from the line to a process, or be another's."""
        deadline = time.monotonic() + CANCEL_TIMEOUT
        while run.status not in FINISHED and time.monotonic() < deadline:
            execution = self._active.get(run.id)
            if execution is not None and execution.task is not None:
                execution.cancel("it was asked to")
                await asyncio.wait({execution.task}, timeout=CANCEL_TIMEOUT)
                # where this process was letting go of it at the same moment, it waits for another now
            elif await self._withdraw(run):
                return
            else:
                await self._request_cancel(run.id)

            run = await self.get(Caller(run.owner, "user"), run.id)

    async def _request_cancel(self, run_id: str) -> None:
        """Ask the process that holds the run to cancel it, and wait a little for a change."""
        with self._context.events.subscribe(run_id) as changed:
            if await self._db.write(executors.request_cancel, run_id):
                if self._context.events.publish is not None:
                    self._context.events.publish(run_id)
                with suppress(TimeoutError):
                    async with asyncio.timeout(CANCEL_POLL):
                        await changed.wait()

    async def _withdraw(self, run: Run) -> bool:
        """Cancel a run that nobody has started. Returns False if a process holds it."""
        if run.status == "provisioned":
            ended = to_finished("cancelled", None, now())
            return await self._db.write(rows.change, run.id, ended, only_from=("provisioned",))
        return await self.background.withdraw(run.id)

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

    def _grows_elsewhere(self, run: Row[str, str | None, int | None]) -> bool:
        """Whether another process may still add to the log of an ended run."""
        if not (self._db.shared and run.executor and run.completed_at):
            return False
        return now() - run.completed_at < (self._context.settings.grace_timeout + CLEANUP_TIMEOUT) * 1e6

    async def tail(self, caller: Caller, run_id: str, limit: int) -> list[LogLine]:
        """The last stored lines."""
        await self.get(caller, run_id)
        return await self._db.read(logs.last, run_id, limit)

    async def stop_answering(self) -> None:
        """Start no more foreground runs, and stop active ones, while their callers still have a connection for the error."""
        self._context.registry.accepts_foreground = False
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
        await self.background.close()


def _closer(execution: Execution, body: AsyncIterator[bytes]) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        await body.aclose()  # type: ignore[attr-defined]  # an async generator
        if not execution.settled.is_set():
            await execution.hang_up()

    return close
