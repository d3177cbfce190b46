"""OpenAI's realtime interface on loopback, also as Azure and others serve it: a websocket that answers each response it is
asked for.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from typing_extensions import override
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection

from codewords_testing.fidelity.exchange import SentReply, report
from codewords_testing.providers.session_server import SessionServer

Json = dict[str, Any]
USAGE: Json = {
    "total_tokens": 300, "input_tokens": 200, "output_tokens": 100,
    "input_token_details": {
        "text_tokens": 120, "audio_tokens": 80, "cached_tokens": 50,
        "cached_tokens_details": {"text_tokens": 40, "audio_tokens": 10},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 70},
}  # fmt: skip
"""Tokens that each response uses."""


class LoopbackRealtime(SessionServer):
    """Sessions on one port. `sessions` has the model and headers of each, `events` what callers sent.

    A `response.create` whose `metadata` has `standin` = `silent` reports no usage, `stuck` never ends, and `refused` is
    answered with an error. An event `input_audio_buffer.commit` begins a response by itself, as a person who stops
    speaking does, and is transcribed.
    """

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.sessions: list[tuple[str, dict[str, str]]] = []
        self.events: list[Json] = []

    @override
    def converse(self, connection: ServerConnection, path: str, headers: dict[str, str]) -> None:
        query = dict(parse_qsl(urlsplit(path).query))
        model = query.get("model") or query.get("deployment", "")
        self.sessions.append((model, headers))
        transcribes = query.get("intent") == "transcription"
        _send(connection, _created_transcription() if transcribes else _created(model))
        for message in connection:
            event = json.loads(message)
            self.events.append(event)
            for answer in _answers(event, transcribes=transcribes):
                _send(connection, answer)

    @override
    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse a handshake with another key than ours."""
        if self.key not in {request.headers.get("authorization", "")[7:], request.headers.get("api-key")}:
            return connection.respond(401, "no such key")
        return None


def _send(connection: ServerConnection, event: Json) -> None:
    text = json.dumps(event)
    report(SentReply("realtime", "SEND", "/realtime", 200, "application/json", text.encode()))
    connection.send(text)


def _created(model: str) -> Json:
    session = {"type": "realtime", "model": model, "output_modalities": ["audio"]}
    return {"type": "session.created", "event_id": "event_0", "session": session}


def _created_transcription() -> Json:
    session = {"type": "transcription"}
    return {"type": "session.created", "event_id": "event_0", "session": session}


def _answers(event: Json, *, transcribes: bool) -> list[Json]:
    if event["type"] == "input_audio_buffer.commit":
        committed = {
            "type": "input_audio_buffer.committed", "event_id": "event_8", "item_id": "item_0", "previous_item_id": None,
        }  # fmt: skip
        transcribed = {
            "type": "conversation.item.input_audio_transcription.completed", "event_id": "event_9", "item_id": "item_0",
            "content_index": 0, "transcript": "hi",
            "usage": {
                "type": "tokens", "total_tokens": 30, "input_tokens": 20, "output_tokens": 10,
                "input_token_details": {"text_tokens": 0, "audio_tokens": 20},
            },
        }  # fmt: skip
        return [committed, transcribed, *([] if transcribes else _response(""))]
    if event["type"] != "response.create":
        return []
    return _response(event.get("response", {}).get("metadata", {}).get("standin", ""))


def _response(manner: str) -> list[Json]:
    if manner == "refused":
        error = {
            "type": "invalid_request_error",
            "code": "x",
            "message": "no",
            "param": None,
            "event_id": None,
        }
        return [{"type": "error", "event_id": "event_4", "error": error}]

    response: Json = {
        "object": "realtime.response", "id": "resp_1", "status": "in_progress", "status_details": None, "output": [],
        "usage": None,
    }  # fmt: skip
    at = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
    started = [
        {"type": "response.created", "event_id": "event_1", "response": response},
        {"type": "response.output_text.delta", "event_id": "event_2", "delta": "Hello", **at},
    ]
    if manner == "stuck":
        return started
    usage = None if manner == "silent" else USAGE
    done = {
        "type": "response.done",
        "event_id": "event_3",
        "response": response | {"status": "completed", "usage": usage},
    }
    return [*started, done]


@contextmanager
def loopback_realtime(key: str) -> Generator[LoopbackRealtime]:
    """The interface on a free port, in threads of its own."""
    realtime = LoopbackRealtime(key)
    with realtime.serving():
        yield realtime
