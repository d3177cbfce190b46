"""Counts responses and the time until their heads, for `/metrics`."""

from __future__ import annotations

import time
from typing import Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codewords_mcp.runtime.model.measures import Measures

Entrance = Literal["public", "sandbox", "pages"]
"""The runtime's own address, the listener of sandboxes, and the origins of workflows."""


class MeasuredRequests:
    """Stands around everything else, so that it sees refusals and errors as the client does."""

    def __init__(self, app: ASGIApp, measures: Measures, listener: Entrance) -> None:
        self.app = app
        self._measures = measures
        self._listener = listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        # A websocket has no head of a response, unless it is refused.
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        began = time.perf_counter()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                took = time.perf_counter() - began
                self._measures.count_response(self._listener, message["status"], took)
            await send(message)

        await self.app(scope, receive, sending)
