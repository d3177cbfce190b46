"""`search_integrations`: find actions of other apps by a description."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import BaseModel

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.text import fence, one_line
from codewords_mcp.mcp_server.tool import READS, tool, tool_result
from codewords_mcp.tools._integrations import ActionItem, action_item, action_line

_MAX_SHOWN = 6_000


class IntegrationList(BaseModel):
    """Actions, the best match first, and apps whose name matches the query."""

    actions: list[ActionItem]
    apps: list[str]
    note: str | None = None


async def search_integrations(
    ctx: ToolContext, query: str, limit: int = 8
) -> Annotated[CallToolResult, IntegrationList]:
    """Find actions of other apps (Slack, Google Sheets, HubSpot, 2000 more) by what is to be done."""
    runtime, caller = runtime_and_caller(ctx)
    found = await runtime.integrations.search(caller, query, limit=max(1, min(limit, 30)))
    data = IntegrationList(
        actions=list(map(action_item, found.actions)),
        apps=[one_line(app.slug, 80) for app in found.apps],
        note=found.note or None,
    )
    results = list(map(action_line, data.actions))
    if data.apps:
        results.append(f"Apps of that name: {', '.join(data.apps)}")
    if results:
        lines = [fence("Found", "\n".join(results), _MAX_SHOWN)]
    else:
        lines = ["No actions."]

    if data.note:
        lines.append(data.note)
    if found.actions:
        lines.append("Next: get_integration(app, action) for its fields, then connect_integration(app)")
    return tool_result(data, "\n".join(lines))


TOOL = tool(search_integrations, title="Search integrations", hints=READS)
