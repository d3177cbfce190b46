"""`delete_secret`: forget a secret."""

from __future__ import annotations

from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import BaseModel

from codewords_mcp.mcp_server.context import DoorContext, asking
from codewords_mcp.mcp_server.tool import DESTROYS, answer, tool
from codewords_mcp.runtime.model.plain_text import item, quoted


class DeletedSecret(BaseModel):
    """The secret that is gone."""

    name: str


async def delete_secret(ctx: DoorContext, name: str) -> Annotated[CallToolResult, DeletedSecret]:
    """Delete a secret for good. Workflows that need it will fail."""
    runtime, caller = asking(ctx)
    await runtime.delete_secret(caller, name)
    return answer(DeletedSecret(name=name), f"Deleted {name}.")


async def _question(ctx: DoorContext, arguments: dict[str, Any]) -> str:
    runtime, caller = asking(ctx)
    name = arguments["name"]
    users = [user for one in await runtime.list_secrets(caller) if one.name == name for user in one.used_by]
    if users:
        needed = f" These workflows need it: {', '.join(quoted(user, 60) for user in users[:10])}."
    else:
        needed = ""
    return f"Delete the secret {item(name, 64)} for good?{needed}"


TOOL = tool(
    delete_secret,
    title="Delete secret",
    hints=DESTROYS,
    confirm=_question,
)
