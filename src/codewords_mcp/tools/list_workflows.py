"""`list_workflows`: list deployed workflows and drafts."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import BaseModel

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.text import fence, one_line
from codewords_mcp.mcp_server.tool import READS, tool, tool_result
from codewords_mcp.tools._arguments import Cursor, Limit


class WorkflowItem(BaseModel):
    """A deployed workflow."""

    workflow_id: str
    name: str
    version: int
    url: str
    description: str | None = None


class DraftItem(BaseModel):
    """A draft: code that is not deployed."""

    draft_id: str
    name: str
    revision: int
    ready: bool
    workflow_id: str | None = None


class WorkflowList(BaseModel):
    """A page of workflows; drafts on the first."""

    workflows: list[WorkflowItem]
    drafts: list[DraftItem] | None = None
    next_cursor: str | None = None


async def list_workflows(
    ctx: ToolContext, query: str = "", limit: Limit = 20, cursor: Cursor = None
) -> Annotated[CallToolResult, WorkflowList]:
    """List deployed workflows and drafts, or find them by text."""
    runtime, caller = runtime_and_caller(ctx)
    page = await runtime.workflows.list(caller, query=query, limit=limit, cursor=cursor)
    items = [
        WorkflowItem(
            workflow_id=w.service_id,
            name=one_line(w.name, 80),
            version=w.version,
            url=w.url,
            description=one_line(w.description, 160) or None,
        )
        for w in page.items
    ]
    lines = [
        f"{w.workflow_id} v{w.version}: {w.name}" + (f". {w.description}" if w.description else "")
        for w in items
    ]

    if cursor:
        drafts = []
    else:
        drafts = await runtime.drafts.list(caller)

    matching = [
        DraftItem(
            draft_id=d.draft_id,
            name=one_line(d.name, 80),
            revision=d.revision,
            ready=d.ready,
            workflow_id=d.workflow_id,
        )
        for d in drafts
        if query.lower() in f"{d.name} {d.description} {d.draft_id}".lower()
    ][:limit]
    lines += [
        f"{d.draft_id} revision {d.revision}: {d.name}, "
        + ("passes its checks" if d.ready else "does not pass its checks")
        + (f", of {d.workflow_id}" if d.workflow_id else "")
        for d in matching
    ]
    if lines:
        lines = [fence("Workflows and drafts", "\n".join(lines), len("\n".join(lines)) + 1)]
    if page.next_cursor:
        lines.append(f'More: cursor="{page.next_cursor}"')
    return tool_result(
        WorkflowList(workflows=items, drafts=matching or None, next_cursor=page.next_cursor),
        "\n".join(lines) or "No workflows.",
    )


TOOL = tool(list_workflows, title="List workflows", hints=READS, brief=True)
