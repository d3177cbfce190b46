"""`delete_workflow`: a workflow with all its versions, once the person agrees; or a draft."""

from __future__ import annotations

from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import BaseModel

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.tool import DESTROYS, tool, tool_result
from codewords_mcp.runtime.model.authoring import DRAFT_ID
from codewords_mcp.runtime.model.plain_text import quoted
from codewords_mcp.runtime.model.workflow import Consent
from codewords_mcp.tools._arguments import Subject


class DeletedWorkflow(BaseModel):
    """The id of the deleted workflow or draft."""

    workflow_id: str


async def delete_workflow(
    ctx: ToolContext, workflow_id: Subject
) -> Annotated[CallToolResult, DeletedWorkflow]:
    """Delete a workflow with its versions, schedules and webhooks, or a draft."""
    runtime, caller = runtime_and_caller(ctx)
    if DRAFT_ID.fullmatch(workflow_id):
        await runtime.drafts.delete(caller, workflow_id)
        return tool_result(DeletedWorkflow(workflow_id=workflow_id), "The draft is deleted.")
    # The person has agreed: `TOOL` asks `_question` first.
    await runtime.workflows.delete(caller, workflow_id, consent=Consent(allow=True, way=""))
    return tool_result(
        DeletedWorkflow(workflow_id=workflow_id), f"{workflow_id} is deleted. Its runs stay on record."
    )


async def _question(ctx: ToolContext, arguments: dict[str, Any]) -> str | None:
    workflow_id = arguments["workflow_id"]
    if DRAFT_ID.fullmatch(workflow_id):
        return None
    runtime, caller = runtime_and_caller(ctx)
    found = await runtime.workflows.get(caller, workflow_id)
    deletion = await runtime.workflows.deletion(caller, workflow_id)
    paused = f" It pauses {deletion.paused}." if deletion.paused else ""
    if deletion.cancelled:
        cancelled = f" It cancels {deletion.cancelled}."
    else:
        cancelled = ""
    return (
        f"Delete the workflow {quoted(found.name, 80)} ({workflow_id}) for good, with {deletion.removed}? "
        f"Its runs stay on record.{paused}{cancelled}"
    )


TOOL = tool(
    delete_workflow,
    title="Delete workflow",
    hints=DESTROYS,
    confirm=_question,
)
