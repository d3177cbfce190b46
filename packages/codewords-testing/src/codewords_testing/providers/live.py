"""Gemini's Live interface (BidiGenerateContent) on loopback, as Google's own and Vertex serve it."""

from __future__ import annotations

import json
import socket
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from typing_extensions import override
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection

from codewords_testing.fidelity.exchange import SentReply, report
from codewords_testing.providers.session_server import SessionServer

Json = dict[str, Any]
USAGE: Json = {
    "promptTokenCount": 250, "responseTokenCount": 60, "thoughtsTokenCount": 10, "totalTokenCount": 320,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 50}, {"modality": "AUDIO", "tokenCount": 150},
        {"modality": "IMAGE", "tokenCount": 50},
    ],
    "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 60}],
}  # fmt: skip
"""Tokens that each report has."""


class LoopbackLive(SessionServer):
    """Live sessions on one port. `headers` are those of each session, `messages` what callers sent.

    The text of a turn says how it is answered: `silent` reports no usage, `late` behind the end of the turn, `stuck` never ends,
    `call` asks for a function first, `search` has searched, `huge` is longer than a message may be, `vanish` breaks the
    connection without a close frame. An end of activity begins a turn by itself, as a person who stops speaking does.
    """

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.headers: list[dict[str, str]] = []
        self.messages: list[Json] = []

    @override
    def converse(self, connection: ServerConnection, path: str, headers: dict[str, str]) -> None:
        self.headers.append(headers)
        for text in connection:
            message = json.loads(text)
            self.messages.append(message)
            if _text_of(message) == "vanish":
                connection.socket.shutdown(socket.SHUT_RDWR)
                return
            for answer in _answers(message):
                _send(connection, answer)

    @override
    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse a handshake with another key than ours, and one at an address that is none."""
        if self.key not in {
            request.headers.get("x-goog-api-key"),
            request.headers.get("authorization", "")[7:],
        }:
            return connection.respond(401, "no such key")
        if not request.path.startswith("/ws/google.") or not request.path.endswith("BidiGenerateContent"):
            return connection.respond(404, "no such service")
        return None


def _send(connection: ServerConnection, message: Json) -> None:
    # The service sends its JSON in binary frames.
    data = json.dumps(message).encode()
    report(SentReply("live", "SEND", "/BidiGenerateContent", 200, "application/json", data))
    connection.send(data)


def _text_of(message: Json) -> str:
    turns = message.get("clientContent", {}).get("turns") or message.get("client_content", {}).get(
        "turns", []
    )
    return "".join(part.get("text", "") for turn in turns for part in turn.get("parts", []))


def _answers(message: Json) -> Iterator[Json]:
    if "setup" in message:
        yield {"setupComplete": {"sessionId": "live-1"}}
    elif "toolResponse" in message or "tool_response" in message or _is_end_of_activity(message):
        yield from _turn("")
    elif "clientContent" in message or "client_content" in message:
        text = _text_of(message)
        if text == "call":
            call = {"id": "call-1", "name": "look", "args": {"where": "sea"}}
            yield {"toolCall": {"functionCalls": [call]}, "usageMetadata": USAGE}
        else:
            yield from _turn(text)


def _is_end_of_activity(message: Json) -> bool:
    spoken: Json = message.get("realtimeInput") or message.get("realtime_input") or {}
    return "activityEnd" in spoken or "activity_end" in spoken


def _turn(manner: str) -> Iterator[Json]:
    text = "x" * (33 << 20) if manner == "huge" else "Hello"
    yield {"serverContent": {"modelTurn": {"role": "model", "parts": [{"text": text}]}}}
    if manner == "stuck":
        return
    if manner == "search":
        yield {"serverContent": {"groundingMetadata": {"webSearchQueries": ["sea", "shore"]}}}
    yield {"serverContent": {"generationComplete": True}}
    end: Json = {"serverContent": {"turnComplete": True, "interactionStatus": "IDLE"}}
    if manner == "late":
        yield end
        yield {"usageMetadata": USAGE}
    elif manner == "silent":
        yield end
    else:
        yield end | {"usageMetadata": USAGE}


@contextmanager
def loopback_live(key: str) -> Generator[LoopbackLive]:
    """The interface on a free port, in threads of its own."""
    live = LoopbackLive(key)
    with live.serving():
        yield live
