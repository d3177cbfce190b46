"""What was said in a call, as telemetry tells it to whom it may: one shape for every interface, streamed or not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from codewords_mcp.runtime.gateway.content import MAX_ATTRIBUTE_BYTES, content_of
from codewords_mcp.runtime.gateway.providers import Flavor
from codewords_testing.providers import anthropic, gemini, openai
from codewords_testing.providers.model import Request, StubReply

pytestmark = pytest.mark.requirement("gateway:trace-content")
HI = {"role": "user", "content": "hi"}
WORDS = "Hello from the stand"


def answered(flavor: Flavor, path: str, body: dict[str, Any]) -> bytes:
    """What a stand-in answers to it."""
    request = Request("POST", path, "alt=sse", {}, json.dumps(body).encode())
    if flavor == "messages":
        reply: StubReply = anthropic.answer(request)
    elif flavor == "generate":
        reply = gemini.answer(request, gemini.Files())
    else:
        reply = openai.answer(request)
    return reply.body or b"".join(reply.stream or [])


def told(flavor: Flavor, asked: dict[str, Any], answer: bytes) -> dict[str, Any]:
    return {
        name.removeprefix("gen_ai."): json.loads(value)
        for name, value in content_of(flavor, asked, answer).items()
    }


GEMINI = "/v1/models/gemini-2.5-flash-c4:"


@pytest.mark.parametrize(
    ("flavor", "path", "streaming", "body", "reason"),
    [
        ("chat", "/v1/chat/completions", "", {"model": "gpt-4o-mini-c4", "messages": [HI]}, "stop"),
        ("responses", "/v1/responses", "", {"model": "gpt-4o-mini-c4", "input": "hi"}, "completed"),
        ("completions", "/v1/completions", "", {"model": "gpt-4o-mini-c4", "prompt": "hi"}, "stop"),
        ("messages", "/v1/messages", "", {"model": "claude-sonnet-4-6-c4", "messages": [HI]}, "end_turn"),
        ("generate", f"{GEMINI}generateContent", f"{GEMINI}streamGenerateContent",
         {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}, "STOP"),
    ],
)  # fmt: skip
def test_a_plain_answer_and_a_stream_are_told_alike(
    flavor: Flavor, path: str, streaming: str, body: dict[str, Any], reason: str
) -> None:
    plain = told(flavor, body, answered(flavor, path, body))
    assert plain["input.messages"] == [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    spoken = {"role": "assistant", "parts": [{"type": "text", "content": WORDS}], "finish_reason": reason}
    assert plain["output.messages"] == [spoken]
    if flavor != "completions":
        stream = answered(flavor, streaming or path, body if streaming else body | {"stream": True})
        assert stream.startswith((b"data:", b"event:"))
        assert told(flavor, body, stream) == plain


CALLED = {"type": "tool_call", "id": "c1", "name": "look", "arguments": {"at": "sea"}}
GAVE = {"type": "tool_call_response", "id": "c1", "response": "blue"}


def sse(*events: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


@pytest.mark.parametrize(
    ("flavor", "asked", "answer"),
    [
        (
            "chat",
            {"messages": [{"role": "assistant", "content": None, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sea"}'}}]},
                {"role": "tool", "tool_call_id": "c1", "content": "blue"}]},
            sse({"choices": [{"index": 0, "delta": {"tool_calls": [
                    {"index": 0, "id": "c1", "function": {"name": "look", "arguments": '{"at": '}}]}}]},
                {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": '"sea"}'}}]},
                              "finish_reason": "tool_calls"}]}),
        ),
        (
            "responses",
            {"input": [{"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"at": "sea"}'},
                       {"type": "function_call_output", "call_id": "c1", "output": "blue"}]},
            json.dumps({"object": "response", "status": "tool_calls", "output": [
                {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"at": "sea"}'}]}).encode(),
        ),
        (
            "messages",
            {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "look", "input": {"at": "sea"}}]},
                          {"role": "tool", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "blue"}]}]},
            sse({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "c1", "name": "look", "input": {}}},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"at": '}},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '"sea"}'}},
                {"type": "message_delta", "delta": {"stop_reason": "tool_calls"}}),
        ),
        (
            "generate",
            {"contents": [{"role": "assistant", "parts": [{"functionCall": {"name": "look", "args": {"at": "sea"}}, "id": "c1"}]},
                          {"role": "tool", "parts": [{"functionResponse": {"name": "c1", "response": "blue"}}]}]},
            sse({"candidates": [{"content": {"parts": [{"functionCall": {"name": "look", "args": {"at": "sea"}}, "id": "c1"}]},
                                 "finishReason": "tool_calls"}]}),
        ),
    ],
)  # fmt: skip
def test_tools_are_told_in_one_shape(flavor: Flavor, asked: dict[str, Any], answer: bytes) -> None:
    found = told(flavor, asked, answer)
    assert found["input.messages"] == [
        {"role": "assistant", "parts": [CALLED]},
        {"role": "tool", "parts": [GAVE]},
    ]
    assert found["output.messages"] == [
        {"role": "assistant", "parts": [CALLED], "finish_reason": "tool_calls"}
    ]


def test_pictures_are_named_without_their_bytes_and_instructions_stand_apart() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA" * 99}}
    asked = {
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [picture, {"type": "text", "text": "?"}]}],
    }
    found = content_of("messages", asked, b"")
    assert json.loads(found["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be brief."}]
    (message,) = json.loads(found["gen_ai.input.messages"])
    assert message["parts"] == [{"type": "image"}, {"type": "text", "content": "?"}]
    assert "AAAA" not in "".join(found.values())
    assert "gen_ai.output.messages" not in found


def test_a_long_conversation_keeps_its_end_within_bounds() -> None:
    asked = {"messages": [{"role": "user", "content": f"{number} " + "x" * 10_000} for number in range(100)]}
    text = content_of("chat", asked, b"")["gen_ai.input.messages"]
    assert len(text.encode()) <= MAX_ATTRIBUTE_BYTES
    assert json.loads(text)[-1]["parts"][0]["content"].startswith("99 ")


@pytest.mark.parametrize(
    "answer", [b"", b"{", b"not json", b'{"choices": 5}', b"data: [1]\n\ndata: {", b"[1, 2]"]
)
@pytest.mark.parametrize("flavor", ["chat", "responses", "messages", "generate", "embeddings"])
def test_what_cannot_be_read_is_left_out(flavor: Flavor, answer: bytes) -> None:
    found = told(flavor, {"messages": [5, None, {"content": 7}], "system": [None]}, answer)
    assert "output.messages" not in found
