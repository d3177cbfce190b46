"""uvicorn's websockets, without its error line for each handshake that was refused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One connection. `ended` is set at its end."""

    def __init__(self, *, ended: asyncio.Future[None] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._ended = ended

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        super().connection_lost(exc)
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    async def send(self, message: ASGISendEvent) -> None:
        """Send a message of the application."""
        await super().send(message)
        # uvicorn takes a handshake that was refused by a whole response for one that nobody answered. Anybody could
        # fill the log with such lines, since refusing takes no key.
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True
