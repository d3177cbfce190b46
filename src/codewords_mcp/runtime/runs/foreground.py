"""Runs whose caller waits for the response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from codewords_mcp.errors import CodewordsError, Conflict, RunCancelled, RunInterrupted, RuntimeUnavailable
from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.model.limits import LimitScope
from codewords_mcp.runtime.model.run import RunRequest, RunResponse
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.model.run_state import UNFINISHED, error_entry, to_finished, to_queued
from codewords_mcp.runtime.runs.attempt import Execution
from codewords_mcp.runtime.runs.attempt_setup import AttemptSetup
from codewords_mcp.runtime.runs.context import RunDependencies
from codewords_mcp.runtime.runs.headroom import WAITING
from codewords_mcp.runtime.runs.repeated_request import read_whole
from codewords_mcp.runtime.runs.results import unreadable
from codewords_mcp.runtime.runs.run_logs import RunLog
from codewords_mcp.runtime.runs.slots import NotOurs
from codewords_mcp.runtime.runs.submit import Recorded, Submission
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store import slots
from codewords_mcp.runtime.store.clock import now

E = TypeVar("E", bound=Execution)
log = structlog.get_logger(__name__)


class AwaitedRuns:
    """The part of `RunMode` that runs with a waiting caller share, with or without a websocket."""

    limits_depth = True

    def __init__(self, context: RunDependencies) -> None:
        self._context = context
        self._db = context.database

    async def prepare(self, request: RunRequest) -> bytes:
        """See `RunMode`. The body is streamed, but for a call that can be repeated."""
        if not self._context.registry.accepts_foreground:
            raise RuntimeUnavailable(
                "This runtime is ending; nothing was begun.", hint="Try again in a moment."
            )
        if request.idempotency_key is None:
            return b""
        return await read_whole(request)

    def claim(self, submission: Submission) -> bool:
        """See `RunMode`."""
        return self._context.admission.claim(submission.scope)

    async def record(self, submission: Submission, *, claimed: bool) -> Recorded:
        """Write the run's row: soon, where nothing has to be known of others for it."""
        request, scope, started = submission.request, submission.scope, False
        # Only the store knows whether an id or a key is in use, and how many runs a quota has left.
        of_store = request.request_id is not None or request.idempotency_key is not None
        of_store = of_store or self._context.records.quotas.bounds_runs(request.caller.owner)
        if claimed and not self._db.shared and not of_store:
            return Recorded(written=self._db.write_soon(rows.add, submission.row))

        if not claimed:
            self._check_own_wait(request, scope)

        def decide(connection: Connection, row: RunColumns) -> RunColumns:
            nonlocal started
            slot_manager = self._context.slots
            if claimed:
                waits_for = slot_manager.why_not_now(connection, scope, behind=False)
            else:
                waits_for = slot_manager.why(scope)

            started = waits_for is None
            if started:
                return row

            # Counted in the transaction that writes the row, so that two replicas cannot pass the
            # bound together.
            slots.lock(connection, scope)
            slots.require_queue_capacity(connection, scope)
            return {**row, **to_queued(waits_for)}

        try:
            first = await self._context.records.record_once(request, submission.row, decide)
        except asyncio.CancelledError:
            self._withdraw_unseen(submission.run_id)
            raise

        return Recorded(first, started=started and first is None)

    def _withdraw_unseen(self, run_id: str) -> None:
        """The caller hung up while the row was written, and it may be: writes are made in order, so this finds it."""
        error = error_entry(RunCancelled("The run was cancelled: the caller hung up."))
        ended = to_finished("cancelled", error, now(), [], release=True)
        # Nothing began, so the caller may come again with its key.
        ended["idempotency_key"] = None
        holder = self._context.registry.executor
        self._db.write_with_retries(rows.change, run_id, ended, only_from=UNFINISHED, holder=holder)

    def _check_own_wait(self, request: RunRequest, scope: LimitScope) -> None:
        """Raises Conflict where the runs that it would wait for are those that wait for it."""
        full = self._context.admission.full(scope)
        if full is None or full.scope != "workflow" or not scope.nested:
            return
        if _alive(self._context.call_chain.origin(request.caller)).count(scope.service_id) >= (
            full.runs or 0
        ):
            raise Conflict(
                f"This workflow would wait for itself: it may run {full.runs} at once and is called by its own run.",
                hint="Raise `concurrency` in its header, or call it in the background (run_async).",
            )

    def enter(self, submission: Submission, recorded: Recorded, make: Callable[[AttemptSetup], E]) -> E:
        """Start the run's task. `make` is the class of the execution."""
        context, config = self._context, submission.config
        assert config is not None  # noqa: S101  # a workflow's run has one
        execution = make(
            AttemptSetup(
                context,
                submission.run_id,
                submission.request,
                config,
                context.journal.open(submission.run_id),
                submission.ancestry,
                timeout=submission.request.timeout or context.settings.sync_timeout,
                queued=not recorded.started,
                written=recorded.written,
                plan=submission.plan,
            )
        )
        context.registry.grant_authority(submission.run_id, submission.request, config)
        life = self._live(execution, submission.scope, claimed=recorded.started)
        context.registry.enter(execution, life)
        return execution

    async def _live(self, execution: Execution, scope: LimitScope, *, claimed: bool) -> None:
        context, timeout = self._context, execution.timeout
        try:
            try:
                async with context.slots.slot(execution.run_id, scope, claimed=claimed, max_wait=timeout):
                    with ExitStack() as held:
                        if not execution.joins_sandbox:
                            held.callback(
                                await context.headroom.enter(partial(_note_wait, execution.run_log))
                            )
                        await execution.attempt()
            except asyncio.CancelledError:
                await execution.refuse(execution.broken_off())
            except NotOurs:
                await execution.refuse(RunInterrupted("The run was taken over while it waited."))
            except CodewordsError as error:
                await execution.refuse(error)
            except Exception:
                log.exception("run failed in the runtime", run_id=execution.run_id)
                await execution.refuse(unreadable())
        finally:
            try:
                context.journal.close(execution.run_log)
            finally:
                # Also where its log cannot be closed: the run would stay active, with nobody to end it.
                context.registry.leave(execution.run_id)


class ForegroundRuns(AwaitedRuns):
    """Runs of workflows whose caller gets the response as it comes; see `RunMode`."""

    async def start(self, submission: Submission, recorded: Recorded) -> RunResponse:
        """See `RunMode`. Cancelling this cancels the run."""
        execution = self.enter(submission, recorded, Execution)
        try:
            # Shielded: cancelling the wait for a future would cancel the future itself, which is
            # the run's.
            response = await asyncio.shield(execution.response.started)
        except asyncio.CancelledError:
            if not execution.response.started.cancelled():
                await execution.hang_up()
            raise
        except CodewordsError as error:
            error.run_id = execution.run_id
            raise

        body = execution.body()
        close = _closer(execution, body)
        return RunResponse(execution.run_id, response.status, response.headers, body, close)


def _alive(origin: CallAttribution) -> tuple[str, ...]:
    """The workflows of a chain whose runs go on; those that only made a schedule in it come after them."""
    return origin.services[: len(origin.runs)]


def _closer(execution: Execution, body: AsyncIterator[bytes]) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        await body.aclose()  # type: ignore[attr-defined]  # an async generator
        if not execution.settled.is_set():
            await execution.hang_up()

    return close


def _note_wait(run_log: RunLog, limit: str) -> None:
    run_log.write_platform_line(WAITING[limit])
