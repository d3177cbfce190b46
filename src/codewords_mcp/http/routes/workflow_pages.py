"""Opening a workflow's own page: a one-time address on the workflow's origin."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.errors import Conflict
from codewords_mcp.http.bodies import Body, read_body
from codewords_mcp.http.middleware.hosts import is_loopback
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.pages.workflow_page import OPEN
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import SESSION, app_state, caller, own_url, runtime
from codewords_mcp.http.workflow_hosts import WorkflowHosts


class OpenPageBody(Body):
    """`path`: where the workflow's page is, with its query; `/docs` is FastAPI's documentation."""

    path: str = "/"


async def open_page(request: Request) -> Response:
    """A one-time address that opens a workflow's own page in the caller's browser. Raises Conflict without an origin for it."""
    scope = request.scope
    body = await read_body(request, OpenPageBody)
    label, token = await runtime(scope).sessions.create_opening(
        caller(scope), str(request.path_params["service_id"]), body.path, session_id=scope.get(SESSION)
    )
    here = own_url(scope)
    local = is_loopback(urlsplit(here).hostname or "")
    origin = WorkflowHosts(app_state(scope).settings).origin(label, here, local=local)
    if origin is None:
        raise Conflict(
            "This runtime has no domain for the pages of workflows.",
            hint="Set CODEWORDS_PAGES_URL, or open the console on the runtime's own machine.",
        )

    return JsonReply({"url": f"{origin}{OPEN}{token}"})


OPERATIONS = [
    HttpOperation(
        "POST", "/workflows/{service_id}/page", "Make a one-time address of a workflow's own page", open_page,
        body=OpenPageBody,
        reply={"type": "object", "properties": {"url": {"type": "string", "format": "uri"}}, "required": ["url"]},
        description="It opens the workflow's page on an origin of its own in the browser of whoever opens it first, within "
        "five minutes, with a session for that workflow alone.",
    ),
]  # fmt: skip
