"""`build_workflow`: make a deployed and tried workflow of a sentence."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.errors import protocol_errors
from codewords_mcp.mcp_server.skills import skill

TITLE = "Build a workflow"


@protocol_errors
async def build_workflow(
    description: Annotated[str, Field(description="What the workflow should do")], ctx: ToolContext
) -> str:
    """Write, check, deploy and try a workflow."""
    runtime, caller = runtime_and_caller(ctx)
    brief = await runtime.authoring.brief(caller, description)
    services = "\n".join(brief.services) or "(none)"
    return (
        f"Build a CodeWords workflow that does this:\n\n{description.strip()}\n\n{skill('build-workflow').body}\n"
        f"Services that may help:\n{services}\n\nThe nearest template is {brief.template_id} (list_templates)."
    )


PROMPT = build_workflow
