"""Messages that are answered within milliseconds: the SDK's plain answer, without a stream that is never used.

For each message of 2026-07-28 the SDK makes a group of tasks, a channel for notifications, and a watch over its client, and
cancels them a moment later: a fifth of a call. What sends no progress and ends at once needs none. A client that hangs up
meanwhile loses its answer, as it would have.
"""

from __future__ import annotations

from typing import Any

from mcp.server._streamable_http_modern import handle_modern_request
from mcp.server.mcpserver import MCPServer
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.types import Receive, Scope, Send

from codewords_mcp.mcp_server.context import ServerState
from codewords_mcp.mcp_server.tool import McpTool

_METHODS = frozenset({b"tools/list", b"prompts/list", b"resources/templates/list", b"server/discover"})
_VERSIONS = frozenset(version.encode() for version in MODERN_PROTOCOL_VERSIONS)
_MAX_BODY = 64 << 10


class BriefMessages:
    """Serves a server's messages of this kind. Its headers name a message; the SDK refuses a body that says otherwise."""

    def __init__(self, server: MCPServer[ServerState]) -> None:
        self._server = server._lowlevel_server  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        tools = server._tool_manager.list_tools()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self._tools = frozenset(
            tool.name.encode() for tool in tools if isinstance(tool, McpTool) and tool.is_brief
        )

    def takes(self, scope: Scope) -> bool:
        """Whether a request is one of these, by its headers."""
        # Of a header that is there twice the last one counts here, and the SDK refuses the request.
        headers: dict[bytes, bytes] = dict(scope["headers"])
        method = headers.get(b"mcp-method")
        size = headers.get(b"content-length", b"")
        return (
            scope["method"] == "POST"
            and headers.get(b"mcp-protocol-version") in _VERSIONS
            and (method in _METHODS or (method == b"tools/call" and headers.get(b"mcp-name") in self._tools))
            # As the protocol wants it; the SDK asks for less where it answers plainly.
            and b"text/event-stream" in headers.get(b"accept", b"")
            # The connection reads no more than that: the body needs no other bound.
            and size.isdigit()
            and len(size) < 6
            and int(size) <= _MAX_BODY
        )

    async def handle(self, state: Any, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that `takes` was true for. `state`: what the server's lifespan yielded."""
        await handle_modern_request(self._server, None, True, state, scope, receive, send)
