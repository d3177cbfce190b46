"""`read_run_card`: data for the cards of runs and usage. Only cards call it."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult

from codewords_mcp.mcp_server.card_api import CardAnswer, CardPath, CardQuery, read_api
from codewords_mcp.mcp_server.cards import APP_ONLY
from codewords_mcp.mcp_server.context import ToolContext
from codewords_mcp.mcp_server.tool import READS, tool

ROUTES = ("/request/{}", "/logs/{}", "/runs/{}/trace", "/runs/{}/diagnosis", "/usage", "/costs")


async def read_run_card(
    ctx: ToolContext, path: CardPath, query: CardQuery = None
) -> Annotated[CallToolResult, CardAnswer]:
    """Read a run's record, log or timeline, or what was used, for a card."""
    return await read_api(ctx, path, query or {}, ROUTES)


TOOL = tool(read_run_card, title="Read a run for its card", hints=READS, meta=APP_ONLY, for_cards=True)
