"""`delete_secret`: forget a secret."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import BaseModel

from codewords_mcp.door.context import DoorContext, asking
from codewords_mcp.tools._tool import DESTROYS, answer, tool


class Deleted(BaseModel):
    """The secret that is gone."""

    name: str


async def delete_secret(ctx: DoorContext, name: str) -> Annotated[CallToolResult, Deleted]:
    """Delete a secret for good. Workflows that need it will fail."""
    runtime, caller = asking(ctx)
    await runtime.delete_secret(caller, name)
    return answer(Deleted(name=name), f"Deleted {name}.")


TOOL = tool(delete_secret, title="Delete secret", hints=DESTROYS, administers=True)
