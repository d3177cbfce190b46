"""Calls of library services, as runs: recorded like those of workflows, bounded in time like them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qsl, unquote

import structlog

from codewords_mcp.bounded_json import UnacceptableJson, parse, parse_or_none
from codewords_mcp.errors import CodewordsError, InvalidInput, RunCancelled, RunTimedOut
from codewords_mcp.runtime.auth.access import Access
from codewords_mcp.runtime.auth.access_table import service_rule
from codewords_mcp.runtime.model.run import RunRequest, RunResponse
from codewords_mcp.runtime.model.run_state import (
    Columns,
    FinalStatus,
    close_attempts,
    error_entry,
    open_attempt,
    to_finished,
    to_running_service,
)
from codewords_mcp.runtime.runs.ancestry import RunAncestry
from codewords_mcp.runtime.runs.background_request import replayed
from codewords_mcp.runtime.runs.context import RunDependencies
from codewords_mcp.runtime.runs.input import RequestReader
from codewords_mcp.runtime.runs.records import CalledService, new_id
from codewords_mcp.runtime.runs.repeated_request import RepeatedRequest
from codewords_mcp.runtime.runs.results import NOT_STORED, settle_if_refused
from codewords_mcp.runtime.secrets.scrub import Scrubber
from codewords_mcp.runtime.services import refuse_planned
from codewords_mcp.runtime.services.base import (
    CallConsumption,
    Service,
    ServiceContext,
    ServiceDependencies,
    parse_input,
)
from codewords_mcp.runtime.services.registry import Registry
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
    task: asyncio.Task[Any] | None
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    why: str = ""
    scrubber: Scrubber | None = None

    def cancel(self, why: str) -> None:
        if not self.why and self.task is not None:
            self.why = why
            self.task.cancel()

    def stop(self) -> None:
        self.cancel("the runtime is stopping")


class ServiceRunner:
    """The services of this process, and how they are called."""

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

    async def run(self, service: Service, request: RunRequest) -> RunResponse | RepeatedRequest:
        """Carry out a call whose caller waits, and record it.

        Raises the service's error, with the run's id; the record has it too.
        """
        context, at = self._context, now()
        run_id = request.request_id or new_id()
        ancestry = await context.ancestry.of_request(request, run_id)
        row = context.records.new_row(request, CalledService(service.name), run_id, ancestry)
        row |= to_running_service(at)

        if (
            request.request_id is None and request.idempotency_key is None
        ):  # nobody can know of it before it ends
            try:
                response, values = await self.attempt(service, request, run_id, at)
            except asyncio.CancelledError:  # the caller hung up
                context.database.write_soon(
                    lambda c: rows.add(c, row | _ended(at, "cancelled", executor=None))
                )
                raise

            context.database.write_soon(rows.add, row | values | {"executor": None})
        else:
            first = await context.records.record_once(request, row)
            if first is not None:
                return RepeatedRequest(first)
            response, values = await self._known(_call_of(request, run_id, ancestry), service, request, at)

        if isinstance(response, CodewordsError):
            response.run_id = run_id
            raise response

        headers = [
            JSON_TYPE,
            (b"content-length", str(len(response)).encode()),
            (b"x-request-id", run_id.encode()),
        ]
        return RunResponse(run_id, 200, headers, replayed(response), _nothing_to_close)

    async def _known(
        self, call: _Call, service: Service, request: RunRequest, at: int
    ) -> tuple[bytes | CodewordsError, dict[str, Any]]:
        """A call whose row is there already."""
        context = self._context
        context.registry.active[call.run_id] = call

        try:
            response, values = await self.attempt(service, request, call.run_id, at)
        except asyncio.CancelledError:
            values = _ended(at, "cancelled")
            if not call.why:  # the caller hung up
                await asyncio.shield(self._settle(call.run_id, values))
                raise

            assert call.task is not None  # noqa: S101  # it is the one that runs here
            call.task.uncancel()
            response = RunCancelled(f"The run was cancelled: {call.why}.")
            values["error"] = error_entry(response)
        finally:
            context.registry.active.pop(call.run_id, None)
            call.settled.set()

        await self._settle(call.run_id, values)
        return response, values

    async def _settle(self, run_id: str, values: dict[str, Any]) -> None:
        executor, database = self._context.registry.executor, self._context.database
        written = database.write_with_retries(rows.change, run_id, values, holder=executor)
        settle_if_refused(database, written, run_id, executor)
        await database.drained()
        self._context.events.notify(run_id)

    async def attempt(
        self, service: Service, request: RunRequest, run_id: str, started_at: int
    ) -> tuple[bytes | CodewordsError, dict[str, Any]]:
        """Call the service. Returns (the response's JSON or the error, the columns of the record). Raises only cancellation."""
        spent, reader = CallConsumption(), RequestReader(request)
        response, values = await self._tried(service, request, run_id, spent, reader, started_at)
        return response, values | {
            "input": reader.record(self._context.registry.scrubbers_above(request.caller))
        }

    async def _tried(
        self,
        service: Service,
        request: RunRequest,
        run_id: str,
        spent: CallConsumption,
        reader: RequestReader,
        started_at: int,
    ) -> tuple[bytes | CodewordsError, dict[str, Any]]:
        try:
            async with self._context.ancestry.counted(request.caller):
                response = await self._call(service, request, run_id, spent, reader)
        except CodewordsError as error:
            status = "timed_out" if isinstance(error, RunTimedOut) else "failed"
            return error, _ended(started_at, status, error=error_entry(error), **_used(spent))
        except Exception:
            log.exception("a service failed", service=service.name, run_id=run_id)
            error = CodewordsError(
                f"The service {service.name} failed through a fault of its own.",
                hint=f"The runtime's log has the reason under {run_id}.",
            )
            return error, _ended(started_at, "failed", error=error_entry(error))

        columns = _response_columns(
            response, private=reader.private, limit=self._context.settings.max_response_kept
        )
        return response, _ended(started_at, "succeeded", response_status=200, **columns, **_used(spent))

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

                reader.private = operation.private
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
                )
                output = await operation.call(context, params)
                return output.model_dump_json(by_alias=True, exclude_unset=True).encode()
        except TimeoutError:
            raise RunTimedOut(
                f"The service {service.name} did not answer within {timeout:g} s.",
                hint="Ask for less at once.",
            ) from None


def _call_of(request: RunRequest, run_id: str, ancestry: RunAncestry) -> _Call:
    task = asyncio.current_task()
    return _Call(run_id, ancestry.correlation_id, ancestry.depth, request.caller.key_id, task)


def _ended(started_at: int, status: FinalStatus, error: Columns | None = None, **more: Any) -> Columns:
    """The columns of a call that has ended now."""
    at = max(now(), started_at)
    attempts = close_attempts([open_attempt(1, started_at)], at, status)
    return to_finished(status, error, at, attempts) | more


def _used(spent: CallConsumption) -> dict[str, Any]:
    """The columns of what a call took; most take nothing that is counted."""
    return spent.columns | ({"usage": spent.usage} if spent.usage else {})


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


def _response_columns(response: bytes, *, private: bool, limit: int) -> dict[str, Any]:
    """The columns of a response."""
    if private:
        return {"response_content": NOT_STORED, "response_truncated": True}
    if len(response) > limit:
        return {"response_content": response[:limit].decode(errors="ignore"), "response_truncated": True}
    return {"response_content": response.decode(), "response_json": parse_or_none(response)}


async def _nothing_to_close() -> None:
    return None
