"""Headers that let a browser's page of another origin call this runtime (the Fetch standard's CORS protocol).

Only origins that the Host and Origin check trusts are told anything; the key is asked for as ever. This is the
outermost layer, so that such a page can read our errors too.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from codewords_mcp.http.middleware.headers import first
from codewords_mcp.http.middleware.hosts import Trust

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_EXPOSED = ("X-Request-Id", "Error-Origin", "Retry-After", "Content-Disposition", "Mcp-Session-Id")


class Cors(CORSMiddleware):
    """Answers preflights of trusted origins, which carry no key, and marks answers as readable for them."""

    def __init__(self, app: ASGIApp, trust: Trust) -> None:
        super().__init__(
            app,
            allow_methods=_METHODS,
            allow_headers=["*"],
            allow_private_network=True,
            expose_headers=_EXPOSED,
        )
        self._trust = trust

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Requests of other origins pass as they are, to the Origin check."""
        if scope["type"] == "http":
            origin = first(scope["headers"], b"origin")
        else:
            origin = None

        if origin is not None and self.is_allowed_origin(origin.decode("latin-1")):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    @override
    def is_allowed_origin(self, origin: str) -> bool:
        """Whether an origin is trusted and not our own."""
        return self._trust.is_foreign_but_trusted(origin.lower())

    @override
    def preflight_response(self, request_headers: Headers) -> Response:
        """The permissions, without a body. The browser compares them with what it wants to send."""
        allowed = super().preflight_response(request_headers)
        # They are of Starlette's body, a text.
        del allowed.headers["content-type"], allowed.headers["content-length"]
        return Response(status_code=204, headers=allowed.headers)

    @override
    async def send(self, message: Message, send: Send, request_headers: Headers) -> None:
        """Send a message of the app. A workflow that speaks CORS has the last word on its own answers."""
        if message["type"] == "http.response.start" and first(
            message["headers"], b"access-control-allow-origin"
        ):
            await send(message)
        else:
            await super().send(message, send, request_headers)
