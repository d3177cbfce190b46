"""Messages of a call in the shape of OpenTelemetry's GenAI conventions.

Used only for workflows that enable it. Pictures, sound and files are named without their bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from pydantic_core import from_json, to_json

from codewords_mcp.common.json_parts import list_of, object_of
from codewords_mcp.runtime.gateway.providers import Flavor
from codewords_mcp.runtime.gateway.usage import Json

MAX_ATTRIBUTE_BYTES = 256 << 10
"""Bytes of one attribute. Messages that do not fit are dropped, oldest first."""
_TEXTS = frozenset({"text", "input_text", "output_text", "summary_text"})


def content_of(flavor: Flavor, request: Json, response: bytes) -> dict[str, str]:
    """Span attributes, each a JSON list: system instructions, input messages, output messages."""
    output: object
    if response.lstrip()[:1] in {b"{", b"["}:
        output = _parsed(response)
    else:
        output = _joined(flavor, response)

    # Gemini streams without `alt=sse` are a list of responses.
    if isinstance(output, list):
        output = _joined_gemini(map(object_of, cast("list[Any]", output)))

    found = {
        "gen_ai.system_instructions": _parts(
            request.get("instructions") or request.get("system") or request.get("systemInstruction")
        ),
        "gen_ai.input.messages": _input_messages(request),
        "gen_ai.output.messages": _output_messages(object_of(output)),
    }
    return {name: _bounded(value) for name, value in found.items() if value}


def finish_reasons(response: Json) -> list[str]:
    """Reasons why each choice of a response ended, in the provider's words."""
    reasons = [object_of(choice).get("finish_reason") for choice in list_of(response.get("choices"))]
    reasons += [object_of(candidate).get("finishReason") for candidate in list_of(response.get("candidates"))]
    reasons.append(response.get("stop_reason"))
    if response.get("object") == "response":
        incomplete = object_of(response.get("incomplete_details"))
        reasons.append(incomplete.get("reason") or response.get("status"))

    return [reason for reason in reasons if isinstance(reason, str)]


def _input_messages(request: Json) -> list[Json]:
    messages: Any = (
        request.get("messages") or request.get("contents") or request.get("input") or request.get("prompt")
    )
    items: list[Any] = [messages] if isinstance(messages, str | dict) else list_of(messages)
    return [_message(item) for item in items]


def _message(item: Any) -> Json:
    """Convert one message of a request, of any interface: a text, a message, or an item of
    `responses`.
    """
    if not isinstance(item, dict):
        return {"role": "user", "parts": [_part(item)]}

    message = cast("Json", item)
    content = message.get("content", message.get("parts"))
    role = message.get("role", "user")
    if "tool_call_id" in message:
        response = {"type": "tool_call_response", "id": message["tool_call_id"], "response": content}
        return {"role": role, "parts": [response]}
    if content is None and "tool_calls" not in message:
        if message.get("type") == "function_call":
            role = "assistant"
        else:
            role = message.get("role", "tool")

        return {"role": role, "parts": [_part(message)]}

    return {"role": role, "parts": _parts(content) + _parts(message.get("tool_calls"))}


def _output_messages(response: Json) -> list[Json]:
    """The messages of a complete response."""
    reasons: list[str | None] = [*finish_reasons(response), None]
    if "choices" in response:
        messages = [_choice_message(object_of(choice)) for choice in list_of(response["choices"])]
    elif "candidates" in response:
        messages = [
            _message(object_of(candidate).get("content")) for candidate in list_of(response["candidates"])
        ]
    elif parts := _parts(response.get("content") or response.get("output")):
        messages = [{"role": "assistant", "parts": parts}]
    else:
        messages = []

    return [
        message | {"role": "assistant", "finish_reason": reasons[min(at, len(reasons) - 1)] or "unknown"}
        for at, message in enumerate(messages)
    ]


def _choice_message(choice: Json) -> Json:
    if "message" in choice:
        return _message(choice["message"])
    return _message({"content": choice.get("text")})


def _parts(content: Any) -> list[Json]:
    if content is None:
        return []

    content = object_of(content).get("parts", content)
    if isinstance(content, list):
        items = cast("list[Any]", content)
    else:
        items = [content]

    found: list[Json] = []
    for item in items:
        inner = object_of(item)
        # Of `responses`: a message around its parts.
        if inner.get("type") == "message":
            found += _parts(inner.get("content"))
        elif item is not None:
            found.append(_part(item))

    return found


def _part(item: Any) -> Json:
    if not isinstance(item, dict):
        return {"type": "text", "content": item if isinstance(item, str) else json.dumps(item)}

    part = cast("Json", item)
    kind = part.get("type")
    if isinstance(part.get("text"), str) and (kind is None or kind in _TEXTS):
        return {"type": "reasoning" if part.get("thought") else "text", "content": part["text"]}
    if kind in {"thinking", "reasoning"}:
        text = part.get("thinking") or "".join(
            str(object_of(summary).get("text")) for summary in list_of(part.get("summary"))
        )
        return {"type": "reasoning", "content": text}

    tool = _tool_part(part, kind)
    return tool or {"type": kind if isinstance(kind, str) else "unknown"}


def _tool_part(part: Json, kind: Any) -> Json | None:
    """A tool call or a tool's result; None for any other part."""
    call = object_of(part.get("functionCall") or part.get("function"))
    if not call and kind in {"tool_use", "function_call"}:
        call = part

    if call:
        arguments = call.get("args", call.get("input", call.get("arguments")))
        # Some interfaces send arguments as text, others as an object.
        if isinstance(arguments, str):
            arguments = _parsed(arguments.encode())
        return {
            "type": "tool_call",
            "id": part.get("call_id") or part.get("id"),
            "name": call.get("name"),
            "arguments": arguments,
        }

    result = object_of(part.get("functionResponse"))
    if not result and kind not in {"tool_result", "function_call_output"}:
        return None

    content = result.get("response") or part.get("content") or part.get("output")
    call_id = part.get("tool_use_id") or part.get("call_id") or result.get("name")
    return {"type": "tool_call_response", "id": call_id, "response": content}


def _joined(flavor: Flavor, stream: bytes) -> Json:
    """Combine the events of a stream into the complete response."""
    events = [object_of(_parsed(row[5:])) for row in stream.splitlines() if row.startswith(b"data:")]
    if flavor == "responses":
        responses = [object_of(event["response"]) for event in events if "response" in event]
        # The last event of this interface holds the whole response.
        if responses:
            return responses[-1]
        return {}

    if flavor == "messages":
        return _joined_blocks(events)
    if flavor == "generate":
        return _joined_gemini(events)

    return _joined_choices(events)


def _joined_choices(events: Iterable[Json]) -> Json:
    choices: dict[int, Json] = {}
    for piece in (object_of(item) for event in events for item in list_of(event.get("choices"))):
        choice = choices.setdefault(piece.get("index", 0), {"message": {"content": "", "tool_calls": {}}})
        choice["finish_reason"] = piece.get("finish_reason") or choice.get("finish_reason")
        message, delta = choice["message"], object_of(piece.get("delta"))
        message["content"] += delta.get("content") or piece.get("text") or ""

        for call in map(object_of, list_of(delta.get("tool_calls"))):
            tool_call = message["tool_calls"].setdefault(
                call.get("index", 0), {"function": {"name": "", "arguments": ""}}
            )
            tool_call["id"] = call.get("id") or tool_call.get("id")
            for name in ("name", "arguments"):
                tool_call["function"][name] += object_of(call.get("function")).get(name) or ""

    for choice in choices.values():
        message = choice["message"]
        # They were collected by index; a message has them as a list.
        message["tool_calls"] = list(message["tool_calls"].values())
        message["content"] = message["content"] or None

    return {"choices": list(choices.values())}


def _joined_blocks(events: Iterable[Json]) -> Json:
    blocks: dict[int, Json] = {}
    reason: Any = None
    for event in events:
        at, delta = event.get("index", 0), object_of(event.get("delta"))
        if event.get("type") == "content_block_start":
            blocks[at] = object_of(event.get("content_block")) | {"json": ""}
        elif event.get("type") == "content_block_delta" and at in blocks:
            block = blocks[at]
            # Arguments of a tool come as pieces of JSON text, which is whole at the end only.
            block["json"] += delta.get("partial_json") or ""
            for name in ("text", "thinking"):
                if name in delta:
                    block[name] = (block.get(name) or "") + delta[name]

        reason = delta.get("stop_reason") or reason

    for block in blocks.values():
        if arguments := block.pop("json"):
            block["input"] = _parsed(arguments.encode())

    return {"content": list(blocks.values()), "stop_reason": reason}


def _joined_gemini(events: Iterable[Json]) -> Json:
    candidates: dict[int, Json] = {}
    for piece in (object_of(item) for event in events for item in list_of(event.get("candidates"))):
        whole = candidates.setdefault(piece.get("index", 0), {"content": {"role": "model", "parts": []}})
        whole["finishReason"] = piece.get("finishReason") or whole.get("finishReason")
        parts: list[Json] = whole["content"]["parts"]

        for part in map(object_of, list_of(object_of(piece.get("content")).get("parts"))):
            # Gemini sends a text in pieces, each a part of its own.
            if parts and set(part) == set(parts[-1]) == {"text"}:
                parts[-1] = {"text": parts[-1]["text"] + part["text"]}
            else:
                parts.append(part)

    return {"candidates": list(candidates.values())}


def _bounded(messages: list[Json]) -> str:
    """Encode as JSON and drop the oldest messages until it fits."""
    text = to_json(messages)
    while len(text) > MAX_ATTRIBUTE_BYTES and messages:
        # The newest messages say most about a call.
        messages = messages[1:]
        text = to_json(messages)
    return text.decode()


def _parsed(data: bytes) -> object:
    try:
        return from_json(data)
    except ValueError:
        return None
