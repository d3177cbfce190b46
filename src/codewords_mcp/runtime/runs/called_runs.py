"""Calls of workflows that may wait for days, by runs that can give their sandboxes back meanwhile.

::

    call of such a workflow ──▶ a background run, which each attempt of the caller finds by the key of its call
            │                        ├─ it asks a person about a write: the run that goes on with it takes its place
            │                        └─ it has ended: its response is the answer of the call
            └─ it waits without a sandbox, or in the queue ──▶ row of the wait, the caller's attempt ends `suspended`
                                                               and the caller goes on when the called run has ended

docs/design/068-waiting-runs.md has the reasons.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from codewords_mcp.errors import CodewordsError, Conflict
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.run import FINISHED, Run, RunRequest, RunResponse
from codewords_mcp.runtime.model.run_state import SUSPENDED
from codewords_mcp.runtime.model.run_wait import RunWait
from codewords_mcp.runtime.model.service_table import SERVICES
from codewords_mcp.runtime.runs.context import RunDependencies
from codewords_mcp.runtime.runs.repeated_request import repeat_response
from codewords_mcp.runtime.runs.waits import LOOK, RunWaits
from codewords_mcp.runtime.store import run_waits as rows
from codewords_mcp.runtime.store import runs
from codewords_mcp.runtime.store.clock import to_datetime, to_micros
from codewords_mcp.runtime.store.executors import clock

LONGEST_WAIT: Final = timedelta(days=366)
"""After this the caller looks anew; no question and no time lasts longer."""
StartRun = Callable[[RunRequest], Awaitable[str]]
CancelRun = Callable[[Caller, str], Awaitable[Run]]


class CalledRuns:
    """Calls by runs with a journal of workflows that may wait."""

    def __init__(self, context: RunDependencies, waits: RunWaits, *, grace: float) -> None:
        self._context = context
        self._db = context.database
        self._waits = waits
        self._grace = grace

    async def takes(self, request: RunRequest) -> bool:
        """True if this call may last for days and its caller can be resumed: it is made by `call`."""
        caller = request.caller
        # Without a key no later attempt of the caller would find the run that it has called.
        if caller.kind != "run" or caller.run_id is None or not request.idempotency_key:
            return False
        if request.service_id in SERVICES or not self._waits.can_suspend(caller.run_id):
            return False

        catalog = self._context.catalog
        try:
            servable = await catalog.find(caller, request.service_id)
        except CodewordsError:
            # The usual way of a call words the refusal.
            return False
        return not servable.keep_warm and await catalog.may_wait(caller, servable)

    async def call(self, request: RunRequest, start: StartRun, cancel: CancelRun) -> RunResponse:
        """Start the run in the background, or find it, and wait for its end. Raises Conflict where it has no response.

        A caller that gives its sandbox back breaks the call off; any other that hangs up cancels the run.
        """
        caller_id, key = request.caller.run_id or "", request.idempotency_key or ""
        owner = Caller(request.caller.owner, "user")
        run_id = await start(request)
        try:
            run = await self._until_ended(caller_id, run_id, key)
        except asyncio.CancelledError:
            registry = self._context.registry
            # At the end of the process its successor goes on with both.
            if self._waits.hangs_up(caller_id) and not registry.draining and registry.accepts_foreground:
                registry.spawn(self._cancel(cancel, owner, run_id), name=f"cancel {run_id}")
            raise

        return _response_of(run)

    async def _cancel(self, cancel: CancelRun, owner: Caller, run_id: str) -> None:
        # It may have ended meanwhile.
        with suppress(CodewordsError):
            run = await self._db.read(runs.latest, run_id)
            await cancel(owner, run_id if run is None else run.id)

    async def _until_ended(self, caller_id: str, run_id: str, key: str) -> Run:
        queued_since: float | None = None
        while True:
            # Subscribed before the read, so that an end between the two is not missed.
            with self._context.events.subscribe(run_id) as changed:
                run = await self._db.read(runs.latest, run_id)
                if run is None:
                    raise Conflict(f"The run {run_id} that was called is gone.")
                if run.id != run_id:
                    # A person has answered what it asked.
                    self._waits.stop_waiting(caller_id, run_id, key)
                    run_id = run.id
                    continue
                if run.status in FINISHED and not run.asks:
                    self._waits.stop_waiting(caller_id, run_id, key)
                    if not self._waits.is_suspending(caller_id):
                        self._db.write_with_retries(rows.take_called, caller_id, run_id)
                    return run

                if run.status != "queued" and not run.asks:
                    queued_since = None
                    self._waits.stop_waiting(caller_id, run_id, key)
                else:
                    queued_since = queued_since or time.monotonic()
                    waited = time.monotonic() - queued_since
                    # One that only waits for its slot has it soon, as a rule; its caller may hold the slot that it needs.
                    if run.asks or run.waits_for in SUSPENDED or waited >= self._grace:
                        await self._give_back(caller_id, run_id, key)

                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK):
                        await changed.wait()

    async def _give_back(self, caller_id: str, run_id: str, key: str) -> None:
        """Let the caller give its sandbox back, once it is on record that it waits for this run."""
        if await self._db.write(self._begin, caller_id, run_id):
            self._waits.wait_for_run(caller_id, run_id, key)

    def _begin(self, connection: Connection, caller_id: str, run_id: str) -> bool:
        """Put the wait on record. False if the caller or the called run has ended, or another goes on with that."""
        # The lock orders this with a cancel: one of the two sees the other.
        rows.lock_run(connection, caller_id)
        # And this one with the answer to what the called run asks.
        called = rows.lock_run(connection, run_id)
        caller, latest = runs.get(connection, caller_id), runs.latest(connection, run_id)
        if caller is None or called is None or caller.status in FINISHED or called.is_over:
            return False
        if latest is None or latest.id != run_id:
            return False

        at = to_datetime(clock(connection))
        due_at = at + LONGEST_WAIT
        found = rows.find(connection, caller_id, run_id)
        if found is not None:
            # A later attempt asks again for the same run, and finds the wait of the one before.
            if found.status != "open":
                rows.reopen(connection, found.id, due_at=to_micros(due_at))
            return True

        wait = RunWait(
            id=f"ask_{uuid.uuid4().hex}",
            kind="run",
            owner=caller.owner,
            run_id=caller_id,
            service_id=caller.service_id or "",
            title="",
            question={},
            created_at=at,
            due_at=due_at,
            status="open",
        )
        rows.add(connection, wait, run_id, resumable=True, due_at=to_micros(due_at))
        return True


def _response_of(run: Run) -> RunResponse:
    """The response of a called run. Raises Conflict for one without."""
    if run.response_status is None:
        reason = run.error.message if run.error is not None else "it has no response"
        raise Conflict(f"The run {run.id} that was called ended ({run.status}): {reason}")
    return repeat_response(run)
