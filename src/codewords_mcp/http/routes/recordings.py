"""Recordings of runs: list, read, bring, keep, remove."""

from __future__ import annotations

from typing import get_args

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.errors import InvalidInput
from codewords_mcp.http.bodies import Body, query_int, read_body, read_bytes
from codewords_mcp.http.operations import HttpOperation, Parameter, items_of, whole_number
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.api.recordings import MAX_BYTES
from codewords_mcp.runtime.model.recording import RecordingInfo
from codewords_mcp.runtime.model.run import RunStatus


class PinBody(Body):
    """`pinned` recordings are kept whatever they take."""

    pinned: bool


async def list_recordings(request: Request) -> Response:
    """List recordings, the latest first."""
    query = request.query_params
    status = query.get("status")
    if status is not None and status not in get_args(RunStatus):
        raise InvalidInput(f"`status` must be one of {', '.join(get_args(RunStatus))}.")

    items = await runtime(request.scope).recordings.list(
        caller(request.scope),
        query.get("service_id"),
        limit=query_int(request, "limit", low=1, high=500) or 20,
        version=query_int(request, "version", low=1, high=1 << 31),
        status=status,
    )
    return JsonReply({"items": items})


async def read_recording(request: Request) -> Response:
    """Read one, redacted: the document that another home imports."""
    document = await runtime(request.scope).recordings.export(caller(request.scope), _run_id(request))
    return JsonReply(document)


async def import_recording(request: Request) -> Response:
    """Take an exported document in, as a recording of one of the caller's workflows."""
    document = await read_bytes(request, MAX_BYTES)
    service_id = request.query_params.get("service_id")
    info = await runtime(request.scope).recordings.bring(caller(request.scope), document, service_id)
    return JsonReply(info, status_code=201)


async def pin_recording(request: Request) -> Response:
    """Keep one whatever it takes, or no longer."""
    body = await read_body(request, PinBody)
    await runtime(request.scope).recordings.pin(caller(request.scope), _run_id(request), pinned=body.pinned)
    return Response(status_code=204)


async def remove_recording(request: Request) -> Response:
    """Remove one. Its run stays."""
    await runtime(request.scope).recordings.remove(caller(request.scope), _run_id(request))
    return Response(status_code=204)


def _run_id(request: Request) -> str:
    return str(request.path_params["run_id"])


OPERATIONS = [
    HttpOperation(
        "GET", "/recordings", "List recordings of runs", list_recordings, tag="runs", reply=items_of(RecordingInfo),
        parameters=(
            Parameter("service_id", "Of one workflow.", {"type": "string"}),
            Parameter("version", "Of one of its versions.", whole_number(1, 1 << 31)),
            Parameter("status", "Of runs that ended so.", {"type": "string", "enum": list(get_args(RunStatus))}),
            Parameter("limit", "At most so many, 1 to 500.", whole_number(1, 500, default=20)),
        ),
    ),
    HttpOperation(
        "GET", "/recordings/{run_id}", "Read a recording", read_recording, tag="runs",
        description="The run's request, what it sent and received, and its answer, without credentials. Any home imports it.",
    ),
    HttpOperation(
        "POST", "/recordings", "Import a recording", import_recording, tag="runs", status=201, reply=RecordingInfo,
        parameters=(
            Parameter("service_id", "The workflow that it belongs to here; default: that of the document.", {"type": "string"}),
        ),
    ),
    HttpOperation(
        "PUT", "/recordings/{run_id}/pin", "Keep a recording", pin_recording, tag="runs", body=PinBody, status=204,
    ),
    HttpOperation(
        "DELETE", "/recordings/{run_id}", "Remove a recording", remove_recording, tag="runs", status=204,
    ),
]  # fmt: skip
