"""Slack (`/slack/…`): the Web API methods that are used, and Socket Mode with its envelopes and acknowledgements."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

BOT_TOKEN = "xoxb-of-the-tests"  # noqa: S105  # of the stand-in
APP_TOKEN = "xapp-of-the-tests"  # noqa: S105
SIGNING_SECRET = "slack-signing-secret-of-the-tests"  # noqa: S105
HELLO = {"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A1"}}


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
        self.sockets: list[web.WebSocketResponse] = []
        self.opened = 0
        self.on_frame: Callable[[], None] = lambda: None

    async def push(self, frame: dict[str, Any]) -> None:
        """To the newest socket."""
        await self.sockets[-1].send_json(frame)

    async def drop(self) -> None:
        """Break the newest socket, without a word before."""
        await self.sockets[-1].close(code=WSCloseCode.INTERNAL_ERROR)

    async def method(self, request: web.Request) -> web.Response:
        """A Web API method: always 200, `ok` tells."""
        name, sent = request.match_info["method"], request.headers.get("Authorization", "")
        if name == "apps.connections.open":
            if sent != f"Bearer {APP_TOKEN}":
                return web.json_response({"ok": False, "error": "invalid_auth"})
            return web.json_response(
                {"ok": True, "url": f"{self.url.replace('http', 'ws', 1)}/slack-link/?ticket=1"}
            )
        if sent != f"Bearer {BOT_TOKEN}":
            return web.json_response({"ok": False, "error": "invalid_auth"})

        data = await request.json()
        if name != "chat.postMessage":
            return web.json_response({"ok": False, "error": "unknown_method"})
        if data["channel"] == "C0GONE":
            return web.json_response({"ok": False, "error": "channel_not_found"})

        return web.json_response(
            {"ok": True, "channel": data["channel"], "ts": "1503435956.000247", "message": data}
        )

    async def link(self, request: web.Request) -> web.WebSocketResponse:
        """A socket: hello, then whatever is pushed."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        self.opened += 1
        await socket.send_json(HELLO)
        self.on_frame()

        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    self.acknowledged.append(message.json()["envelope_id"])
                    self.on_frame()
        finally:
            self.sockets.remove(socket)
            self.on_frame()

        return socket

    def routes(self) -> list[web.RouteDef]:
        """Routes of the service."""
        return [web.post("/slack/{method}", self.method), web.get("/slack-link/", self.link)]
