"""`list_triggers`: list what starts workflows, and the kinds that there are."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.tool import READS, tool, tool_result
from codewords_mcp.tools._availability import availability_text
from codewords_mcp.tools._publishing import KIND_LINE, listed_tools, published_item, published_line
from codewords_mcp.tools._triggers import TriggerItem, kind_line, trigger_item, trigger_line


class TriggerList(BaseModel):
    """Triggers of the caller; `kinds` are those that can be added."""

    triggers: list[TriggerItem]
    kinds: list[str] = []
    availability: str | None = None


async def list_triggers(
    ctx: ToolContext,
    workflow_id: str | None = None,
    kinds: Annotated[bool, Field(description="Also kinds with their options")] = False,
) -> Annotated[CallToolResult, TriggerList]:
    """List schedules, webhooks and other triggers: state, next, last run, what was missed."""
    runtime, caller = runtime_and_caller(ctx)
    found = await runtime.triggers.list(caller, service_id=workflow_id)
    published = await listed_tools(runtime, caller, workflow_id)
    if kinds:
        known = [*map(kind_line, runtime.triggers.kinds()), KIND_LINE]
    else:
        known = []
    if found:
        availability = availability_text(runtime.status.availability())
    else:
        availability = None

    lines = [*map(trigger_line, found), *map(published_line, published)] or ["No triggers."]
    if known:
        lines += ["Kinds:", *known]
    if availability:
        lines.append(f"The runtime: {availability}")
    data = TriggerList(
        triggers=[*map(trigger_item, found), *map(published_item, published)],
        kinds=known,
        availability=availability,
    )
    return tool_result(data, "\n".join(lines))


TOOL = tool(list_triggers, title="List triggers", hints=READS, brief=True)
