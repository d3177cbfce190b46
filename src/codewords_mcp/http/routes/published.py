"""Workflows as tools of their own: publish, list, take back."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.errors import InvalidInput
from codewords_mcp.http.bodies import Body, read_body
from codewords_mcp.http.operations import HttpOperation, items_of
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.mcp_server.toolsets import TOOLSETS, is_toolset_name
from codewords_mcp.runtime.model.publishing import PublishedTool


class PublishBody(Body):
    """`tool` is its name for models, by default made of the workflow's; `path` the route, where there are several.

    `read_only`: it changes nothing, so that read-only connections have it too.
    """

    tool: str | None = None
    toolset: str = "published"
    path: str | None = None
    read_only: bool = False


async def publish(request: Request) -> Response:
    """The workflow's route is a tool from now on."""
    body = await read_body(request, PublishBody)
    if not is_toolset_name(body.toolset) or body.toolset in TOOLSETS:
        raise InvalidInput(
            "A toolset of published workflows is a name of lower-case letters, digits, - and _, and none of ours.",
            hint=f"Ours are {', '.join(TOOLSETS)}.",
        )

    made = await runtime(request.scope).published.add(
        caller(request.scope),
        request.path_params["service_id"],
        tool=body.tool,
        toolset=body.toolset,
        path=body.path,
        read_only=body.read_only,
    )
    return JsonReply(made, status_code=201)


async def list_published(request: Request) -> Response:
    """By name, with their schemas."""
    return JsonReply({"items": await runtime(request.scope).published.list(caller(request.scope))})


async def unpublish(request: Request) -> Response:
    """The tool is gone; the workflow stays."""
    await runtime(request.scope).published.remove(caller(request.scope), request.path_params["tool"])
    return Response(status_code=204)


OPERATIONS = [
    HttpOperation(
        "POST", "/workflows/{service_id}/publish", "Publish a workflow as an MCP tool", publish,
        body=PublishBody, reply=PublishedTool, status=201,
    ),
    HttpOperation("GET", "/published", "List published tools", list_published, reply=items_of(PublishedTool)),
    HttpOperation("DELETE", "/published/{tool}", "Take a published tool back", unpublish, status=204),
]  # fmt: skip
