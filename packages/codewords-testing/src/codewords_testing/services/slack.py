"""Slack (`/slack/…`): the Web API methods that are used, and Socket Mode with its envelopes and acknowledgements."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from codewords_testing.app_records import slack_message
from codewords_testing.fidelity.exchange import SentReply, report

# Not secrets: they open the stand-in alone.
BOT_TOKEN = "xoxb-of-the-tests"  # noqa: S105
APP_TOKEN = "xapp-of-the-tests"  # noqa: S105
SIGNING_SECRET = "slack-signing-secret-of-the-tests"  # noqa: S105
OWN_BOT: dict[str, Any] = {
    "bot_id": "B1",
    "bot_profile": {
        "id": "B1", "app_id": "A1", "name": "ours", "icons": {}, "deleted": False, "updated": 1503435956, "team_id": "T1",
    },
}  # fmt: skip
"""Fields of a message that the app itself wrote."""
HELLO = {"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A1"}}


def _ignore_frame() -> None:
    """Until a test says what to do."""


def signed(body: bytes, at: int, secret: str = SIGNING_SECRET) -> dict[str, str]:
    """The headers with which Slack sends a body at a time."""
    digest = hmac.new(secret.encode(), b"v0:%d:%s" % (at, body), hashlib.sha256).hexdigest()
    return {
        "X-Slack-Request-Timestamp": str(at), "X-Slack-Signature": f"v0={digest}", "Content-Type": "application/json",
    }  # fmt: skip


def event_callback(event_id: str = "Ev1", **inner: Any) -> bytes:
    """The body of a request of the Events API. `inner` are fields of the event."""
    event: dict[str, Any] = {"type": "app_mention", "user": "U1", "event_ts": "1503435956.000247"} | inner
    if event["type"] == "reaction_added":
        item = {"type": "message", "channel": event.pop("channel", "C1"), "ts": "1503435956.000247"}
        event |= {"reaction": "thumbsup", "item_user": "U2", "item": item}
    else:
        event = {"text": "hello", "channel": "C1", "ts": event["event_ts"]} | event
    if event["type"] == "message":
        event["channel_type"] = "channel"
    body = json.dumps(
        {
            "token": "verification-token", "team_id": "T1", "api_app_id": "A1", "event": event, "type": "event_callback",
            "event_id": event_id, "event_time": 1503435956,
        }
    ).encode()  # fmt: skip
    report(SentReply("slack", "SEND", "/events", 200, "application/json", body))
    return body


def frame(kind: str, envelope_id: str, payload: dict[str, Any]) -> dict[str, Any]:
    """A frame of Socket Mode: an event (`events_api`), or an interaction (`interactive`)."""
    return {"type": kind, "envelope_id": envelope_id, "accepts_response_payload": False, "payload": payload}


def press(
    token: str, action_id: str, *, user: str = "U1", name: str = "ann", channel: str = "C1"
) -> dict[str, Any]:
    """The payload of an interaction: a user presses a button of a message."""
    return {
        "type": "block_actions",
        "token": "verification-token",
        "response_url": "https://hooks.slack.com/actions/T1/1/of-the-tests",
        "team": {"id": "T1", "domain": "example"},
        "user": {"id": user, "username": name, "name": name, "team_id": "T1"},
        "api_app_id": "A1",
        "trigger_id": "12321423423.333649436676.d8c1bb837935619ccad0f624c448ffb3",
        "container": {"type": "message", "message_ts": "1503435956.000247", "channel_id": channel},
        "channel": {"id": channel, "name": "finance"},
        "actions": [
            {
                "type": "button",
                "action_id": action_id,
                "block_id": "b1",
                "value": token,
                "text": {"type": "plain_text", "text": "Approve"},
                "action_ts": "1503435957.000100",
            }
        ],
    }


def interaction(
    payload: dict[str, Any], at: int, secret: str = SIGNING_SECRET
) -> tuple[bytes, dict[str, str]]:
    """(the body of an interaction request, its headers)."""
    report(SentReply("slack", "SEND", "/interactions", 200, "application/json", json.dumps(payload).encode()))
    body = urlencode({"payload": json.dumps(payload)}).encode()
    return body, signed(body, at, secret) | {"Content-Type": "application/x-www-form-urlencoded"}


_TEXTS = {"header": 150, "section": 3000}


def block_problem(blocks: list[dict[str, Any]]) -> str:
    """The reason for which Slack would refuse blocks, of the kinds that are used; "" for none."""
    if len(blocks) > 50:
        return "no more than 50 items allowed [json-pointer:/blocks]"
    for number, block in enumerate(blocks):
        problem = f"[json-pointer:/blocks/{number}]"
        match block.get("type"):
            case "header" | "section" as kind:
                texts, limit = [block["text"]], _TEXTS[kind]
            case "context":
                texts, limit = block["elements"], 2000
            case "actions":
                buttons = block["elements"]
                if not 1 <= len(buttons) <= 25 or len({one["action_id"] for one in buttons}) < len(buttons):
                    return f"invalid actions {problem}"
                if any(len(one.get("value", "")) > 2000 or len(one.get("url", "")) > 3000 for one in buttons):
                    return f"must be less than 2001 characters {problem}"
                texts, limit = [one["text"] for one in buttons], 75
            case _:
                return f"unsupported block {problem}"
        if any(one["type"] != "plain_text" or not 1 <= len(one["text"]) <= limit for one in texts):
            return f"invalid text {problem}"
    return ""


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
        report(SentReply("slack", "SEND", "/socket", 200, "application/json", json.dumps(frame).encode()))
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
        if name not in {"chat.postMessage", "chat.update", "chat.postEphemeral"}:
            return JSONResponse({"ok": False, "error": "unknown_method"})
        if data["channel"] == "C0GONE":
            return JSONResponse({"ok": False, "error": "channel_not_found"})
        if problem := block_problem(data.get("blocks", [])):
            return JSONResponse({"ok": False, "error": "invalid_blocks", "errors": [problem]})

        message = slack_message(data.get("text", ""))
        if name == "chat.postEphemeral":
            return JSONResponse({"ok": True, "message_ts": message["ts"]})
        answer: dict[str, Any] = {
            "ok": True,
            "channel": data["channel"],
            "ts": message["ts"],
            "message": message,
        }
        if name == "chat.update":
            # The time of a changed message stands beside it alone.
            answer |= {"text": message["text"], "ts": message.pop("ts")}
        return JSONResponse(answer)

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
