"""`search_integrations`: what can be done in other apps, by plain words."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import BaseModel

from codewords_mcp.mcp_server.context import DoorContext, asking
from codewords_mcp.mcp_server.text import fence, one_line
from codewords_mcp.mcp_server.tool import READS, answer, tool
from codewords_mcp.tools._integrations import ActionItem, item_of, line_of

_SHOWN = 6_000


class IntegrationList(BaseModel):
    """Actions, the best first, and apps of the name that was asked for."""

    actions: list[ActionItem]
    apps: list[str]
    note: str | None = None


async def search_integrations(
    ctx: DoorContext, query: str, limit: int = 8
) -> Annotated[CallToolResult, IntegrationList]:
    """Find actions of other apps (Slack, Google Sheets, HubSpot, 2000 more) by what is to be done."""
    runtime, caller = asking(ctx)
    found = await runtime.search_integrations(caller, query, limit=max(1, min(limit, 30)))
    data = IntegrationList(
        actions=list(map(item_of, found.actions)),
        apps=[one_line(app.slug, 80) for app in found.apps],
        note=found.note or None,
    )
    told = list(map(line_of, data.actions))
    if data.apps:
        told.append(f"Apps of that name: {', '.join(data.apps)}")
    if told:
        lines = [fence("Found", "\n".join(told), _SHOWN)]
    else:
        lines = ["No actions."]

    if data.note:
        lines.append(data.note)
    if found.actions:
        lines.append("Next: get_integration(app, action) for its fields, then connect_integration(app)")
    return answer(data, "\n".join(lines))


TOOL = tool(search_integrations, title="Search integrations", hints=READS)
