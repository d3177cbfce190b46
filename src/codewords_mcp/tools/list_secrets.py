"""`list_secrets`: names, never values."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import BaseModel

from codewords_mcp.door.context import DoorContext, asking
from codewords_mcp.tools._tool import READS, answer, tool


class SecretItem(BaseModel):
    """A secret without its value."""

    name: str
    updated_at: str
    used_by: list[str]


class SecretList(BaseModel):
    """All secrets of the caller."""

    secrets: list[SecretItem]


async def list_secrets(ctx: DoorContext) -> Annotated[CallToolResult, SecretList]:
    """List the names of stored secrets and the workflows that use them; values are never shown."""
    runtime, caller = asking(ctx)
    found = sorted(await runtime.list_secrets(caller), key=lambda secret: secret.name)
    items = [
        SecretItem(name=s.name, updated_at=s.updated_at.isoformat(timespec="seconds"), used_by=s.used_by)
        for s in found
    ]
    lines = [f"{s.name}" + (f" (used by {', '.join(s.used_by)})" if s.used_by else "") for s in items]
    return answer(SecretList(secrets=items), "\n".join(lines) or "No secrets.")


TOOL = tool(list_secrets, title="List secrets", hints=READS, administers=True)
