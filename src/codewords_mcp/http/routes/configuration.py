"""Plain configuration values of workflows."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.http.bodies import Body, read_body
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.model.workflow import WorkflowConfig


class ConfigBody(Body):
    """All values of the workflow, by the names of its variables: those that are left out are gone."""

    values: dict[str, str]


async def get_config(request: Request) -> Response:
    """Return the values."""
    service_id = request.path_params["service_id"]
    return JsonReply(await runtime(request.scope).configuration.get(caller(request.scope), service_id))


async def set_config(request: Request) -> Response:
    """Replace the values; the next run gets them."""
    body = await read_body(request, ConfigBody)
    service_id = request.path_params["service_id"]
    return JsonReply(
        await runtime(request.scope).configuration.set(caller(request.scope), service_id, body.values)
    )


OPERATIONS = [
    HttpOperation(
        "GET", "/workflows/{service_id}/config", "Plain configuration values of a workflow", get_config, reply=WorkflowConfig,
    ),
    HttpOperation(
        "PUT", "/workflows/{service_id}/config", "Replace the configuration values of a workflow", set_config,
        body=ConfigBody, reply=WorkflowConfig,
        description="Runs get them as variables that the header declares, from the next run on. Secrets belong to PUT /secrets.",
    ),
]  # fmt: skip
