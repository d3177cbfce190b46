"""Calls of library services, as runs: recorded like those of workflows."""

from __future__ import annotations

import json
from typing import Any, cast

from codewords_mcp.errors import CodewordsError, InvalidInput
from codewords_mcp.runtime.models import RunRequest, RunResponse
from codewords_mcp.runtime.runs.background import replayed
from codewords_mcp.runtime.runs.floor import Floor, first_attempt, new_id
from codewords_mcp.runtime.services.base import Service
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.clock import now

JSON_TYPE = (b"content-type", b"application/json")


async def serve(floor: Floor, service: Service, request: RunRequest) -> RunResponse:
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
    body = b"".join([chunk async for chunk in request.body])
    try:
        answer = json.dumps(await service.answer(request.caller, _parsed(body, request.method))).encode()
    except CodewordsError as error:
        error.run_id = run_id
        about = {"code": error.code, "message": error.message, "origin": error.origin, "hint": error.hint}
        await _record(floor, request, row, at, {"status": "failed", "error": about})
        raise
    told = {"response_status": 200, "response_content": answer.decode(), "response_json": json.loads(answer)}
    await _record(floor, request, row, at, {"status": "succeeded"} | told)
    headers = [JSON_TYPE, (b"content-length", str(len(answer)).encode()), (b"x-request-id", run_id.encode())]
    return RunResponse(run_id, 200, headers, replayed(answer), _nothing_to_close)


def _parsed(body: bytes, method: str) -> dict[str, Any]:
    if not body.strip():
        return {"operation": "list"} if method == "GET" else {}
    try:
        data = json.loads(body)
    except ValueError:
        raise InvalidInput("The body is not JSON.", hint="Send a JSON object.") from None
    if not isinstance(data, dict):
        raise InvalidInput("The body must be a JSON object.")
    return cast("dict[str, Any]", data)


async def _record(
    floor: Floor, request: RunRequest, row: dict[str, Any], began: int, outcome: dict[str, Any]
) -> None:
    ended = now()
    attempt = first_attempt(began) | {"ended_at": ended, "outcome": outcome["status"]}
    row |= {"completed_at": ended, "attempts": [attempt]} | outcome
    if request.request_id is None:
        floor.database.write_soon(lambda c: rows.add(c, row))
    else:
        await floor.record_once(request, row)


async def _nothing_to_close() -> None:
    return None
