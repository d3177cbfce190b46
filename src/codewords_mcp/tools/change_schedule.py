"""`change_schedule`: pause, resume or delete a schedule, as before `change_trigger`.

It is not listed, and goes in the release after next.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from mcp_types import CallToolResult
from pydantic import BaseModel

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.tool import DESTROYS, tool, tool_result
from codewords_mcp.runtime.model import plain_text as plain
from codewords_mcp.tools._schedules import ScheduleItem, schedule_item, schedule_line


class ChangedSchedule(BaseModel):
    """The changed schedule; absent if it was deleted."""

    schedule_id: str
    schedule: ScheduleItem | None = None


async def change_schedule(
    ctx: ToolContext, schedule_id: str, action: Literal["pause", "resume", "delete"]
) -> Annotated[CallToolResult, ChangedSchedule]:
    """Pause, resume or delete a schedule. Its runs stay."""
    runtime, caller = runtime_and_caller(ctx)
    if action == "delete":
        await runtime.schedules.delete(caller, schedule_id)
        return tool_result(ChangedSchedule(schedule_id=schedule_id), "It is deleted.")

    if action == "pause":
        act = runtime.schedules.pause
    else:
        act = runtime.schedules.resume

    data = schedule_item(await act(caller, schedule_id))
    return tool_result(ChangedSchedule(schedule_id=data.schedule_id, schedule=data), schedule_line(data))


async def _question(_: ToolContext, arguments: dict[str, Any]) -> str | None:
    if arguments["action"] != "delete":
        return None
    return f"Delete the schedule {plain.item(arguments['schedule_id'], 60)}? Its workflow will not run by itself any more."


TOOL = tool(
    change_schedule,
    title="Change schedule",
    hints=DESTROYS,
    confirm=_question,
    listed=False,
)
