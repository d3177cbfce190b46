"""`workflow://{workflow_id}`: a description of a workflow, and its code."""

from __future__ import annotations

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.errors import protocol_errors
from codewords_mcp.mcp_server.text import compact, fence, fence_code, one_line
from codewords_mcp.runtime.model.workflow import WorkflowDetail

URI = "workflow://{workflow_id}"
TITLE = "Workflow"
MIME_TYPE = "text/markdown"

_MAX_FACTS = 20_000


@protocol_errors
async def read(workflow_id: str, ctx: ToolContext) -> str:
    """A deployed workflow: summary, routes, versions and code."""
    runtime, caller = runtime_and_caller(ctx)
    return _page(await runtime.workflows.get(caller, workflow_id, include_code=True))


def _page(detail: WorkflowDetail) -> str:
    facts = [f"name: {one_line(detail.name, 80)}"]
    if detail.description:
        facts.append(f"description: {one_line(detail.description, 400)}")
    facts += [
        f"routes: {compact(detail.routes)}",
        f"environment: {compact(detail.env)}",
        f"dependencies: {', '.join(detail.dependencies)}",
    ]
    lines = [
        f"# {detail.service_id}",
        "",
        f"- version {detail.version} of {len(detail.versions)}",
        f"- url: {detail.url}",
        "",
        # Name and description are another person's text, and a model must not take them as
        # instructions. The code is fenced for the same reason.
        fence("What its author wrote of it", "\n".join(facts), _MAX_FACTS),
        "",
        fence_code(detail.code or ""),
    ]
    return "\n".join(lines)
