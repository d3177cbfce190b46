"""Search of the tools of an owner's servers: an index in memory, built anew after a change."""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Iterator

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.common.json_parts import list_of, object_of
from codewords_mcp.runtime.integrations.search import ActionIndex
from codewords_mcp.runtime.model.integration import App, Hit
from codewords_mcp.runtime.model.mcp import METHODS, AgreedTool, McpServer, hit_of_tool
from codewords_mcp.runtime.store import mcp_servers as rows
from codewords_mcp.runtime.store.database import Database

MAX_INDEXES = 50
"""Owners whose index is cached."""
_MAX_PARAMETERS, _MAX_CHARACTERS, _MAX_DEPTH = 200, 8000, 4
"""Limits of what is read of one tool's input schema."""
_DESCRIPTION_WEIGHT = 0.8
"""Tools have terser names and better descriptions than a broker's actions (`benchmarks/mcp_broker.py`, `tool_search.py`)."""


class ToolIndexes:
    """The indexes of all owners. For one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache: OrderedDict[str, tuple[tuple[int, int, int], ActionIndex]] = OrderedDict()

    async def of(self, owner: str) -> ActionIndex | None:
        """Return the owner's index; None without servers."""
        version = await self._database.read(rows.version, owner)
        if not version[0]:
            return None
        cached = self._cache.get(owner)
        if cached is None or cached[0] != version:
            servers = [server for server in await self._database.read(rows.all_of, owner) if server.agreed]
            tools = [
                tool for server in servers for tool in await self._database.read(rows.tools, server, owner)
            ]
            # In a thread: an index of thousands of tools takes a noticeable time to build.
            cached = (version, await asyncio.to_thread(build_tool_index, servers, tools))
            self._cache[owner] = cached

        self._cache.move_to_end(owner)
        while len(self._cache) > MAX_INDEXES:
            self._cache.popitem(last=False)
        return cached[1]


def build_tool_index(servers: list[McpServer], tools: list[AgreedTool]) -> ActionIndex:
    """Build an index of these servers' tools."""
    # Every server has the same words for its resources and prompts: they would stand before what a question means.
    named = (tool for tool in tools if tool.now is None or tool.now.name not in METHODS)
    return ActionIndex.of(map(app_of_server, servers), map(_entry, named), described=_DESCRIPTION_WEIGHT)


def app_of_server(server: McpServer) -> App:
    """A server as an app of integrations."""
    plain = server.name.replace("_", " ")
    return App(
        slug=server.app,
        name=server.title or plain,
        description=f"MCP server {server.url}",
        words=f"{plain} {server.title}",
        auth={"none": "none", "token": "keys", "sign_in": "oauth"}[server.auth],  # pyright: ignore[reportArgumentType]
    )


def _entry(tool: AgreedTool) -> tuple[Hit, str, str]:
    if tool.now is None:
        return hit_of_tool(tool), "", ""
    words = itertools.islice(_parameters(tool.now.input_schema), _MAX_PARAMETERS)
    return hit_of_tool(tool), tool.now.description, " ".join(words)[:_MAX_CHARACTERS]


def _parameters(schema: JsonValue, depth: int = 0) -> Iterator[str]:
    """Names, descriptions and choices of the fields of a schema and of what is in them."""
    if depth > _MAX_DEPTH:
        return
    described = object_of(schema)
    for name, field in object_of(described.get("properties")).items():
        facts = object_of(field)
        yield f"{name} {facts.get('title') or ''} {facts.get('description') or ''}"
        yield " ".join(str(choice) for choice in list_of(facts.get("enum")))
        yield from _parameters(facts, depth + 1)
    if "items" in described:
        yield from _parameters(described["items"], depth + 1)
