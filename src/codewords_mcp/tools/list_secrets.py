"""`list_secrets`: list names of secrets, never values."""

from __future__ import annotations

import operator
from typing import Annotated

from mcp_types import CallToolResult
from pydantic import BaseModel

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.tool import READS, tool, tool_result


class SecretItem(BaseModel):
    """A secret without its value."""

    name: str
    updated_at: str
    used_by: list[str]
    hosts: list[str]
    """Hosts that get the value; empty: the workflows get it themselves."""


class SecretList(BaseModel):
    """All secrets of the caller."""

    secrets: list[SecretItem]


async def list_secrets(ctx: ToolContext) -> Annotated[CallToolResult, SecretList]:
    """List secrets: names, hosts, workflows; never values."""
    runtime, caller = runtime_and_caller(ctx)
    found = sorted(await runtime.secrets.list(caller), key=operator.attrgetter("name"))
    items = [
        SecretItem(
            name=s.name,
            updated_at=s.updated_at.isoformat(timespec="seconds"),
            used_by=s.used_by,
            hosts=s.hosts,
        )
        for s in found
    ]
    lines = [_line(s) for s in items]

    return tool_result(SecretList(secrets=items), "\n".join(lines) or "No secrets.")


def _line(secret: SecretItem) -> str:
    if secret.hosts:
        use = f"goes to {', '.join(secret.hosts)}"
    else:
        use = "readable by workflows"
    return f"{secret.name}: {use}" + (f"; used by {', '.join(secret.used_by)}" if secret.used_by else "")


TOOL = tool(list_secrets, title="List secrets", hints=READS)
