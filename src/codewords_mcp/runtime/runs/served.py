"""Calls of library services, as runs: recorded like those of workflows, bounded in time like them."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast
from urllib.parse import parse_qsl, unquote

from codewords_mcp.errors import CodewordsError, InvalidInput, RunTimedOut
from codewords_mcp.runtime.models import Caller, RunRequest, RunResponse
from codewords_mcp.runtime.runs.floor import Floor, first_attempt, new_id
from codewords_mcp.runtime.runs.work import replayed
from codewords_mcp.runtime.services.base import Context, Parts, Service, read
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.clock import now

JSON_TYPE = (b"content-type", b"application/json")
_PRIVATE = "(not kept: it holds something secret)"


async def serve(floor: Floor, service: Service, parts: Parts, request: RunRequest) -> RunResponse:
    """Answer the call and record it. Raises what the service raises, with the run's id; the record has it too."""
    run_id, at = request.request_id or new_id(), now()
    ancestry = await floor.ancestry(request, run_id)
    row: dict[str, Any] = {
        "id": run_id,
        "owner": request.caller.owner,
        "created_at": at,
        "started_at": at,
        "running_at": at,
        "service_id": service.name,
        "correlation_id": ancestry.correlation_id,
        "depth": ancestry.depth,
        "key_id": request.caller.key_id,
        "parent_id": request.caller.run_id,
        "background": request.background,
        "idempotency_key": None,
    }
    try:
        answer, private = await _within(floor, service, parts, request, run_id)
    except CodewordsError as error:
        error.run_id = run_id
        about = {"code": error.code, "message": error.message, "origin": error.origin, "hint": error.hint}
        status = "timed_out" if isinstance(error, RunTimedOut) else "failed"
        await _record(floor, request, row, at, {"status": status, "error": about})
        raise
    except asyncio.CancelledError:  # the caller hung up
        await asyncio.shield(_record(floor, request, row, at, {"status": "cancelled"}))
        raise
    told = _kept(answer, private=private, limit=floor.settings.max_response_kept)
    await _record(floor, request, row, at, {"status": "succeeded", "response_status": 200} | told)
    headers = [JSON_TYPE, (b"content-length", str(len(answer)).encode()), (b"x-request-id", run_id.encode())]
    return RunResponse(run_id, 200, headers, replayed(answer), _nothing_to_close)


async def _within(
    floor: Floor, service: Service, parts: Parts, request: RunRequest, run_id: str
) -> tuple[bytes, bool]:
    """(the answer as JSON, whether it is private). Raises RunTimedOut."""
    limit = floor.settings.run_timeout if request.background else floor.settings.sync_timeout
    seconds = request.timeout or limit
    try:
        async with asyncio.timeout(seconds):
            path = unquote(request.path)
            operation = service.find(path)
            body = b"".join([chunk async for chunk in request.body])
            data = _parsed(body, request)
            asked = read(operation.input, data)
            hosts = _hosts(floor, request.caller)
            context = Context(parts, request.caller, run_id, path, request.method, data, hosts)
            given = await operation.call(context, asked)
            return given.model_dump_json(by_alias=True, exclude_unset=True).encode(), operation.private
    except TimeoutError:
        raise RunTimedOut(
            f"The service {service.name} did not answer within {seconds:g} s.", hint="Ask for less at once."
        ) from None


def _hosts(floor: Floor, caller: Caller) -> Any:
    """Finds the hosts that the calling workflow's header lists, when a service wants to know."""

    async def hosts() -> tuple[str, ...] | None:
        if caller.run_id is None:
            return None
        run_id = caller.run_id
        run = await floor.database.read(lambda c: rows.get(c, run_id, caller.owner))
        if run is None or run.service_id is None:
            return None
        return (await floor.catalog.find(caller, run.service_id)).closed_to

    return hosts


def _parsed(body: bytes, request: RunRequest) -> dict[str, Any]:
    """The input: the body's JSON object, or without a body what the query says."""
    if not body.strip():
        return dict(parse_qsl(request.query.decode("latin-1"), keep_blank_values=True))
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidInput("The body is not JSON.", hint="Send a JSON object.") from None
    if not isinstance(data, dict):
        raise InvalidInput("The body must be a JSON object.")
    return cast("dict[str, Any]", data)


def _kept(answer: bytes, *, private: bool, limit: int) -> dict[str, Any]:
    """What the record keeps of an answer."""
    if private:
        return {"response_content": _PRIVATE, "response_truncated": True}
    if len(answer) > limit:
        return {"response_content": answer[:limit].decode(errors="ignore"), "response_truncated": True}
    return {"response_content": answer.decode(), "response_json": json.loads(answer)}


async def _record(
    floor: Floor, request: RunRequest, row: dict[str, Any], began: int, outcome: dict[str, Any]
) -> None:
    ended = max(now(), began)
    attempt = first_attempt(began) | {"ended_at": ended, "outcome": outcome["status"]}
    row |= {"completed_at": ended, "attempts": [attempt]} | outcome
    if request.request_id is None:
        floor.database.write_soon(lambda c: rows.add(c, row))
    else:
        await floor.record_once(request, row)


async def _nothing_to_close() -> None:
    return None
