"""`show_form`: let the user fill in a workflow's input in a card."""

from __future__ import annotations

from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import BaseModel

from codewords_mcp.mcp_server.cards import FORM_CARD
from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.text import fence, one_line
from codewords_mcp.mcp_server.tool import READS, tool, tool_result
from codewords_mcp.tools._arguments import WorkflowId

_MAX_ROUTES = 600


class ShownForm(BaseModel):
    """The workflow whose form the user sees."""

    workflow_id: str
    name: str


async def show_form(ctx: ToolContext, workflow_id: WorkflowId) -> Annotated[CallToolResult, ShownForm]:
    """Show the user a form for a workflow's input; they run it there."""
    runtime, caller = runtime_and_caller(ctx)
    detail = await runtime.workflows.get(caller, workflow_id)
    data = ShownForm(workflow_id=detail.service_id, name=one_line(detail.name, 80))
    lines = [
        "The user sees a form for the input of this workflow, and runs it there.",
        fence("Name and routes", f"{data.name}: {_routes(detail.routes)}", _MAX_ROUTES),
        "Without cards: the workflow's page in the console has the same form.",
    ]
    return tool_result(data, "\n".join(lines))


def _routes(routes: list[dict[str, Any]]) -> str:
    return ", ".join(one_line(f"{route['method']} {route['path']}", 60) for route in routes[:10])


TOOL = tool(show_form, title="Show form", hints=READS, card=FORM_CARD, for_cards=True)
