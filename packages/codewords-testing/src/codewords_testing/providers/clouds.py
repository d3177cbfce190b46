"""Anthropic's models and Converse as Bedrock serves them, and Vertex, which has Google's and Anthropic's by their own formats."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from codewords_testing.providers import anthropic
from codewords_testing.providers.model import (
    CUT,
    Json,
    Request,
    StubReply,
    dumped,
    input_tokens,
    steer,
    text_of,
    words,
)

_BEDROCK = re.compile(r"/model/([^/]+)/(invoke|invoke-with-response-stream|converse|converse-stream)")
_CLAUDE = re.compile(r".*/publishers/anthropic/models/([^:/]+):(rawPredict|streamRawPredict)")
_STREAM = "application/vnd.amazon.eventstream"


def is_bedrock(request: Request) -> bool:
    """Whether a request is one of Bedrock's own paths."""
    return _BEDROCK.fullmatch(request.path) is not None


def is_claude_on_vertex(request: Request) -> bool:
    """Whether a request asks Anthropic's models at Vertex."""
    return _CLAUDE.fullmatch(request.path) is not None


def claude_on_vertex(request: Request) -> StubReply:
    """The answer of one of Anthropic's models. A body with its model's name is refused, as Vertex does."""
    match = _CLAUDE.fullmatch(request.path)
    if match is None:
        return anthropic.error(404, "no such route")
    if "model" in request.json or "anthropic_version" not in request.json:
        return anthropic.error(400, "model: Extra inputs are not permitted")
    # Google's names have a date after an @.
    body = request.json | {"model": match[1].replace("@", "-"), "stream": match[2] == "streamRawPredict"}
    return anthropic.answer(replace(request, path="/v1/messages", body=dumped(body)))


def bedrock(request: Request) -> StubReply:
    """The answer of Bedrock."""
    match = _BEDROCK.fullmatch(request.path)
    if match is None:
        return anthropic.error(404, "no such route")
    model, verb = unquote(match[1]), match[2]
    if verb.startswith("converse"):
        return _converse(request, model, streams=verb.endswith("stream"))
    if "model" in request.json or "anthropic_version" not in request.json:
        return _refusal(400, "ValidationException", "model: Extra inputs are not permitted")

    streams = verb != "invoke"
    body = request.json | {"model": model, "stream": streams}
    reply = anthropic.answer(replace(request, path="/v1/messages", body=dumped(body)))
    if reply.status != 200:
        return _refusal(reply.status, "ThrottlingException", "Too many requests")
    if reply.stream is not None:
        events = [piece if piece is CUT else _data(piece) for piece in reply.stream]
        reply.stream = [event if event is CUT else _chunk(event) for event in events]
        reply.media = _STREAM
        # Bedrock breaks off with a frame of an exception, which is not played.
        reply.is_faulty = "midstream" in steer(model).flags
    return reply


def _refusal(status: int, kind: str, message: str) -> StubReply:
    return StubReply(status, dumped({"message": message}), headers=[("x-amzn-ErrorType", kind)])


def _converse(request: Request, model: str, *, streams: bool) -> StubReply:
    steering = steer(model.partition(":")[0])
    prompt, out = input_tokens(request), steering.pieces
    usage: Json = {
        "inputTokens": prompt, "outputTokens": out, "totalTokens": prompt + out + 30,
        "cacheReadInputTokens": 20, "cacheWriteInputTokens": 10,
    }  # fmt: skip
    billed = {"prompt_tokens": prompt + 30, "completion_tokens": out}
    if not streams:
        message = {"role": "assistant", "content": [{"text": text_of(steering)}]}
        whole = {
            "output": {"message": message},
            "stopReason": "end_turn",
            "usage": usage,
            "metrics": {"latencyMs": 5},
        }
        if "nousage" in steering.flags:
            del whole["usage"]
        return StubReply(body=dumped(whole), usage=billed, is_faulty="usage" not in whole)

    stream: list[Any] = [
        frame("messageStart", {"role": "assistant"}),
        *(
            frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}})
            for word in words(steering.pieces)
        ),
        frame("contentBlockStop", {"contentBlockIndex": 0}),
        frame("messageStop", {"stopReason": "end_turn"}),
        frame("metadata", {"usage": usage, "metrics": {"latencyMs": 5}}),
    ]
    if "cut" in steering.flags:
        stream = [*stream[:3], CUT]
    return StubReply(stream=stream, media=_STREAM, usage=billed)


def _data(event: bytes) -> bytes:
    return event.partition(b"data: ")[2].strip()


def _chunk(data: bytes) -> bytes:
    return frame("chunk", {"bytes": base64.b64encode(data).decode(), "p": "abcdefgh"})


def frame(kind: str, payload: Json) -> bytes:
    """A message of Amazon's event stream encoding."""
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
        for name, value in (
            (":event-type", kind),
            (":content-type", "application/json"),
            (":message-type", "event"),
        )
    )
    body = dumped(payload)
    prelude = struct.pack("!II", len(headers) + len(body) + 16, len(headers))
    prelude += struct.pack("!I", zlib.crc32(prelude))
    whole = prelude + headers + body
    return whole + struct.pack("!I", zlib.crc32(whole))
