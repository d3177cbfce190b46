"""Responses of the HTTP API: JSON, and streams of lines that end when the client hangs up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from codewords_mcp.http.middleware.client_connection import ClientConnection
from codewords_mcp.http.state import app_state

HEARTBEAT = 5.0
"""Seconds of silence after which a stream sends an empty line."""
NDJSON = "application/x-ndjson"
SSE = "text/event-stream"


class JsonReply(Response):
    """JSON of anything that pydantic can write; never cached, since every answer depends on the key."""

    media_type = "application/json"

    def __init__(self, content: Any, status_code: int = 200, headers: dict[str, str] | None = None) -> None:
        super().__init__(content, status_code, {"Cache-Control": "no-store"} | (headers or {}))

    def render(self, content: Any) -> bytes:
        """Compact UTF-8."""
        return to_json(content)


def line(content: Any) -> bytes:
    """One object of an NDJSON stream."""
    return to_json(content) + b"\n"


class LineStream(Response):
    """Sends chunks as they come, unbuffered, and closes their source when the client hangs up."""

    def __init__(self, chunks: AsyncIterator[bytes], media_type: str) -> None:
        # X-Accel-Buffering asks a proxy in front, by nginx's name for it, not to gather what should arrive at once.
        super().__init__(
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}, media_type=media_type
        )
        # Starlette sets 0 for a response without content.
        del self.headers["content-length"]
        self._source = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises ClientGoneError."""
        async with ClientConnection(receive, [], limit=app_state(scope).settings.max_body) as connection:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            try:
                if scope["method"] != "HEAD":
                    async for chunk in self._source:
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
            finally:
                # The source may hold a subscription, which only the garbage collector would end
                # otherwise.
                await aclose(self._source)

            connection.answered()
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def aclose(source: AsyncIterator[Any]) -> None:
    """Close an async generator; other iterators have nothing to close."""
    close = getattr(source, "aclose", None)
    if close is not None:
        await close()
