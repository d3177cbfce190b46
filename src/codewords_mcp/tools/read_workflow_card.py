"""`read_workflow_card`: what the cards of workflows and of the inbox read. Only cards call it."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult

from codewords_mcp.mcp_server.card_api import CardAnswer, CardPath, CardQuery, read_api
from codewords_mcp.mcp_server.cards import APP_ONLY
from codewords_mcp.mcp_server.context import ToolContext
from codewords_mcp.mcp_server.tool import READS, tool

ROUTES = ("/workflows/{}", "/waiting")


async def read_workflow_card(
    ctx: ToolContext, path: CardPath, query: CardQuery = None
) -> Annotated[CallToolResult, CardAnswer]:
    """Read a workflow, or what waits for the user, for a card."""
    return await read_api(ctx, path, query or {}, ROUTES)


TOOL = tool(
    read_workflow_card, title="Read a workflow for its card", hints=READS, meta=APP_ONLY, for_cards=True
)
