"""Dry runs: the writes that they held, and running them for real."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.http.bodies import Body, read_body
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.model.dry_run import DryRunInfo
from codewords_mcp.runtime.model.workflow import Consent


class ApplyBody(Body):
    """Without either, 403 `consent_needed` has the list. Then `confirm`, the token of that answer, says that a person agrees
    to exactly that; `allow` agrees to the list as it is.
    """

    confirm: str | None = None
    allow: bool = False


async def writes(request: Request) -> Response:
    """List what a dry run held, and what was sent of it since."""
    return JsonReply(await runtime(request.scope).dry_runs.get(caller(request.scope), _run_id(request)))


async def apply(request: Request) -> Response:
    """Run the workflow for real: each write that is agreed to is sent, once; any other ends the run before it."""
    body = await read_body(request, ApplyBody)
    # The HTTP API is used with a person's key, so its holder vouches for the consent.
    consent = Consent(allow=body.allow, confirm=body.confirm, by_person=True)
    run_id = await runtime(request.scope).dry_runs.apply(caller(request.scope), _run_id(request), consent)
    return JsonReply({"request_id": run_id}, headers={"X-Request-Id": run_id})


def _run_id(request: Request) -> str:
    return str(request.path_params["run_id"])


OPERATIONS = [
    HttpOperation(
        "GET", "/runs/{run_id}/writes", "List what a dry run would write", writes, tag="runs", reply=DryRunInfo,
    ),
    HttpOperation(
        "POST", "/runs/{run_id}/apply", "Run for real what a dry run held", apply, tag="runs", body=ApplyBody,
        description="The run is in the background, and ends with `write_held` before a write that nobody agreed to.",
        reply={"type": "object", "properties": {"request_id": {"type": "string"}}, "required": ["request_id"]},
    ),
]  # fmt: skip
