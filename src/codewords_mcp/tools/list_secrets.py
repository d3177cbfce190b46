"""`list_secrets`: list names of secrets, never values."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import BaseModel

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.tool import READS, tool, tool_result
from codewords_mcp.tools._arguments import Cursor, Limit


class SecretItem(BaseModel):
    """A secret without its value."""

    name: str
    updated_at: str
    used_by: list[str]
    hosts: list[str]
    """Hosts that get the value; empty: the workflows get it themselves."""


class SecretList(BaseModel):
    """Secrets of the caller by name; `next_cursor` is None at the end."""

    secrets: list[SecretItem]
    next_cursor: str | None = None


async def list_secrets(
    ctx: ToolContext, limit: Limit = 100, cursor: Cursor = None
) -> Annotated[CallToolResult, SecretList]:
    """List secrets: names, hosts, workflows; never values."""
    runtime, caller = runtime_and_caller(ctx)
    page = await runtime.secrets.page(caller, limit=limit, cursor=cursor)
    items = [
        SecretItem(
            name=s.name,
            updated_at=s.updated_at.isoformat(timespec="seconds"),
            used_by=s.used_by,
            hosts=s.hosts,
        )
        for s in page.items
    ]
    lines = [_line(s) for s in items]
    if page.next_cursor:
        lines.append(f'More: cursor="{page.next_cursor}"')

    return tool_result(
        SecretList(secrets=items, next_cursor=page.next_cursor), "\n".join(lines) or "No secrets."
    )


def _line(secret: SecretItem) -> str:
    if secret.hosts:
        use = f"goes to {', '.join(secret.hosts)}"
    else:
        use = "readable by workflows"
    return f"{secret.name}: {use}" + (f"; used by {', '.join(secret.used_by)}" if secret.used_by else "")


TOOL = tool(list_secrets, title="List secrets", hints=READS, brief=True)
