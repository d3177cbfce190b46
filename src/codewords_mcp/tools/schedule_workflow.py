"""`schedule_workflow`: create a schedule, as before `add_trigger`.

It is not listed, and goes in the release after next.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import Field

from codewords_mcp.mcp_server.confirmation import no_question
from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.tool import ADDS, tool, tool_result
from codewords_mcp.runtime.model.schedule import ScheduleRequest
from codewords_mcp.tools._arguments import WorkflowId
from codewords_mcp.tools._schedules import ScheduleItem, schedule_item, schedule_line

_TIME = re.compile(r"\d{4}-\d\d-\d\d")


async def schedule_workflow(
    ctx: ToolContext,
    workflow_id: WorkflowId,
    when: Annotated[str, Field(description='"0 9 * * MON-FRI", "@daily" or, once, "2026-12-24T18:00"')],
    timezone: Annotated[str, Field(description="IANA name; ask the user")],
    input: Annotated[Any, Field(description="JSON body of its runs")] = None,  # noqa: A002  # as in run_workflow
    dry_run: Annotated[bool, Field(description="The first time")] = False,
) -> Annotated[CallToolResult, ScheduleItem]:
    """Let a workflow run by itself, also while this chat is closed."""
    runtime, caller = runtime_and_caller(ctx)
    once = _TIME.match(when.strip()) is not None
    cron, at = (None, when) if once else (when, None)
    request = ScheduleRequest(
        service_id=workflow_id, cron=cron, at=at, timezone=timezone, input=input, dry_run=dry_run
    )
    data = schedule_item(await runtime.schedules.create(caller, request))
    lines = [schedule_line(data), *data.forecast]
    if data.availability:
        lines.append(f"The runtime: {data.availability}")
    return tool_result(data, "\n".join(lines))


TOOL = tool(schedule_workflow, title="Schedule workflow", hints=ADDS, confirm=no_question, listed=False)
