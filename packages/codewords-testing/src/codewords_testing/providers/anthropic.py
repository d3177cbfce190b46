"""Anthropic's interface: messages, count_tokens, batches, models."""

from __future__ import annotations

import json
from typing import Any

from codewords_testing.providers.model import (
    CUT,
    Json,
    Request,
    Steering,
    StubReply,
    dumped,
    input_tokens,
    part,
    sample,
    steer,
    structured,
    text_of,
    words,
)

_ERRORS = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 504: "timeout_error",
    529: "overloaded_error",
}  # fmt: skip
_HEADERS = [("request-id", "req_anthropic_standin"), ("anthropic-ratelimit-requests-remaining", "99")]


def error(status: int, message: str = "") -> StubReply:
    """An error as Anthropic words it."""
    kind = _ERRORS.get(status, "api_error")
    body = {
        "type": "error",
        "error": {"type": kind, "message": message or f"stand-in error {status}"},
        "request_id": "req_1",
    }
    return StubReply(status, dumped(body), headers=list(_HEADERS))


def answer(request: Request) -> StubReply:
    """The answer to a request."""
    body = request.json
    model = str(body.get("model") or "")
    steering = steer(model)

    if steering.status != 200:
        reply = error(steering.status)
        reply.headers += [("retry-after", steering.retry_after)] if steering.retry_after else []
        return reply

    reply = _routed(request, body, model, steering)
    reply.headers = _HEADERS + reply.headers
    reply.wait, reply.delay = steering.wait, steering.delay

    return reply


def _routed(request: Request, body: Json, model: str, steering: Steering) -> StubReply:
    path = request.path
    if path.endswith("/messages/count_tokens"):
        return StubReply(body=dumped({"input_tokens": input_tokens(request)}))

    if path.endswith("/messages/batches"):
        counts = {"processing": 1, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        at = "2026-11-25T00:00:00Z"
        return StubReply(body=dumped({
            "id": "msgbatch_1", "type": "message_batch", "processing_status": "in_progress", "request_counts": counts,
            "created_at": at, "expires_at": at, "ended_at": None, "archived_at": None, "cancel_initiated_at": None,
            "results_url": None,
        }))  # fmt: skip

    if path.endswith("/messages"):
        return _messages(request, body, model, steering)
    if path.endswith("/models"):
        known = {
            "type": "model",
            "id": "claude-sonnet-4-6",
            "display_name": "Claude",
            "created_at": "2026-02-01T00:00:00Z",
            "lifecycle": "active",
        }
        return StubReply(body=dumped({"data": [known], "has_more": False, "first_id": "a", "last_id": "a"}))

    return error(404, f"no route {request.method} {path}")


def _stop(content: Json, steering: Steering) -> str:
    if "short" in steering.flags:
        return "max_tokens"
    if content["type"] == "tool_use":
        return "tool_use"
    return "end_turn"


def _messages(request: Request, body: Json, model: str, steering: Steering) -> StubReply:
    # Each number differs, so that a test sees which of them was counted.
    usage: Json = {
        "input_tokens": input_tokens(request), "cache_creation_input_tokens": 100, "cache_read_input_tokens": 200,
        "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
        "output_tokens": steering.pieces, "service_tier": "standard",
        "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0},
    }  # fmt: skip
    output_format = part(body, "output_config", "format") or part(body, "output_format")
    text = structured(request, output_format.get("schema"), steering)
    content: Json = {"type": "text", "text": text or text_of(steering)}

    if part(body, "tool_choice").get("type") == "tool":
        tool = next(tool for tool in body["tools"] if tool["name"] == body["tool_choice"]["name"])
        if "loose" in steering.flags:
            value = {"unasked": 1}
        else:
            value = sample(tool["input_schema"])

        content = {"type": "tool_use", "id": "toolu_1", "name": tool["name"], "input": value}

    message: Json = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [content],
        "stop_reason": _stop(content, steering), "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    if body.get("stream"):
        return _stream(message, usage, steering)

    without_usage = "nousage" in steering.flags
    if without_usage:
        message.pop("usage")
    return StubReply(body=dumped(message), usage=usage, is_faulty=without_usage)


def _stream(message: Json, usage: Json, steering: Steering) -> StubReply:
    def event(kind: str, **more: Any) -> bytes:
        return f"event: {kind}\ndata: ".encode() + dumped({"type": kind} | more) + b"\n\n"

    content: Json = message["content"][0]
    deltas: list[Json]
    blank: Json

    if content["type"] == "tool_use":
        blank, deltas = (
            content | {"input": {}},
            [{"type": "input_json_delta", "partial_json": json.dumps(content["input"])}],
        )
    else:
        # A structured answer is one piece, since words would break its JSON.
        if content["text"].startswith("{"):
            pieces = [content["text"]]
        else:
            pieces = words(steering.pieces)

        blank, deltas = content | {"text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces]

    last = {
        name: usage[name]
        for name in (
            "input_tokens",
            "cache_creation_input_tokens",
            "cache_read_input_tokens",
            "output_tokens",
        )
    }
    # Anthropic's last event repeats the counts of the first, so they must not be added up.
    ending = event(
        "message_delta", delta={"stop_reason": message["stop_reason"], "stop_sequence": None}, usage=last
    )
    started: Json = message | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
    stream: list[Any] = [
        event("message_start", message=started),
        event("content_block_start", index=0, content_block=blank),
        event("ping"),
        *(event("content_block_delta", index=0, delta=delta) for delta in deltas),
        event("content_block_stop", index=0),
        *([ending] * (2 if "twice" in steering.flags else 1) if "nousage" not in steering.flags else []),
        event("message_stop"),
    ]

    if "midstream" in steering.flags:
        stream = [*stream[:4], event("error", error={"type": "overloaded_error", "message": "Overloaded"})]
    elif "cut" in steering.flags:
        stream = [*stream[:4], CUT]

    return StubReply(stream=stream, media="text/event-stream; charset=utf-8", usage=usage)
