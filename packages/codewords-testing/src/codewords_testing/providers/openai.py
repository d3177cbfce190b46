"""OpenAI's interface: chat, completions, responses, embeddings, images, audio, files, batches, models."""

from __future__ import annotations

import base64
import re
import struct
from dataclasses import dataclass
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
    steer,
    structured,
    text_of,
    words,
)

_ERRORS: dict[int, tuple[str, str | None]] = {
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("insufficient_permissions", None),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
    500: ("server_error", None),
    503: ("server_error", None),
}
_CREATED = 1_790_000_000
_HEADERS = [
    ("x-request-id", "req_openai_standin"),
    ("openai-processing-ms", "5"),
    ("x-ratelimit-remaining-requests", "9999"),
]


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A request with what was read of it."""

    request: Request
    body: Json
    model: str
    steering: Steering


def error(status: int, message: str = "") -> StubReply:
    """An error as OpenAI words it."""
    kind, code = _ERRORS.get(status, ("invalid_request_error", None))
    body = {
        "error": {"message": message or f"stand-in error {status}", "type": kind, "param": None, "code": code}
    }
    return StubReply(status, dumped(body), headers=list(_HEADERS))


def answer(request: Request) -> StubReply:
    """The answer to a request."""
    # The same interface lies below Gemini's address, under a path of its own.
    # Azure has it below a deployment, and below a version of its own.
    path = re.sub(
        r"^.*?/(v1beta/openai|endpoints/openapi|v1(?!/projects/)|openai/deployments/[^/]+)(?=/)",
        "",
        request.path,
    )
    body, model = request.json, _model(request)
    steering = steer(model)

    if steering.status != 200:
        reply = error(steering.status)
        reply.headers += [("retry-after", steering.retry_after)] if steering.retry_after else []
        return reply

    for name, handler in _HANDLERS.items():
        if path == name and request.method == "POST":
            reply = handler(ModelCall(request, body, model, steering))
            break
    else:
        reply = _other(request, path)

    reply.headers = _HEADERS + reply.headers
    reply.wait, reply.delay = steering.wait, steering.delay
    return reply


def _model(request: Request) -> str:
    if request.json:
        return str(request.json.get("model") or "")
    # Audio comes as a form, which need not be parsed for one field.
    found = re.search(rb'name="model"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]+)', request.body)
    if found:
        return found[1].decode()
    return ""


def usage_of(request: Request, steering: Steering) -> Json:
    """Usage that a chat answer bills."""
    prompt, out = input_tokens(request), steering.pieces
    if "bills" in steering.flags:
        copies: Any = request.json.get("n") or 1
        out *= int(copies)

    return {
        "prompt_tokens": prompt,
        "completion_tokens": out,
        "total_tokens": prompt + out,
        "prompt_tokens_details": {"cached_tokens": min(5, prompt), "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": min(3, out), "audio_tokens": 0},
    }


def _chat(call: ModelCall) -> StubReply:
    usage = usage_of(call.request, call.steering)
    output_format = part(call.body, "response_format", "json_schema")
    text = structured(call.request, output_format.get("schema"), call.steering)
    if call.body.get("stream"):
        return _chat_stream(call.body, call.model, call.steering, usage, text)

    message: Json = {
        "role": "assistant",
        "content": text or text_of(call.steering),
        "refusal": None,
        "annotations": [],
    }
    if "short" in call.steering.flags:
        finish = "length"
    else:
        finish = "stop"

    if call.body.get("tools") and call.body.get("tool_choice") != "none":
        name = call.body["tools"][0]["function"]["name"]
        tool_call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": "{}"}}
        # A call of a tool has no text.
        message, finish = message | {"content": None, "tool_calls": [tool_call]}, "tool_calls"

    whole: Json = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": _CREATED, "model": call.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": usage, "service_tier": "default",
    }  # fmt: skip
    if "nousage" in call.steering.flags:
        del whole["usage"]
    return StubReply(body=dumped(whole), usage=usage)


def _chat_stream(body: Json, model: str, steering: Steering, usage: Json, text: str | None) -> StubReply:
    # Only a client that asks for usage gets the field, null in every event but the last.
    with_usage = bool(part(body, "stream_options").get("include_usage"))
    base: Json = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": _CREATED, "model": model}

    def event(delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return (
            b"data: "
            + dumped(base | {"choices": [choice]} | ({"usage": None} if with_usage else {}))
            + b"\n\n"
        )

    stream: list[Any] = [event({"role": "assistant", "content": ""})]
    stream += [event({"content": piece}) for piece in ([text] if text else words(steering.pieces))]
    stream.append(event({}, "stop"))

    if with_usage and "nousage" not in steering.flags:
        last = b"data: " + dumped(base | {"choices": [], "usage": usage}) + b"\n\n"
        stream += [last] * (2 if "twice" in steering.flags else 1)

    stream.append(b"data: [DONE]\n\n")
    broken = b"data: " + error(500, "The server had an error").body + b"\n\n"
    return _streamed(stream, steering, broken, usage)


def _streamed(stream: list[Any], steering: Steering, broken: bytes, usage: Json) -> StubReply:
    if "midstream" in steering.flags:
        stream = [*stream[:3], broken]
    elif "cut" in steering.flags:
        stream = [*stream[:3], CUT]
    return StubReply(stream=stream, media="text/event-stream; charset=utf-8", usage=usage)


def _completions(call: ModelCall) -> StubReply:
    usage = usage_of(call.request, call.steering)
    whole = {
        "id": "cmpl-1", "object": "text_completion", "created": _CREATED, "model": call.model,
        "choices": [{"index": 0, "text": text_of(call.steering), "logprobs": None, "finish_reason": "stop"}], "usage": usage,
    }  # fmt: skip
    return StubReply(body=dumped(whole), usage=usage)


def _responses(call: ModelCall) -> StubReply:
    prompt, out = input_tokens(call.request), call.steering.pieces
    usage: Json = {
        "input_tokens": prompt, "input_tokens_details": {"cached_tokens": min(5, prompt), "cache_write_tokens": 0},
        "output_tokens": out,
        "output_tokens_details": {"reasoning_tokens": min(3, out)}, "total_tokens": prompt + out,
    }  # fmt: skip
    output_format = part(call.body, "text", "format")
    text = structured(call.request, output_format.get("schema"), call.steering) or text_of(call.steering)
    piece: Json = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    item: Json = {
        "id": "msg_1",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [piece],
    }
    whole: Json = {
        "id": "resp_1", "object": "response", "created_at": _CREATED, "status": "completed", "error": None,
        "incomplete_details": None, "instructions": None, "max_output_tokens": None, "model": call.model, "output": [item],
        "parallel_tool_calls": True, "previous_response_id": None, "reasoning": {"effort": None, "summary": None},
        "temperature": 1.0, "text": {"format": output_format or {"type": "text"}}, "tool_choice": "auto",
        "tools": [], "top_p": 1.0, "truncation": "disabled", "usage": usage, "user": None, "metadata": {},
    }  # fmt: skip
    if not call.body.get("stream"):
        return StubReply(body=dumped(whole), usage=usage)

    number = 0

    def event(kind: str, **more: Any) -> bytes:
        nonlocal number
        data = dumped({"type": kind, "sequence_number": number} | more)
        number += 1
        return f"event: {kind}\ndata: ".encode() + data + b"\n\n"

    started: Json = whole | {"status": "in_progress", "output": [], "usage": None}
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    stream: list[Any] = [
        event("response.created", response=started),
        event(
            "response.output_item.added", output_index=0, item=item | {"status": "in_progress", "content": []}
        ),
        event("response.content_part.added", **at, part=piece | {"text": ""}),
        *(
            event("response.output_text.delta", **at, delta=word, logprobs=[])
            for word in words(call.steering.pieces)
        ),
        event("response.output_text.done", **at, text=text, logprobs=[]),
        event("response.content_part.done", **at, part=piece),
        event("response.output_item.done", output_index=0, item=item),
        event("response.completed", response=whole),
    ]
    broken = event("error", code="server_error", message="The server had an error", param=None)

    return _streamed(stream, call.steering, broken, usage)


def _compact(call: ModelCall) -> StubReply:
    """It tells no model, but what the pass over the conversation used."""
    prompt, out = input_tokens(call.request), call.steering.pieces
    usage: Json = {
        "input_tokens": prompt, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": out, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": prompt + out,
    }  # fmt: skip
    item = {"id": "cmp_1", "type": "compaction", "encrypted_content": "sealed"}
    whole = {
        "id": "resp_1",
        "object": "response.compaction",
        "created_at": _CREATED,
        "output": [item],
        "usage": usage,
    }

    return StubReply(body=dumped(whole), usage=usage)


def _embeddings(call: ModelCall) -> StubReply:
    if isinstance(call.body.get("input"), list):
        count = len(call.body["input"])
    else:
        count = 1

    vector = (0.1, 0.2, 0.3)
    packed = base64.b64encode(struct.pack("<3f", *vector)).decode()
    if call.body.get("encoding_format") == "base64":
        value = packed
    else:
        value = list(vector)

    tokens = input_tokens(call.request)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    data = [{"object": "embedding", "index": index, "embedding": value} for index in range(count)]

    return StubReply(
        body=dumped({"object": "list", "data": data, "model": call.model, "usage": usage}), usage=usage
    )


def _images(_call: ModelCall) -> StubReply:
    usage = {
        "input_tokens": 13, "output_tokens": 272, "total_tokens": 285,
        "input_tokens_details": {"text_tokens": 13, "image_tokens": 0},
    }  # fmt: skip
    return StubReply(
        body=dumped({"created": _CREATED, "data": [{"b64_json": "aGk="}], "usage": usage}), usage=usage
    )


def _transcription(_call: ModelCall) -> StubReply:
    usage = {
        "type": "tokens", "input_tokens": 14, "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
        "output_tokens": 3, "total_tokens": 17,
    }  # fmt: skip
    return StubReply(body=dumped({"text": "hi", "usage": usage}), usage=usage)


def _file(call: ModelCall) -> StubReply:
    made = {
        "id": "file-1", "object": "file", "bytes": len(call.request.body), "created_at": _CREATED, "filename": "a.txt",
        "purpose": "user_data", "status": "processed",
    }  # fmt: skip
    return StubReply(body=dumped(made))


def _batch(call: ModelCall) -> StubReply:
    made = {
        "id": "batch_1", "object": "batch", "endpoint": call.body.get("endpoint"),
        "input_file_id": call.body.get("input_file_id"),
        "completion_window": "24h", "status": "validating", "created_at": _CREATED,
    }  # fmt: skip
    return StubReply(body=dumped(made))


def _other(request: Request, path: str) -> StubReply:
    if path == "/models":
        model = {"id": "gpt-4o-mini", "object": "model", "created": _CREATED, "owned_by": "openai"}
        return StubReply(body=dumped({"object": "list", "data": [model]}))
    if path.endswith("/content"):
        return StubReply(body=b"the file's content", media="application/octet-stream")
    return error(404, f"no route {request.method} {path}")


_HANDLERS = {
    "/chat/completions": _chat,
    "/completions": _completions,
    "/responses": _responses,
    "/responses/compact": _compact,
    "/embeddings": _embeddings,
    "/images/generations": _images,
    "/audio/transcriptions": _transcription,
    "/files": _file,
    "/batches": _batch,
}
