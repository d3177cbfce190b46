"""`review_workflow`: review a workflow against the practices, with its permissions and last runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.errors import protocol_errors
from codewords_mcp.mcp_server.text import fence, fence_code

TITLE = "Review a workflow"

_MAX_CAPABILITIES = 4_000
_CHECKLIST = """\
Look for, in this order, and give the line with each finding: wrong results; errors that are swallowed or told unclearly;
secrets that are logged or written down; what breaks when it is run twice or many times at once; blocking calls; input that
is not bounded; what a run may cost; what it may reach and does not need. Say what is good in one sentence. Change nothing
before the user agrees; then edit_workflow with small edits. read_practice has a page on each of: """


@protocol_errors
async def review_workflow(
    workflow_id: Annotated[str, Field(description="The workflow to review")], ctx: ToolContext
) -> str:
    """Review a workflow's code and behaviour."""
    runtime, caller = runtime_and_caller(ctx)
    detail = await runtime.workflows.get(caller, workflow_id, include_code=True)
    runs = ", ".join(f"{run.id} {run.status}" for run in detail.last_runs) or "none yet"

    return "\n\n".join(
        [
            f"Review the workflow {workflow_id}, version {detail.version}.",
            f"{_CHECKLIST}{', '.join(runtime.authoring.practice_topics())}.",
            fence("It may", "\n".join(detail.capabilities), _MAX_CAPABILITIES),
            f"Last runs: {runs}",
            # The limit is the code's own length: a review of half a file would be wrong.
            fence_code(detail.code or ""),
        ]
    )


PROMPT = review_workflow
