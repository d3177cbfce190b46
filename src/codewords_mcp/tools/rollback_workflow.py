"""`rollback_workflow`: another version becomes live at once."""

from __future__ import annotations

from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from codewords_mcp.door.context import DoorContext, asking
from codewords_mcp.door.text import one_line
from codewords_mcp.tools._arguments import WorkflowId
from codewords_mcp.tools._tool import DESTROYS, answer, tool


class RolledBack(BaseModel):
    """The version that is live now."""

    workflow_id: str
    version: int
    url: str


async def rollback_workflow(
    ctx: DoorContext,
    workflow_id: WorkflowId,
    version: Annotated[int, Field(ge=1, description="From get_workflow")],
) -> Annotated[CallToolResult, RolledBack]:
    """Make another version of a workflow live at once. No version is lost."""
    runtime, caller = asking(ctx)
    live = await runtime.rollback(caller, workflow_id, version)
    data = RolledBack(workflow_id=live.service_id, version=live.version, url=live.url)
    return answer(data, f"Version {live.version} of {live.service_id} is live at {live.url}")


async def _question(_: DoorContext, arguments: dict[str, Any]) -> str:
    workflow = one_line(arguments["workflow_id"], 80)
    return f"Make version {arguments['version']} of {workflow} live, in place of the one that serves now?"


TOOL = tool(
    rollback_workflow,
    title="Roll back workflow",
    hints=DESTROYS,
    confirm=_question,
)
