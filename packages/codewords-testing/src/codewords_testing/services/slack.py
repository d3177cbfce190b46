"""Slack (`/slack/…`): the Web API methods that are used, and Socket Mode with its envelopes and acknowledgements."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

# Not secrets: they open the stand-in alone.
BOT_TOKEN = "xoxb-of-the-tests"  # noqa: S105
APP_TOKEN = "xapp-of-the-tests"  # noqa: S105
SIGNING_SECRET = "slack-signing-secret-of-the-tests"  # noqa: S105
HELLO = {"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A1"}}


def _ignore_frame() -> None:
    """Until a test says what to do."""


def signed(body: bytes, at: int, secret: str = SIGNING_SECRET) -> dict[str, str]:
    """The headers with which Slack sends a body at a time."""
    digest = hmac.new(secret.encode(), b"v0:%d:%s" % (at, body), hashlib.sha256).hexdigest()
    return {
        "X-Slack-Request-Timestamp": str(at), "X-Slack-Signature": f"v0={digest}", "Content-Type": "application/json",
    }  # fmt: skip


class Slack:
    """One workspace. `acknowledged` are the envelope ids that came back, `sockets` those that are open."""

    def __init__(self) -> None:
        self.url = ""
        self.acknowledged: list[str] = []
        self.sockets: list[WebSocket] = []
        self.opened = 0
        self.on_frame: Callable[[], None] = _ignore_frame

    async def push(self, frame: dict[str, Any]) -> None:
        """To the newest socket."""
        await self.sockets[-1].send_json(frame)

    async def drop(self) -> None:
        """Break the newest socket, without a word before."""
        await self.sockets[-1].close(1011)

    async def method(self, request: Request) -> JSONResponse:
        """A Web API method: always 200, `ok` tells."""
        name, sent = request.path_params["method"], request.headers.get("Authorization", "")
        if name == "apps.connections.open":
            # The token of the app opens sockets, the token of the bot does all else.
            if sent != f"Bearer {APP_TOKEN}":
                return JSONResponse({"ok": False, "error": "invalid_auth"})
            return JSONResponse(
                {"ok": True, "url": f"{self.url.replace('http', 'ws', 1)}/slack-link/?ticket=1"}
            )
        if sent != f"Bearer {BOT_TOKEN}":
            return JSONResponse({"ok": False, "error": "invalid_auth"})

        data = await request.json()
        if name != "chat.postMessage":
            return JSONResponse({"ok": False, "error": "unknown_method"})
        if data["channel"] == "C0GONE":
            return JSONResponse({"ok": False, "error": "channel_not_found"})

        return JSONResponse(
            {"ok": True, "channel": data["channel"], "ts": "1503435956.000247", "message": data}
        )

    async def link(self, socket: WebSocket) -> None:
        """A socket: hello, then whatever is pushed."""
        await socket.accept()
        self.sockets.append(socket)
        self.opened += 1
        await socket.send_json(HELLO)
        self.on_frame()

        try:
            async for text in socket.iter_text():
                self.acknowledged.append(json.loads(text)["envelope_id"])
                self.on_frame()
        finally:
            self.sockets.remove(socket)
            self.on_frame()

    def routes(self) -> list[Route | WebSocketRoute]:
        """Routes of the service."""
        return [
            Route("/slack/{method}", self.method, methods=["POST"]),
            WebSocketRoute("/slack-link/", self.link),
        ]
