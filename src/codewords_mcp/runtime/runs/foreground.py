"""Start a run whose caller waits for the response."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from codewords_mcp.errors import CodewordsError, Conflict, RunCancelled, RunInterrupted, RuntimeUnavailable
from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.model.limits import LimitScope
from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.model.run_state import UNFINISHED, error_entry, to_finished, to_queued
from codewords_mcp.runtime.runs.attempt import Execution
from codewords_mcp.runtime.runs.context import RunDependencies
from codewords_mcp.runtime.runs.records import new_id
from codewords_mcp.runtime.runs.repeated_request import RepeatedRequest
from codewords_mcp.runtime.runs.results import unreadable
from codewords_mcp.runtime.runs.slots import NotOurs
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store import slots
from codewords_mcp.runtime.store.clock import now

E = TypeVar("E", bound=Execution)
log = structlog.get_logger(__name__)


class ForegroundRuns:
    """Starts runs whose callers wait: catalog, limits, record, execution."""

    def __init__(self, context: RunDependencies) -> None:
        self._context = context
        self._db = context.database

    async def launch(self, request: RunRequest, make: Callable[..., E]) -> E | RepeatedRequest:
        """Record a run, start it and return it; `make` is the class of the execution.

        Raises NotFound, EnvironmentFailed, ConsentNeeded, Conflict, TooBusy, RuntimeUnavailable, StorageFailed.
        """
        context = self._context
        if not context.registry.accepts_foreground:
            raise RuntimeUnavailable(
                "This runtime is ending; nothing was begun.", hint="Try again in a moment."
            )

        context.registry.last_activity = time.monotonic()
        servable = await context.authorization.servable(request.caller, request.service_id)
        run_id = request.request_id or new_id()
        ancestry = await context.ancestry.of_request(request, run_id)
        ancestry.check()
        scope = context.records.limit_scope(request, servable)
        config = await context.launcher.launch_config(request, servable)
        row = context.records.new_row(request, servable, run_id, ancestry)
        claimed = context.admission.claim(scope)

        try:
            recorded = await self._record(request, row, scope, claimed=claimed)
        except BaseException:
            if claimed:
                context.admission.leave(scope)
            raise

        if claimed and not recorded.started:
            context.admission.leave(scope)
        if recorded.first is not None:
            return RepeatedRequest(recorded.first)

        execution = make(
            run_id,
            request,
            database=context.database,
            run_log=context.journal.open(run_id),
            max_captured=context.settings.max_response_kept,
            timeout=request.timeout or context.settings.sync_timeout,
            config=config,
            recorded=recorded.written,
            queued=not recorded.started,
            allocator=context.allocator,
            correlation_id=ancestry.correlation_id,
            executor=context.registry.executor,
            response_files=context.response_files,
            depth=ancestry.depth,
            scrubbers_above=context.registry.scrubbers_above(request.caller),
        )
        context.registry.grant_authority(run_id, request.caller, config)
        context.registry.enter(execution, self._live(execution, scope, claimed=recorded.started))

        return execution

    async def _record(
        self, request: RunRequest, row: dict[str, Any], scope: LimitScope, *, claimed: bool
    ) -> _Recorded:
        """Write the run's row: soon, where nothing has to be known of others for it."""
        context, started = self._context, False
        if claimed and not self._db.shared and request.request_id is None and request.idempotency_key is None:
            return _Recorded(None, started=True, written=self._db.write_soon(rows.add, row))

        if not claimed:
            self._check_own_wait(request, scope)

        def decide(connection: Connection, row: dict[str, Any]) -> dict[str, Any]:
            nonlocal started
            slot_manager = context.slots
            if claimed:
                waits_for = slot_manager.why_not_now(connection, scope, behind=False)
            else:
                waits_for = slot_manager.why(scope)

            started = waits_for is None
            if started:
                return row

            slots.lock(connection, scope)
            slots.require_queue_capacity(connection, scope)
            return row | to_queued(waits_for)

        try:
            first = await context.records.record_once(request, row, decide)
        except asyncio.CancelledError:
            self._withdraw_unseen(row)
            raise

        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        written.set_result(None)
        return _Recorded(first, started=started and first is None, written=written)

    def _withdraw_unseen(self, row: dict[str, Any]) -> None:
        """The caller hung up while the row was written, and it may be: writes are made in order, so this finds it."""
        error = error_entry(RunCancelled("The run was cancelled: the caller hung up."))
        ended = to_finished("cancelled", error, now(), [], release=True)
        self._db.write_with_retries(
            rows.change, row["id"], ended, only_from=UNFINISHED, holder=row["executor"]
        )

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

    async def _live(self, execution: Execution, scope: LimitScope, *, claimed: bool) -> None:
        context, timeout = self._context, execution.timeout
        try:
            try:
                async with context.slots.slot(execution.run_id, scope, claimed=claimed, max_wait=timeout):
                    await context.headroom.enter(execution.run_log.write_platform_line)
                    await execution.attempt()
            except asyncio.CancelledError:
                await execution.refuse(RunCancelled("The run was cancelled before it started."))
            except NotOurs:
                await execution.refuse(RunInterrupted("The run was taken over while it waited."))
            except CodewordsError as error:
                await execution.refuse(error)
            except Exception:
                log.exception("run failed in the runtime", run_id=execution.run_id)
                await execution.refuse(unreadable())
        finally:
            try:
                self._context.journal.close(execution.run_log)
            finally:
                context.registry.leave(execution.run_id)


def _alive(origin: CallAttribution) -> tuple[str, ...]:
    """The workflows of a chain whose runs go on; those that only made a schedule in it come after them."""
    return origin.services[: len(origin.runs)]


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A row that was written. `first`: the run that first used the idempotency key; `began`: it has its slot."""

    first: str | None
    started: bool
    written: asyncio.Future[None]
