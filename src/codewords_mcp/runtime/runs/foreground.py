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
        place = context.records.limit_scope(request, servable)
        kit = await context.launcher.kit(request, servable)
        row = context.records.new_row(request, servable, run_id, ancestry)
        claimed = context.admission.claim(place)

        try:
            recorded = await self._record(request, row, place, claimed=claimed)
        except BaseException:
            if claimed:
                context.admission.leave(place)
            raise

        if claimed and not recorded.began:
            context.admission.leave(place)
        if recorded.first is not None:
            return RepeatedRequest(recorded.first)

        execution = make(
            run_id,
            request,
            database=context.database,
            run_log=context.journal.open(run_id),
            kept=context.settings.max_response_kept,
            timeout=request.timeout or context.settings.sync_timeout,
            kit=kit,
            recorded=recorded.written,
            queued=not recorded.began,
            supply=context.allocator,
            correlation_id=ancestry.correlation_id,
            executor=context.registry.executor,
            answer_files=context.answer_files,
            depth=ancestry.depth,
            scrubbers_above=context.registry.scrubbers_above(request.caller),
        )
        context.registry.grant_authority(run_id, request.caller, kit)
        context.registry.enter(execution, self._live(execution, place, claimed=recorded.began))

        return execution

    async def _record(
        self, request: RunRequest, row: dict[str, Any], place: LimitScope, *, claimed: bool
    ) -> _Recorded:
        """Write the run's row: soon, where nothing has to be known of others for it."""
        context, began = self._context, False
        if claimed and not self._db.shared and request.request_id is None and request.idempotency_key is None:
            return _Recorded(None, began=True, written=self._db.write_soon(rows.add, row))

        if not claimed:
            self._check_own_wait(request, place)

        def decide(connection: Connection, row: dict[str, Any]) -> dict[str, Any]:
            nonlocal began
            turns = context.slots
            if claimed:
                waits_for = turns.why_not_now(connection, place, behind=False)
            else:
                waits_for = turns.why(place)

            began = waits_for is None
            if began:
                return row

            slots.lock(connection, place)
            slots.require_queue_capacity(connection, place)
            return row | to_queued(waits_for)

        try:
            first = await context.records.record_once(request, row, decide)
        except asyncio.CancelledError:
            self._withdraw_unseen(row)
            raise

        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        written.set_result(None)
        return _Recorded(first, began=began and first is None, written=written)

    def _withdraw_unseen(self, row: dict[str, Any]) -> None:
        """The caller hung up while the row was written, and it may be: writes are made in order, so this finds it."""
        error = error_entry(RunCancelled("The run was cancelled: the caller hung up."))
        ended = to_finished("cancelled", error, now(), [], release=True)
        self._db.write_with_retries(
            rows.change, row["id"], ended, only_from=UNFINISHED, holder=row["executor"]
        )

    def _check_own_wait(self, request: RunRequest, place: LimitScope) -> None:
        """Raises Conflict where the runs that it would wait for are those that wait for it."""
        full = self._context.admission.full(place)
        if full is None or full.scope != "workflow" or not place.nested:
            return
        if _alive(self._context.call_chain.origin(request.caller)).count(place.service_id) >= (
            full.runs or 0
        ):
            raise Conflict(
                f"This workflow would wait for itself: it may run {full.runs} at once and is called by its own run.",
                hint="Raise `concurrency` in its header, or call it in the background (run_async).",
            )

    async def _live(self, execution: Execution, place: LimitScope, *, claimed: bool) -> None:
        context, patience = self._context, execution.timeout
        try:
            try:
                async with context.slots.slot(execution.run_id, place, claimed=claimed, patience=patience):
                    await context.headroom.enter(execution.run_log.say)
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
    """What became of a run's row. `first`: the run that first used the idempotency key; `began`: it has its slot."""

    first: str | None
    began: bool
    written: asyncio.Future[None]
