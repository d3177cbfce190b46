"""`delete_workflow`: a workflow with all its versions, once a person agrees; or a draft."""

from __future__ import annotations

from typing import Annotated, Literal

from mcp_types import CallToolResult, InputRequiredResult
from pydantic import BaseModel

from codewords_mcp.door.context import DoorContext, asking
from codewords_mcp.errors import ConsentNeeded
from codewords_mcp.runtime.author_info import DRAFT_ID
from codewords_mcp.runtime.models import Consent
from codewords_mcp.tools._arguments import Subject
from codewords_mcp.tools._consent import to_agree, with_consent
from codewords_mcp.tools._tool import DESTROYS, answer, tool


class Deleted(BaseModel):
    """`needs_consent`: nothing was deleted yet; a person has to agree on the page at `consent_url`."""

    status: Literal["deleted", "needs_consent"]
    consent_url: str | None = None
    confirm: str | None = None


async def delete_workflow(
    ctx: DoorContext, workflow_id: Subject, confirm: str | None = None
) -> Annotated[CallToolResult, Deleted] | InputRequiredResult:
    """Delete a workflow, its versions and schedules, which the user must agree to; or a draft."""
    runtime, caller = asking(ctx)
    if DRAFT_ID.fullmatch(workflow_id):
        await runtime.delete_draft(caller, workflow_id)
        return answer(Deleted(status="deleted"), "The draft is deleted.")

    async def attempt(yes: str | None) -> str | ConsentNeeded:
        try:
            return await runtime.delete_workflow(caller, workflow_id, consent=Consent(confirm=yes))
        except ConsentNeeded as question:
            return question

    done = await with_consent(ctx, attempt, confirm)
    if isinstance(done, InputRequiredResult):
        return done
    if isinstance(done, ConsentNeeded):
        data = Deleted(status="needs_consent", consent_url=done.url, confirm=done.confirm)
        return answer(data, "\n".join(to_agree(done, "delete_workflow")))
    await ctx.notify_resources_changed()
    await ctx.session.send_resource_list_changed()
    return answer(Deleted(status="deleted"), f"{workflow_id} is deleted. Its runs stay on record.")


TOOL = tool(delete_workflow, title="Delete workflow", hints=DESTROYS, administers=True)
