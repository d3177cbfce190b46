"""`delete_secret`: forget a secret."""

from __future__ import annotations

from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import BaseModel

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.tool import DESTROYS, tool, tool_result
from codewords_mcp.runtime.model.plain_text import item, quoted


class DeletedSecret(BaseModel):
    """The secret that is gone."""

    name: str


async def delete_secret(ctx: ToolContext, name: str) -> Annotated[CallToolResult, DeletedSecret]:
    """Delete a secret for good. Workflows that need it will fail."""
    runtime, caller = runtime_and_caller(ctx)
    await runtime.secrets.delete(caller, name)
    return tool_result(DeletedSecret(name=name), f"Deleted {name}.")


async def _question(ctx: ToolContext, arguments: dict[str, Any]) -> str | None:
    runtime, caller = runtime_and_caller(ctx)
    name = arguments["name"]
    secret = await runtime.secrets.find(caller, name)
    if not secret and not name.isidentifier():
        # It may be a value typed by mistake, which no question should repeat. The deletion says that there is none.
        return None
    if users := secret.used_by if secret else []:
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
