"""`rollback_workflow`: make another version live at once."""

from __future__ import annotations

from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.tool import DESTROYS, tool, tool_result
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.questions import Question, of_rollback
from codewords_mcp.tools._arguments import WorkflowId
from codewords_mcp.tools._workflow_calls import page_line


class RollbackResult(BaseModel):
    """The new live version."""

    workflow_id: str
    version: int
    url: str


async def rollback_workflow(
    ctx: ToolContext,
    workflow_id: WorkflowId,
    version: Annotated[int, Field(ge=1, description="From get_workflow")],
) -> Annotated[CallToolResult, RollbackResult]:
    """Make another version of a workflow live at once. No version is lost."""
    runtime, caller = runtime_and_caller(ctx)
    live = await runtime.workflows.rollback(caller, workflow_id, version)
    data = RollbackResult(workflow_id=live.service_id, version=live.version, url=live.url)
    lines = [f"Version {live.version} of {live.service_id} is live at {live.url}"]
    detail = await runtime.workflows.get(caller, live.service_id)
    if page := page_line(live.service_id, detail.routes, runtime.base_url):
        lines.append(page)
    return tool_result(data, "\n".join(lines))


async def _question(ctx: ToolContext, arguments: dict[str, Any]) -> Question | None:
    """Return the question; None if the version is live already. Raises NotFound.

    A version with more permissions than the live one was agreed to earlier, and perhaps withdrawn
    since, so the question lists them.
    """
    runtime, caller = runtime_and_caller(ctx)
    version = arguments["version"]
    found = await runtime.workflows.get(caller, arguments["workflow_id"])
    if version == found.version:
        return None

    other = await runtime.workflows.get(caller, found.service_id, version=version)
    widening = other.manifest and other.manifest.widens(found.manifest or Manifest())
    return of_rollback(caller.owner, found.name, found.service_id, version, found.version, widening)


TOOL = tool(
    rollback_workflow,
    title="Roll back workflow",
    hints=DESTROYS,
    confirm=_question,
)
