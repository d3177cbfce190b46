"""`build_workflow`: from a sentence to a deployed workflow that was run once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from codewords_mcp.door.context import DoorContext, asking
from codewords_mcp.door.errors import protocol_errors

TITLE = "Build a workflow"

_STEPS = """\
Steps:
1. generate_workflow with this description. If it answers with a draft, go to step 3.
2. Else write the file by the rules below and send it once: edit_workflow(code=…). Repair what it reports by edits of the
   draft, until it passes its checks.
3. list_secrets; call set_secret for each name that is missing. Keys are typed on its page, never into the chat.
4. deploy_workflow(draft_id=…) with a short name and description.
5. run_workflow with a realistic input, and compare the result with what was asked. If it failed, get_run tells why;
   edit_workflow(workflow_id=…), deploy again.
6. Tell the user the URL, what it takes and returns, and the curl line.
"""


@protocol_errors
async def build_workflow(
    description: Annotated[str, Field(description="What the workflow should do")], ctx: DoorContext
) -> str:
    """Write, check, deploy and try a workflow."""
    runtime, caller = asking(ctx)
    brief = await runtime.brief(caller, description)
    services = "\n".join(brief.services) or "(none)"
    return (
        f"Build a CodeWords workflow that does this:\n\n{description.strip()}\n\n{_STEPS}\n"
        f"Rules:\n\n{brief.rules}\nServices that may help:\n{services}\n\n"
        f"The nearest template is {brief.template_id} (list_templates)."
    )


PROMPT = build_workflow
