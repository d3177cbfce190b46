"""The MCP server with its tools, resources and prompts, as the application that the HTTP API mounts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from mcp.server.mcpserver import MCPServer
from starlette.types import ASGIApp

from codewords_mcp.mcp_server import http_transport
from codewords_mcp.mcp_server import server as mcp_server
from codewords_mcp.mcp_server.context import ServerState
from codewords_mcp.mcp_server.limits import DEFAULT_LIMITS, ServerLimits
from codewords_mcp.mcp_server.tool import McpTool
from codewords_mcp.prompts import add_prompts
from codewords_mcp.resources import add_resources
from codewords_mcp.resources.cards import Cards
from codewords_mcp.resources.recent import complete, list_recent
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.settings import Settings
from codewords_mcp.tools import all_tools
from codewords_mcp.tools._published import WorkflowTool

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime


def create_server(
    runtime: Runtime,
    settings: Settings,
    *,
    caller: Caller | None = None,
    more: Sequence[McpTool] = (),
    limits: ServerLimits = DEFAULT_LIMITS,
) -> MCPServer[ServerState]:
    """Make the server with every tool, resource and prompt of this product. See `mcp_server.server.create_server`."""
    contents = mcp_server.ServerContents(
        tools=all_tools(),
        to_tool=WorkflowTool.of,
        register=_register,
        list_resources=list_recent,
        complete=complete,
        extensions=lambda: [Cards()],
    )
    return mcp_server.create_server(runtime, settings, contents, caller=caller, more=more, limits=limits)


def create_mcp_app(
    runtime: Runtime, settings: Settings, limits: ServerLimits = DEFAULT_LIMITS
) -> tuple[ASGIApp, Callable[[], AbstractAsyncContextManager[None]]]:
    """Make the application and its lifespan. See `mcp_server.http_transport.serve_http`."""
    return http_transport.serve_http(create_server(runtime, settings, limits=limits), settings)


def _register(server: MCPServer[ServerState]) -> None:
    add_resources(server)
    add_prompts(server)
