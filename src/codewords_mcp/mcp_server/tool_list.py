"""What a request sees of the tools: ours and its owner's published workflows, as far as it may call them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.tools import Tool
from mcp.server.subscriptions import SubscriptionBus
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
)
from mcp_types import Tool as ListedTool

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.mcp_server.access import TOOLSETS, access_of
from codewords_mcp.mcp_server.context import RequestContext, ServerState, caller_of
from codewords_mcp.mcp_server.tool import McpTool
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

    def serve(self, server: MCPServer[ServerState]) -> None:
        """The server whose tools these are, once it is made."""
        self._server = server

    def add(self, tool: McpTool) -> None:
        """One more tool for everybody."""
        self._own[tool.name] = tool

    async def list(self, ctx: RequestContext, _: PaginatedRequestParams) -> ListToolsResult:
        """Ours in their order, then what is published, by name."""
        access = access_of(ctx)
        tools: list[McpTool] = [*self._own.values(), *await self._published(ctx)]
        known = {*TOOLSETS, *(tool.toolset for tool in tools)}
        if unknown := sorted({name for names in access.narrowed_to() for name in names} - known):
            raise InvalidInput(
                f"There is no toolset {unknown[0]}.", hint=f"There are {', '.join(sorted(known))}."
            )
        return ListToolsResult(tools=[_listed(tool) for tool in tools if access.shows(tool.rule)])

    async def find(self, ctx: RequestContext, name: str) -> McpTool:
        """The tool of this name that this request may call. Raises NotFound, Forbidden."""
        tool = self._own.get(name) or next(
            (published for published in await self._published(ctx) if published.name == name), None
        )
        if tool is None:
            if name.isidentifier() and len(name) <= 64:
                shown = f" {name}"
            else:
                shown = " of that name"

            raise NotFound(f"There is no tool{shown}.", hint="tools/list has those that there are.")

        access_of(ctx).require(tool.rule)
        return tool

    async def call(
        self, ctx: RequestContext, params: CallToolRequestParams, tool: McpTool
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool that was found; what it raises is a result, but for errors of the protocol."""
        context: Any = Context(
            request_context=ctx, mcp_server=self._server, input_params=params, subscriptions=self._bus
        )
        return await tool.run(params.arguments or {}, context, convert_result=True)

    async def _published(self, ctx: RequestContext) -> list[McpTool]:
        runtime, caller = ctx.lifespan_context.runtime, caller_of(ctx)
        if caller.kind == "run":  # none of them is for runs (`published_rule`)
            return []
        return [self._to_tool(published) for published in await runtime.published_tools(caller)]


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
