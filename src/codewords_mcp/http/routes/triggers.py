"""Triggers of every kind: schedules, webhooks and event sources."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.http.bodies import Body, page_query, query_int, read_body
from codewords_mcp.http.operations import (
    PAGE_PARAMETERS,
    HttpOperation,
    Parameter,
    items_of,
    page_of,
    whole_number,
)
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.model.trigger import (
    AddedTrigger,
    Trigger,
    TriggerChanges,
    TriggerEvent,
    TriggerKind,
    TriggerRequest,
    TriggerSample,
    TriggerTest,
)


class SampleBody(Body):
    """An event source to look at."""

    kind: str
    options: dict[str, Any] = Field(default_factory=dict[str, Any])


class TriggerResumeBody(Body):
    """`skip_waiting`: an event source begins anew, without the events that wait."""

    skip_waiting: bool = False


async def list_triggers(request: Request) -> Response:
    """List triggers: schedules by their next time, then webhooks and event sources, newest first."""
    service_id = request.query_params.get("service_id")
    found = await runtime(request.scope).triggers.page(
        caller(request.scope), service_id=service_id, **page_query(request)
    )
    return JsonReply(found)


async def list_kinds(request: Request) -> Response:
    """List the kinds of triggers with their options."""
    return JsonReply({"items": runtime(request.scope).triggers.kinds()})


async def add(request: Request) -> Response:
    """Add a trigger."""
    body = await read_body(request, TriggerRequest)
    return JsonReply(await runtime(request.scope).triggers.add(caller(request.scope), body))


async def sample(request: Request) -> Response:
    """Look at the newest item of an event source."""
    body = await read_body(request, SampleBody)
    found = await runtime(request.scope).triggers.sample(caller(request.scope), body.kind, body.options)
    return JsonReply(found)


async def get(request: Request) -> Response:
    """Return one trigger."""
    return JsonReply(await runtime(request.scope).triggers.get(caller(request.scope), _id(request)))


async def change(request: Request) -> Response:
    """Change the trigger of an event source."""
    changes = await read_body(request, TriggerChanges)
    return JsonReply(
        await runtime(request.scope).triggers.change(caller(request.scope), _id(request), changes)
    )


async def pause(request: Request) -> Response:
    """Pause a trigger: it starts nothing until it is resumed."""
    return JsonReply(await runtime(request.scope).triggers.pause(caller(request.scope), _id(request)))


async def resume(request: Request) -> Response:
    """Resume a trigger."""
    # The body is optional: without one, no event that waits is skipped.
    if await request.body():
        body = await read_body(request, TriggerResumeBody)
    else:
        body = TriggerResumeBody()
    found = await runtime(request.scope).triggers.resume(
        caller(request.scope), _id(request), skip_waiting=body.skip_waiting
    )
    return JsonReply(found)


async def try_trigger(request: Request) -> Response:
    """Test a trigger."""
    body = await read_body(request, TriggerTest)
    return JsonReply(await runtime(request.scope).triggers.test(caller(request.scope), _id(request), body))


async def list_events(request: Request) -> Response:
    """List the newest events of an event source."""
    found = await runtime(request.scope).triggers.events(
        caller(request.scope),
        _id(request),
        limit=query_int(request, "limit", low=1, high=100) or 50,
    )
    return JsonReply({"items": found})


async def remove(request: Request) -> Response:
    """Remove a trigger. Its runs stay."""
    await runtime(request.scope).triggers.remove(caller(request.scope), _id(request))
    return Response(status_code=204)


def _id(request: Request) -> str:
    return str(request.path_params["trigger_id"])


OPERATIONS = [
    HttpOperation(
        "GET", "/triggers", "List triggers of every kind", list_triggers, tag="triggers", reply=page_of(Trigger),
        parameters=(Parameter("service_id", "Only of this workflow.", {"type": "string"}), *PAGE_PARAMETERS),
    ),
    HttpOperation(
        "POST", "/triggers", "Let something start a workflow", add, tag="triggers", body=TriggerRequest, reply=AddedTrigger,
    ),
    HttpOperation(
        "GET", "/triggers/kinds", "List the kinds of triggers with their options", list_kinds, tag="triggers",
        reply=items_of(TriggerKind),
    ),
    HttpOperation(
        "POST", "/triggers/sample", "Look at the newest item of an event source", sample, tag="triggers", body=SampleBody,
        reply=TriggerSample,
    ),
    HttpOperation("GET", "/triggers/{trigger_id}", "Show a trigger", get, tag="triggers", reply=Trigger),
    HttpOperation(
        "PATCH", "/triggers/{trigger_id}", "Change the trigger of an event source", change, tag="triggers",
        body=TriggerChanges, reply=Trigger,
    ),
    HttpOperation("DELETE", "/triggers/{trigger_id}", "Remove a trigger", remove, tag="triggers", status=204),
    HttpOperation("POST", "/triggers/{trigger_id}/pause", "Pause a trigger", pause, tag="triggers", reply=Trigger),
    HttpOperation(
        "POST", "/triggers/{trigger_id}/resume", "Resume a trigger", resume, tag="triggers", body=TriggerResumeBody, reply=Trigger
    ),
    HttpOperation(
        "POST", "/triggers/{trigger_id}/test", "Test a trigger", try_trigger, tag="triggers", body=TriggerTest,
        reply=TriggerSample,
        description="Shows the newest item of an event source, and starts a run with it where `run` is true. A webhook "
        "receives `data` as if its sender had signed and sent it.",
    ),
    HttpOperation(
        "GET", "/triggers/{trigger_id}/events", "List the newest events of an event source", list_events, tag="triggers",
        reply=items_of(TriggerEvent),
        parameters=(Parameter("limit", "At most so many, 1 to 100.", whole_number(1, 100, default=50)),),
    ),
]  # fmt: skip
