"""`read_workflow_card`: what the cards of workflows and of the inbox read. Only cards call it."""

from __future__ import annotations

from typing import Annotated, Any

from mcp_types import CallToolResult

from codewords_mcp.mcp_server.card_api import CardAnswer, CardPath, CardQuery, read_api
from codewords_mcp.mcp_server.cards import APP_ONLY
from codewords_mcp.mcp_server.context import ToolContext
from codewords_mcp.mcp_server.tool import READS, tool
from codewords_mcp.tools._waiting import may_see

WAITING = "/waiting"
ROUTES = ("/workflows/{}", WAITING)


async def read_workflow_card(
    ctx: ToolContext, path: CardPath, query: CardQuery = None
) -> Annotated[CallToolResult, CardAnswer]:
    """Read a workflow, or what waits for the user, for a card."""
    result = await read_api(ctx, path, query or {}, ROUTES)
    answer: dict[str, Any] = result.structured_content or {}
    if path == WAITING and answer.get("status") == 200:
        answer["body"]["items"] = [item for item in answer["body"]["items"] if may_see(ctx, item["kind"])]
    return result


TOOL = tool(
    read_workflow_card, title="Read a workflow for its card", hints=READS, meta=APP_ONLY, for_cards=True
)
