"""`rollback_workflow`: another version becomes live at once."""

from __future__ import annotations

from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from codewords_mcp.door.context import DoorContext, asking
from codewords_mcp.runtime.plain import quoted
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


async def _question(ctx: DoorContext, arguments: dict[str, Any]) -> str | None:
    """Nobody is asked about what is not there, or is live already. Raises NotFound."""
    runtime, caller = asking(ctx)
    wanted = arguments["version"]
    found = await runtime.get_workflow(caller, arguments["workflow_id"])
    live = next((one.version for one in found.versions if one.active), None)
    if wanted == live:
        return None
    await runtime.get_workflow(caller, found.service_id, version=wanted)
    return f"Make version {wanted} of the workflow {quoted(found.name, 80)} live, in place of version {live}?"


TOOL = tool(
    rollback_workflow,
    title="Roll back workflow",
    hints=DESTROYS,
    confirm=_question,
)
