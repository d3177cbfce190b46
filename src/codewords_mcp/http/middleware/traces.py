"""A span for each request and websocket, where spans are exported: named by its route, with its status, in its caller's trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codewords_mcp.http.state import OPERATION

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime

_UNTRACED: Final = ("/healthz", "/readyz", "/metrics", "/events", "/console/assets/")
"""Beginnings of paths whose requests come all the time, or last as long as a page is open."""

_RESPONSES: Final = frozenset({"http.response.start", "websocket.http.response.start"})
_SWITCHED: Final = 101
"""The status of an accepted handshake (RFC 6455, 4.2.2)."""


class TracedRequests:
    """Stands around everything else, so that a span sees refusals and errors as the client does."""

    def __init__(self, app: ASGIApp, runtime: Runtime) -> None:
        self.app = app
        self._runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan" or scope["path"].startswith(_UNTRACED):
            await self.app(scope, receive, send)
            return
        spans = await self._runtime.tracing.request_spans()
        if spans is None:
            await self.app(scope, receive, send)
            return

        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] in _RESPONSES:
                status = message["status"]
            elif message["type"] == "websocket.accept":
                status = _SWITCHED
            await send(message)

        # The span of a websocket is that of its handshake, and lasts as long as the connection.
        with spans.request(scope.get("method", "GET"), scope["headers"]) as span:
            try:
                await self.app(scope, receive, sending)
            finally:
                operation = scope.get(OPERATION)
                route = operation.name.partition(" ")[2] if operation is not None else ""
                span.finish(route, status)
