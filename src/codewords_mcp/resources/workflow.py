"""`workflow://{workflow_id}`: what a workflow is, and its code."""

from __future__ import annotations

from codewords_mcp.door.context import DoorContext, asking
from codewords_mcp.door.errors import protocol_errors
from codewords_mcp.door.text import compact, one_line
from codewords_mcp.runtime.models import WorkflowDetail

URI = "workflow://{workflow_id}"
TITLE = "Workflow"
MIME_TYPE = "text/markdown"


@protocol_errors
async def read(workflow_id: str, ctx: DoorContext) -> str:
    """A deployed workflow: summary, routes, versions and code."""
    runtime, caller = asking(ctx)
    return _page(await runtime.get_workflow(caller, workflow_id, include_code=True))


def _page(detail: WorkflowDetail) -> str:
    lines = [
        f"# {one_line(detail.name, 80)}",
        "",
        *([one_line(detail.description, 400), ""] if detail.description else []),
        f"- id: {detail.service_id}, version {detail.version} of {len(detail.versions)}",
        f"- url: {detail.url}",
        f"- routes: {compact(detail.routes)}",
        f"- environment: {compact(detail.env)}",
        f"- dependencies: {', '.join(detail.dependencies)}",
        "",
        "```python",
        detail.code or "",
        "```",
    ]
    return "\n".join(lines)
