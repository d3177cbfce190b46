"""Schedules: workflows that run by themselves."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.http.bodies import query_int, read_body
from codewords_mcp.http.operations import HttpOperation, Parameter, page_of, whole_number
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.api.paging import MAX_PAGE
from codewords_mcp.runtime.model.schedule import Schedule, ScheduleRequest


async def create(request: Request) -> Response:
    """Make a schedule."""
    schedule_request = await read_body(request, ScheduleRequest)
    return JsonReply(await runtime(request.scope).schedules.create(caller(request.scope), schedule_request))


async def list_schedules(request: Request) -> Response:
    """List schedules by their next time."""
    service_id = request.query_params.get("service_id")
    limit = query_int(request, "limit", low=1, high=MAX_PAGE) or MAX_PAGE
    schedules = runtime(request.scope).schedules
    cursor = request.query_params.get("cursor")
    return JsonReply(
        await schedules.page(caller(request.scope), service_id=service_id, limit=limit, cursor=cursor)
    )


async def get(request: Request) -> Response:
    """Return one schedule."""
    return JsonReply(await runtime(request.scope).schedules.get(caller(request.scope), _id(request)))


async def pause(request: Request) -> Response:
    """Pause a schedule: it starts no run until it is resumed."""
    return JsonReply(await runtime(request.scope).schedules.pause(caller(request.scope), _id(request)))


async def resume(request: Request) -> Response:
    """Go on with the next time from now."""
    return JsonReply(await runtime(request.scope).schedules.resume(caller(request.scope), _id(request)))


async def delete(request: Request) -> Response:
    """Delete a schedule. Its runs stay."""
    await runtime(request.scope).schedules.delete(caller(request.scope), _id(request))
    return Response(status_code=204)


def _id(request: Request) -> str:
    return str(request.path_params["schedule_id"])


OPERATIONS = [
    HttpOperation(
        "GET", "/schedules", "List schedules, next first", list_schedules, tag="schedules", reply=page_of(Schedule),
        parameters=(
            Parameter("service_id", "Only of this workflow.", {"type": "string"}),
            Parameter("limit", "At most so many, 1 to 100.", whole_number(1, MAX_PAGE, default=MAX_PAGE)),
            Parameter("cursor", "`next_cursor` of the page before.", {"type": "string"}),
        ),
    ),
    HttpOperation(
        "POST", "/schedules", "Let a workflow run by itself", create, tag="schedules", body=ScheduleRequest, reply=Schedule,
    ),
    HttpOperation("GET", "/schedules/{schedule_id}", "Show a schedule with its next times", get, tag="schedules", reply=Schedule),
    HttpOperation("POST", "/schedules/{schedule_id}/pause", "Pause a schedule", pause, tag="schedules", reply=Schedule),
    HttpOperation("POST", "/schedules/{schedule_id}/resume", "Go on with a schedule", resume, tag="schedules", reply=Schedule),
    HttpOperation("DELETE", "/schedules/{schedule_id}", "Delete a schedule", delete, tag="schedules", status=204),
]  # fmt: skip
