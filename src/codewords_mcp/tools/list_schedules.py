"""`list_schedules`: list schedules with their next times, as before `list_triggers`.

It is not listed, and goes in the release after next.
"""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import BaseModel

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.tool import READS, tool, tool_result
from codewords_mcp.tools._availability import availability_text
from codewords_mcp.tools._schedules import ScheduleItem, schedule_item, schedule_line


class ScheduleList(BaseModel):
    """All schedules of the caller."""

    schedules: list[ScheduleItem]
    availability: str | None = None


async def list_schedules(ctx: ToolContext) -> Annotated[CallToolResult, ScheduleList]:
    """List schedules: next times, last run, what was missed."""
    runtime, caller = runtime_and_caller(ctx)
    items = [schedule_item(schedule) for schedule in await runtime.schedules.list(caller)]
    lines = [schedule_line(schedule) for schedule in items] or ["No schedules."]

    if items:
        availability = availability_text(runtime.status.availability())
    else:
        availability = None

    if availability:
        lines.append(f"The runtime: {availability}")
    return tool_result(ScheduleList(schedules=items, availability=availability), "\n".join(lines))


TOOL = tool(list_schedules, title="List schedules", hints=READS, brief=True, listed=False)
