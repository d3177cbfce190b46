"""One way from a request to a run: each run that somebody asks for is submitted here.

Schedules record their runs themselves, in the transaction that moves their clock on (`scheduler.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.limits import LimitScope
from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.model.run_wait import WAITING_SERVICES
from codewords_mcp.runtime.runs.ancestry import RunAncestry
from codewords_mcp.runtime.runs.catalog import Servable
from codewords_mcp.runtime.runs.context import RunDependencies
from codewords_mcp.runtime.runs.launcher import LaunchConfig
from codewords_mcp.runtime.runs.records import CalledService, Target, new_id
from codewords_mcp.runtime.runs.repeated_request import RepeatedRequest, key_of_workflow
from codewords_mcp.runtime.runs.run_plan import RunPlan
from codewords_mcp.runtime.services.base import Service

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


@dataclass(slots=True)
class Submission:
    """A request that may become a run: its target, its limits, and its row as it starts at once.

    `body` is the whole body of a background run. `config` is None for a call of a library service, `service`
    for a run of a workflow.
    """

    request: RunRequest
    body: bytes
    run_id: str
    target: Target
    service: Service | None
    ancestry: RunAncestry
    scope: LimitScope
    config: LaunchConfig | None
    row: RunColumns
    plan: RunPlan | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A row that was written. `first`: the run that first used the idempotency key, and nothing was written.

    `started`: the run has its slot. `written`: the write of the row, None where it is done or comes later.
    """

    first: str | None = None
    started: bool = True
    written: asyncio.Future[None] | None = None


class RunMode(Protocol[R_co]):
    """The steps of `submit` in which foreground, background, websocket and service runs differ."""

    limits_depth: bool
    """Whether the run counts as a link of the chain of calls. A call of a library service ends the chain."""

    async def prepare(self, request: RunRequest) -> bytes:
        """Read the body of a run that needs all of it first; b"" if it is streamed.

        Raises RuntimeUnavailable if no such run begins here now.
        """
        ...

    def claim(self, submission: Submission) -> bool:
        """Take a slot of this process if one is free."""
        ...

    async def record(self, submission: Submission, *, claimed: bool) -> Recorded:
        """Complete the row and write it: as started, or as waiting. Raises TooBusy, Conflict, NotFound, StorageFailed."""
        ...

    async def start(self, submission: Submission, recorded: Recorded) -> R_co:
        """Start the run, or leave it to the queue. Returns the answer to the caller."""
        ...


class Submitter:
    """Turns requests into runs. `find_service` returns None for the id of a workflow."""

    def __init__(self, context: RunDependencies, find_service: Callable[[str], Service | None]) -> None:
        self._context = context
        self._find_service = find_service

    async def submit(
        self,
        request: RunRequest,
        workflow: RunMode[R],
        service: RunMode[R] | None,
        plan: RunPlan | None = None,
    ) -> R | RepeatedRequest:
        """Record a run and start it, by the mode for what the request calls, or as planned.

        ::

            request
               │  authorize   may the caller call this?         NotAgreed
               │  prepare     mode: begins here? read body      RuntimeUnavailable
               │  resolve     live version, or the service      NotFound, EnvironmentFailed, ConsentNeeded
               │  ancestry    place in the chain of calls       Conflict
               │  configure   limits, secrets, row
               │  claim       mode: slot of this process
               │  record      mode: row in the store            TooBusy, StorageFailed
               │     ├── known idempotency key ──▶ RepeatedRequest
               ▼  start       mode
            attempt ──▶ sandbox ──▶ end (attempt.py, attempt_record.py)

        A claimed slot belongs to the run from `record` on if it started, and is given back here if not.
        `service` is None where only a workflow can be called.
        """
        registry = self._context.registry
        self._authorize(request)
        # A runtime that drains waits for it: it would be cut off after it is on record else.
        registry.submissions += 1
        try:
            return await self._submit(request, workflow, service, plan)
        finally:
            registry.submissions -= 1

    async def _submit(
        self, request: RunRequest, workflow: RunMode[R], service: RunMode[R] | None, plan: RunPlan | None
    ) -> R | RepeatedRequest:
        context = self._context
        if plan is not None:
            called = None
        else:
            called = self._find_service(request.service_id)
        mode = workflow
        if called is not None:
            if service is None:
                raise InvalidInput("A library service has no websockets.", hint="POST to it.")
            mode = service

        # The body comes before the slot, which a slow sender would hold.
        body = await mode.prepare(request)
        context.registry.last_activity = time.monotonic()
        submission = await self._configure(request, body, called, plan, limits_depth=mode.limits_depth)
        claimed = mode.claim(submission)
        try:
            recorded = await mode.record(submission, claimed=claimed)
        # A cancelled caller gives its slot back, too.
        except BaseException:
            if claimed:
                context.admission.leave(submission.scope)
            raise

        if claimed and not recorded.started:
            context.admission.leave(submission.scope)
        if recorded.first is not None:
            return RepeatedRequest(recorded.first)
        return await mode.start(submission, recorded)

    def _authorize(self, request: RunRequest) -> None:
        """Check that the caller may make this call. Raises NotAgreed.

        Idempotency keys of runs are their workflow's own, so that no run gets the answer to another workflow's call.
        """
        authority = self._context.authorities.of(request.caller)
        authority.require_call(request.service_id)
        if request.service_id in WAITING_SERVICES:
            # Each attempt makes the call anew, and finds the same wait by its key.
            request.repeat_key, request.idempotency_key = request.idempotency_key, None
        if authority.workflow is not None and request.idempotency_key is not None:
            request.idempotency_key = key_of_workflow(authority.workflow, request.idempotency_key)

    async def _configure(
        self,
        request: RunRequest,
        body: bytes,
        service: Service | None,
        plan: RunPlan | None,
        *,
        limits_depth: bool,
    ) -> Submission:
        context = self._context
        if plan is not None:
            target = plan.servable
        else:
            target = await self._resolve(request, service)
        run_id = request.request_id or new_id()
        ancestry = await context.ancestry.of_request(request, run_id)
        if limits_depth:
            ancestry.check()

        if isinstance(target, Servable) and target.debugged and request.timeout is None:
            # It stands still at breakpoints, and a person looks at it.
            request.timeout = context.settings.run_timeout

        config: LaunchConfig | None = None
        if plan is not None:
            config = await context.launcher.config_without_values(plan.servable)
        elif isinstance(target, Servable):
            config = await context.launcher.launch_config(request, target)

        await context.records.quotas.refresh()
        scope = context.records.limit_scope(request, target)
        row = context.records.new_row(request, target, run_id, ancestry)
        return Submission(request, body, run_id, target, service, ancestry, scope, config, row, plan)

    async def _resolve(self, request: RunRequest, service: Service | None) -> Target:
        if service is not None:
            return CalledService(service.name)
        return await self._context.authorization.servable(request.caller, request.service_id)
