"""`show_usage`: what runs and models used and cost, as a card."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from codewords_mcp.common.counts import counted
from codewords_mcp.mcp_server.cards import USAGE_CARD
from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.tool import READS, tool, tool_result

_SHOWN = 5


class ShownUsage(BaseModel):
    """Sums of the last `days`, of which `cost_usd` is for models and machines."""

    days: int
    runs: int = 0
    failed: int = 0
    cost_usd: float | None = None


async def show_usage(
    ctx: ToolContext, days: Annotated[int, Field(ge=1, le=365)] = 30
) -> Annotated[CallToolResult, ShownUsage]:
    """Show the user what runs and models used and cost, by day and workflow."""
    runtime, caller = runtime_and_caller(ctx)
    sums = sorted(
        await runtime.runs.usage(caller, by="workflow", days=days), key=lambda one: one.runs, reverse=True
    )
    costs = [one.cost for one in sums if one.cost is not None]
    data = ShownUsage(
        days=days,
        runs=sum(one.runs for one in sums),
        failed=sum(one.failed for one in sums),
        cost_usd=sum(costs) if costs else None,
    )
    cost = "" if data.cost_usd is None else f", {data.cost_usd:.6g} USD"
    lines = [f"{counted(data.runs, 'run')} in {counted(days, 'day')}, {data.failed} failed{cost}."]
    lines += [
        f"- {one.of or 'no workflow'}: {counted(one.runs, 'run')}, {one.failed} failed"
        for one in sums[:_SHOWN]
    ]
    return tool_result(data, "\n".join(lines))


TOOL = tool(show_usage, title="Show usage", hints=READS, card=USAGE_CARD, for_cards=True)
