"""Calls of library services, as runs: recorded like those of workflows, bounded in time like them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qsl, unquote

import structlog

from codewords_mcp.common.bounded_json import UnacceptableJson, parse, parse_or_none
from codewords_mcp.errors import CodewordsError, InvalidInput, RunCancelled, RunTimedOut
from codewords_mcp.runtime.auth.access import Access
from codewords_mcp.runtime.auth.access_table import service_rule
from codewords_mcp.runtime.model.events import RunChanged
from codewords_mcp.runtime.model.run import NOT_STORED, RunRequest, RunResponse
from codewords_mcp.runtime.model.run_columns import ErrorEntry, FinalStatus, RunColumns
from codewords_mcp.runtime.model.run_state import (
    close_attempts,
    error_entry,
    open_attempt,
    to_finished,
    to_running_service,
)
from codewords_mcp.runtime.runs.background_request import replayed
from codewords_mcp.runtime.runs.context import RunDependencies
from codewords_mcp.runtime.runs.dry_runs import OperationCall
from codewords_mcp.runtime.runs.input import RequestReader
from codewords_mcp.runtime.runs.repeated_request import read_whole
from codewords_mcp.runtime.runs.results import settle_if_refused
from codewords_mcp.runtime.runs.submit import Recorded, Submission
from codewords_mcp.runtime.secrets.scrub import Scrubber
from codewords_mcp.runtime.services import refuse_planned
from codewords_mcp.runtime.services.base import CallConsumption, Service, ServiceContext, ServiceDependencies
from codewords_mcp.runtime.services.registry import Registry
from codewords_mcp.runtime.services.service_input import parse_input
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.clock import now

JSON_TYPE = (b"content-type", b"application/json")
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Call:
    """A call that somebody waits for and that can be cancelled by its id meanwhile; see `ActiveRun`."""

    run_id: str
    correlation_id: str
    depth: int
    key_id: str | None
    request: RunRequest
    task: asyncio.Task[Any] | None
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    why: str = ""
    scrubber: Scrubber | None = None

    def cancel(self, why: str) -> None:
        if not self.why and self.task is not None:
            self.why = why
            self.task.cancel()

    def fail(self, error: CodewordsError) -> None:
        self.cancel(error.message)

    def stop(self) -> None:
        self.cancel("the runtime is stopping")


class ServiceRunner:
    """The services of this process, and how they are called: by callers that wait (see `RunMode`), and in the background."""

    def __init__(
        self, context: RunDependencies, registry: Registry, dependencies: ServiceDependencies
    ) -> None:
        self._context = context
        self._registry = registry
        self._dependencies = dependencies

    def find(self, service_id: str) -> Service | None:
        """The library service that is asked; None for a workflow. Raises ServiceNotAvailable for one to come."""
        service = self._registry.find(service_id)
        if service is None:
            refuse_planned(service_id)
        return service

    # `RunMode`: calls whose caller waits

    limits_depth = False

    async def prepare(self, request: RunRequest) -> bytes:
        """See `RunMode`. The body is streamed, but for a call that can be repeated."""
        if request.idempotency_key is None:
            return b""
        return await read_whole(request)

    def claim(self, submission: Submission) -> bool:  # noqa: ARG002  # nothing is counted
        """See `RunMode`. A service limits its calls itself, so a call takes no slot."""
        return False

    async def record(self, submission: Submission, *, claimed: bool) -> Recorded:  # noqa: ARG002  # always False
        """See `RunMode`. A call that nobody can know of is written when it has ended."""
        submission.row.update(to_running_service(_started_at(submission)))
        if _is_known(submission.request):
            return Recorded(await self._context.records.record_once(submission.request, submission.row))
        return Recorded()

    async def start(self, submission: Submission, recorded: Recorded) -> RunResponse:  # noqa: ARG002  # has no slot
        """Carry out the call. Raises the service's error, with the run's id; the record has it too."""
        run_id, service = submission.run_id, submission.service
        assert service is not None  # noqa: S101  # `submit` chooses this mode for services
        if _is_known(submission.request):
            response = await self._known(submission, service)
        else:
            response = await self._unknown(submission, service)

        if isinstance(response, CodewordsError):
            response.run_id = run_id
            raise response

        headers = [
            JSON_TYPE,
            (b"content-length", str(len(response)).encode()),
            (b"x-request-id", run_id.encode()),
        ]
        return RunResponse(run_id, 200, headers, replayed(response), _nothing_to_close)

    async def _unknown(self, submission: Submission, service: Service) -> bytes | CodewordsError:
        """A call whose id nobody has before it ends: its row is written once."""
        database, row, at = self._context.database, submission.row, _started_at(submission)
        try:
            response, values = await self.attempt(service, submission.request, submission.run_id, at)
        except asyncio.CancelledError:  # the caller hung up
            # A run that waits gives its sandbox back in the middle of this call, and makes it again.
            if not service.waits:
                ended = _ended(at, "cancelled")
                database.write_soon(rows.add, {**row, **ended, "executor": None})
            raise

        database.write_soon(rows.add, {**row, **values, "executor": None})
        return response

    async def _known(self, submission: Submission, service: Service) -> bytes | CodewordsError:
        """A call whose row is there already: it can be found, and cancelled by its id."""
        context, run_id, at = self._context, submission.run_id, _started_at(submission)
        call = _call_of(submission)
        context.registry.active[run_id] = call

        try:
            response, values = await self.attempt(service, submission.request, run_id, at)
        except asyncio.CancelledError:
            values = _ended(at, "cancelled")
            if not call.why:  # the caller hung up
                await asyncio.shield(self._settle(run_id, values))
                raise

            assert call.task is not None  # noqa: S101  # it is the one that runs here
            call.task.uncancel()
            response = RunCancelled(f"The run was cancelled: {call.why}.")
            values["error"] = error_entry(response)
        finally:
            context.registry.active.pop(run_id, None)
            call.settled.set()

        await self._settle(run_id, values)
        return response

    async def _settle(self, run_id: str, values: RunColumns) -> None:
        executor, database = self._context.registry.executor, self._context.database
        written = database.write_with_retries(rows.change, run_id, values, holder=executor)
        settle_if_refused(database, written, run_id, executor)
        await database.drained()
        self._context.events.publish(RunChanged(run_id))

    async def attempt(
        self, service: Service, request: RunRequest, run_id: str, started_at: int
    ) -> tuple[bytes | CodewordsError, RunColumns]:
        """Call the service. Returns (the response's JSON or the error, the columns of the record). Raises only cancellation."""
        spent, reader = CallConsumption(), RequestReader(request)
        response, values = await self._tried(service, request, run_id, spent, reader, started_at)
        values["input"] = reader.record(self._context.registry.scrubbers_above(request.caller))
        return response, values

    async def _tried(
        self,
        service: Service,
        request: RunRequest,
        run_id: str,
        spent: CallConsumption,
        reader: RequestReader,
        started_at: int,
    ) -> tuple[bytes | CodewordsError, RunColumns]:
        try:
            async with self._context.ancestry.counted(request.caller):
                response = await self._call(service, request, run_id, spent, reader)
        except CodewordsError as error:
            status = "timed_out" if isinstance(error, RunTimedOut) else "failed"
            return error, {**_ended(started_at, status, error_entry(error)), **_used(spent)}
        # Whatever a service does, its run must end on record.
        except Exception:
            log.exception("a service failed", service=service.name, run_id=run_id)
            error = CodewordsError(
                f"The service {service.name} failed through a fault of its own.",
                hint=f"The runtime's log has the reason under {run_id}.",
            )
            return error, _ended(started_at, "failed", error_entry(error))

        columns = _response_columns(
            response,
            private=reader.private,
            recorded=reader.recorded,
            limit=self._context.settings.max_response_kept,
        )
        return response, {**_ended(started_at, "succeeded"), **columns, **_used(spent)}

    async def _call(
        self,
        service: Service,
        request: RunRequest,
        run_id: str,
        spent: CallConsumption,
        reader: RequestReader,
    ) -> bytes:
        """The answer as JSON. Raises RunTimedOut."""
        settings = self._context.settings
        timeout = request.timeout or (settings.run_timeout if request.background else settings.sync_timeout)
        if service.waits:
            if request.background:
                raise InvalidInput(
                    f"The service {service.name} cannot be called in the background.",
                    hint="Call it as any other: the run gives its sandbox back while it waits.",
                )
            timeout = None

        try:
            async with asyncio.timeout(timeout):
                path = unquote(request.path)
                operation = service.find(path)
                rule = service_rule(service.name, operation.path, operation.effect)

                # which listener a run's key came by was checked there; what runs in the background came by none
                if request.caller.kind == "run":
                    listener = "sandbox"
                else:
                    listener = "public"

                Access(request.caller, listener=listener).require(rule)
                authority = await self._context.authorization.authority(request.caller)
                authority.require_operation(service.name, operation.name)

                reader.private, reader.recorded = operation.private, operation.recorded
                body = b"".join([chunk async for chunk in reader.chunks()])
                data = _parsed(body, request)
                params = parse_input(operation.input, data)
                for target in operation.targets(params) if operation.targets else ():
                    authority.require_target(service.name, target)
                context = ServiceContext(
                    self._dependencies,
                    request.caller,
                    run_id,
                    path,
                    request.method,
                    data,
                    service.name,
                    authority,
                    await self._context.ancestry.made_by(request.caller),
                    spent,
                    request.repeat_key,
                )

                async def perform() -> bytes:
                    output = await operation.call(context, params)
                    return output.model_dump_json(by_alias=True, exclude_unset=True).encode()

                if request.mode is None or await operation.effect_of_call(context, params) == "reads":
                    return await perform()
                call = OperationCall(run_id, request, service.name, operation, _sorted_json(data))
                return await self._context.dry_runs.call(call, perform)
        except TimeoutError:
            raise RunTimedOut(
                f"The service {service.name} did not answer within {timeout:g} s.",
                hint="Ask for less at once.",
            ) from None


def _sorted_json(data: dict[str, Any]) -> bytes:
    """The input as JSON in which equal inputs are equal bytes."""
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def _call_of(submission: Submission) -> _Call:
    ancestry, task = submission.ancestry, asyncio.current_task()
    key_id = submission.request.caller.key_id
    return _Call(submission.run_id, ancestry.correlation_id, ancestry.depth, key_id, submission.request, task)


def _is_known(request: RunRequest) -> bool:
    """Whether somebody can know of the run before it ends: by its id, or by an idempotency key."""
    return request.request_id is not None or request.idempotency_key is not None


def _started_at(submission: Submission) -> int:
    return submission.row.get("created_at", 0)


def _ended(started_at: int, status: FinalStatus, error: ErrorEntry | None = None) -> RunColumns:
    """The columns of a call that has ended now."""
    at = max(now(), started_at)
    attempts = close_attempts([open_attempt(1, started_at)], at, status)
    return to_finished(status, error, at, attempts)


def _used(spent: CallConsumption) -> RunColumns:
    """The columns of what a call took; most take nothing that is counted."""
    columns = spent.columns.copy()
    if spent.usage:
        columns["usage"] = spent.usage
    return columns


def _parsed(body: bytes, request: RunRequest) -> dict[str, Any]:
    """The input: the body's JSON object, or without a body what the query says."""
    if not body.strip():
        return dict(parse_qsl(request.query.decode("latin-1"), keep_blank_values=True))

    try:
        data = parse(body)
    except UnacceptableJson as error:
        raise InvalidInput(f"The body was not read: {error}.", hint="Send a JSON object.") from None
    except ValueError:
        raise InvalidInput("The body is not JSON.", hint="Send a JSON object.") from None

    if not isinstance(data, dict):
        raise InvalidInput("The body must be a JSON object.")

    return cast("dict[str, Any]", data)


def _response_columns(response: bytes, *, private: bool, recorded: Collection[str], limit: int) -> RunColumns:
    """The columns of a response."""
    columns: RunColumns = {"response_status": 200, "response_truncated": True}
    if recorded:
        fields = {name: value for name, value in json.loads(response).items() if name in recorded}
        columns["response_content"], columns["response_json"] = json.dumps(fields), fields
    elif private:
        columns["response_content"] = NOT_STORED
    elif len(response) > limit:
        columns["response_content"] = response[:limit].decode(errors="ignore")
    else:
        columns["response_content"] = response.decode()
        columns["response_json"] = parse_or_none(response)
        columns["response_truncated"] = False
    return columns


async def _nothing_to_close() -> None:
    return None
