"""Lists of tools as servers give them, read in bounds: pages, numbers, sizes, and names that are names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from codewords_mcp.errors import UpstreamFailed
from codewords_mcp.runtime.integrations.mcp.methods import method_tools
from codewords_mcp.runtime.model.mcp import (
    MAX_DESCRIPTION,
    MAX_SCHEMA_BYTES,
    METHODS,
    TOOL_NAME,
    ServerTool,
    tool_digest,
)

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import Tool

MAX_TOOLS = 1_000
MAX_PAGES = 100


async def read_tools(client: Client) -> tuple[list[ServerTool], str]:
    """Return (the server's tools in its order, then those of its resources and prompts; its title).

    Tools that cannot be used are left out. Raises UpstreamFailed for a list without end.
    """
    methods = method_tools(client.server_capabilities)
    # A server of resources alone refuses to list tools.
    if methods and client.server_capabilities.tools is None:
        return methods, _title(client)
    return [*await _list_tools(client), *methods], _title(client)


async def _list_tools(client: Client) -> list[ServerTool]:
    from mcp_types import PaginatedRequestParams

    found: dict[str, ServerTool] = {}
    cursor: str | None = None
    seen: set[str] = set()
    for _ in range(MAX_PAGES):
        page = await client.session.list_tools(params=PaginatedRequestParams(cursor=cursor))
        for raw in page.tools:
            tool = to_server_tool(raw)
            if tool is not None:
                found.setdefault(tool.name, tool)

        cursor = page.next_cursor
        # A server that gives a cursor again would lead in a circle.
        if cursor is None or cursor in seen:
            return list(found.values())
        if len(found) > MAX_TOOLS:
            break
        seen.add(cursor)

    raise UpstreamFailed(f"The server lists more than {MAX_TOOLS} tools, which is the limit.")


def to_server_tool(raw: Tool) -> ServerTool | None:
    """Convert a tool of the protocol. None without a usable name of its own, or with fields beyond all bounds."""
    if not TOOL_NAME.fullmatch(raw.name) or raw.name.lower() in METHODS:
        return None
    if len(json.dumps(raw.input_schema)) > MAX_SCHEMA_BYTES:
        return None
    hints = raw.annotations
    description: dict[str, Any] = raw.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude={"meta", "icons"}
    )
    return ServerTool(
        name=raw.name,
        title=str(raw.title or (hints.title if hints else None) or "")[:200],
        description=str(raw.description or "")[:MAX_DESCRIPTION],
        input_schema=raw.input_schema,
        # Only what a server says in so many words: without a hint a tool counts as writing.
        reads=hints is not None and hints.read_only_hint is True,
        destroys=hints is None or hints.destructive_hint is not False,
        digest=tool_digest(description),
    )


def _title(client: Client) -> str:
    info = client.server_info
    if info is None:
        return ""
    return str(info.title or info.name)[:100]
