"""The tools of a request: built-in ones and its owner's published workflows, limited by its access."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.tools import Tool
from mcp.server.subscriptions import SubscriptionBus
from mcp.shared.inbound import X_MCP_HEADER_KEY
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
)
from mcp_types import Tool as ListedTool

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.mcp_server.access import access_of
from codewords_mcp.mcp_server.cards import RUN_CARD, beside_card, shows_cards, with_console_page
from codewords_mcp.mcp_server.context import RequestContext, ServerState, caller_of
from codewords_mcp.mcp_server.links import with_run_links
from codewords_mcp.mcp_server.tool import McpTool
from codewords_mcp.mcp_server.toolsets import TOOLSETS
from codewords_mcp.runtime.model.publishing import PublishedTool


class ToolList:
    """Handle `tools/list` and `tools/call`.

    `tools` are shown to every caller; `to_tool` makes a tool of a workflow that its owner published.
    """

    def __init__(
        self, tools: Sequence[Tool], to_tool: Callable[[PublishedTool], McpTool], bus: SubscriptionBus
    ) -> None:
        self._own = {tool.name: tool for tool in tools if isinstance(tool, McpTool)}
        self._to_tool = to_tool
        self._bus = bus
        self._server: MCPServer[ServerState] | None = None
        self._header_schemas: dict[str, dict[str, Any] | None] = {}

    def serve(self, server: MCPServer[ServerState]) -> None:
        """Set the server of these tools, once it is made."""
        self._server = server

    def add(self, tool: McpTool) -> None:
        """Add a tool for all callers."""
        self._own[tool.name] = tool

    async def list(self, ctx: RequestContext, _: PaginatedRequestParams) -> ListToolsResult:
        """List the built-in tools in their order, then published workflows by name."""
        access = access_of(ctx)
        tools: list[McpTool] = [*self._own.values(), *await self._published(ctx)]
        known = {*TOOLSETS, *(tool.toolset for tool in tools)}
        if unknown := sorted({name for names in access.narrowed_to() for name in names} - known):
            raise InvalidInput(
                f"There is no toolset {unknown[0]}.", hint=f"There are {', '.join(sorted(known))}."
            )
        # A host that doesn't know cards would give a card's tools to its model.
        cards = shows_cards(ctx)
        return ListToolsResult(
            tools=[
                _listed(tool)
                for tool in tools
                if tool.listed and access.shows(tool.rule) and (cards or not tool.for_cards)
            ]
        )

    async def find(self, ctx: RequestContext, name: str) -> McpTool:
        """Return the tool of this name, if this request may call it. Raises NotFound, Forbidden."""
        # Built-in tools first: a published workflow can't take the name of one.
        tool = self._own.get(name) or next(
            (published for published in await self._published(ctx) if published.name == name), None
        )
        if tool is None:
            if name.isidentifier() and len(name) <= 64:
                shown = f" {name}"
            else:
                shown = " of that name"

            raise NotFound(f"There is no tool{shown}.", hint="tools/list lists them.")

        access_of(ctx).require(tool.rule)
        return tool

    def header_schema(self, name: str) -> dict[str, Any] | None:
        """Return the input schema of a built-in tool with arguments that clients repeat in headers; None for all others.

        The SDK walks through the schema at each call.
        """
        if name not in self._header_schemas:
            tool = self._own.get(name)
            if tool is None:
                return None
            repeats = X_MCP_HEADER_KEY in json.dumps(tool.parameters)
            self._header_schemas[name] = tool.parameters if repeats else None
        return self._header_schemas[name]

    async def call(
        self, ctx: RequestContext, params: CallToolRequestParams, tool: McpTool
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool. Its exceptions become results, except protocol errors."""
        context: Any = Context(
            request_context=ctx, mcp_server=self._server, input_params=params, subscriptions=self._bus
        )
        result = await tool.run(params.arguments or {}, context, convert_result=True)
        if tool.card is None or not isinstance(result, CallToolResult):
            return result
        base_url = ctx.lifespan_context.runtime.base_url
        result = with_console_page(tool.card, result, base_url)
        if tool.card is RUN_CARD and not _reads_on(params):
            result = with_run_links(result, base_url, ctx)
        if shows_cards(ctx):
            return beside_card(tool.card, params.arguments or {}, result)
        return result

    async def _published(self, ctx: RequestContext) -> list[McpTool]:
        runtime, caller = ctx.lifespan_context.runtime, caller_of(ctx)
        if caller.kind == "run":  # runs may not call published tools (`published_rule`)
            return []
        return [self._to_tool(published) for published in await runtime.published.list(caller)]


def _reads_on(params: CallToolRequestParams) -> bool:
    """Whether a call asks for a part of a run, whose links came with the whole."""
    arguments = params.arguments or {}
    return params.name == "get_run" and bool(arguments.get("path") or arguments.get("offset"))


def _listed(tool: McpTool) -> ListedTool:
    return ListedTool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.parameters,
        output_schema=tool.output_schema,
        annotations=tool.annotations,
        icons=tool.icons,
        _meta=tool.meta,
    )
