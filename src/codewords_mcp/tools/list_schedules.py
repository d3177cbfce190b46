"""`list_schedules`: what runs by itself, and when next."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import BaseModel

from codewords_mcp.mcp_server.context import DoorContext, asking
from codewords_mcp.mcp_server.tool import READS, answer, tool
from codewords_mcp.tools._availability import lasting
from codewords_mcp.tools._schedules import ScheduleItem, item, line


class ScheduleList(BaseModel):
    """All schedules of the caller."""

    schedules: list[ScheduleItem]
    availability: str | None = None


async def list_schedules(ctx: DoorContext) -> Annotated[CallToolResult, ScheduleList]:
    """List schedules: next times, last run, what was missed."""
    runtime, caller = asking(ctx)
    items = [item(one) for one in await runtime.list_schedules(caller)]
    lines = [line(one) for one in items] or ["No schedules."]

    if items:
        lasts = lasting(runtime.availability())
    else:
        lasts = None

    if lasts:
        lines.append(f"The runtime: {lasts}")
    return answer(ScheduleList(schedules=items, availability=lasts), "\n".join(lines))


TOOL = tool(list_schedules, title="List schedules", hints=READS)
