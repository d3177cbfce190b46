"""What was said in a call, in the shape that OpenTelemetry's GenAI conventions give to messages.

Only for workflows that ask to have it told. Pictures, sound and files are named, and their bytes left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from pydantic_core import from_json, to_json

from codewords_mcp.runtime.gateway.providers import Flavor
from codewords_mcp.runtime.gateway.usage import Json

MOST = 256 << 10
"""Bytes of one attribute; messages that do not fit are left out, the first of them first."""
_TEXTS = frozenset({"text", "input_text", "output_text", "summary_text"})


def content_of(flavor: Flavor, asked: Json, answer: bytes) -> dict[str, str]:
    """Attributes of a span, each a JSON list: system instructions, messages that went in, messages that came out."""
    came: Any = _parsed(answer) if answer.lstrip()[:1] in {b"{", b"["} else _joined(flavor, answer)
    if isinstance(came, list):  # Gemini streams without `alt=sse`
        came = _joined_gemini(map(_object, cast("list[Any]", came)))
    found = {
        "gen_ai.system_instructions": _parts(
            asked.get("instructions") or asked.get("system") or asked.get("systemInstruction")
        ),
        "gen_ai.input.messages": _asked(asked),
        "gen_ai.output.messages": _answered(_object(came)),
    }
    return {name: _bounded(value) for name, value in found.items() if value}


def finish_reasons(answer: Json) -> list[str]:
    """Why an answer ended, for each of its choices, as its provider says it."""
    told = [_object(one).get("finish_reason") for one in _list(answer.get("choices"))]
    told += [_object(one).get("finishReason") for one in _list(answer.get("candidates"))]
    told.append(answer.get("stop_reason"))
    if answer.get("object") == "response":
        told.append(_object(answer.get("incomplete_details")).get("reason") or answer.get("status"))
    return [one for one in told if isinstance(one, str)]


def _asked(asked: Json) -> list[Json]:
    given: Any = asked.get("messages") or asked.get("contents") or asked.get("input") or asked.get("prompt")
    items: list[Any] = [given] if isinstance(given, str | dict) else _list(given)
    return [_message(item) for item in items]


def _message(item: Any) -> Json:
    """One message of a request, in whichever interface: a text, a message, or an item of `responses`."""
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


def _answered(answer: Json) -> list[Json]:
    """The messages of a whole answer."""
    reasons: list[str | None] = [*finish_reasons(answer), None]
    if "choices" in answer:
        choices = [_object(one) for one in _list(answer["choices"])]
        told = [
            _message(one["message"]) if "message" in one else _message({"content": one.get("text")})
            for one in choices
        ]
    elif "candidates" in answer:
        told = [_message(_object(one).get("content")) for one in _list(answer["candidates"])]
    elif parts := _parts(answer.get("content") or answer.get("output")):
        told = [{"role": "assistant", "parts": parts}]
    else:
        told = []

    return [
        one | {"role": "assistant", "finish_reason": reasons[min(at, len(reasons) - 1)] or "unknown"}
        for at, one in enumerate(told)
    ]


def _parts(content: Any) -> list[Json]:
    if content is None:
        return []

    content = _object(content).get("parts", content)
    if isinstance(content, list):
        items = cast("list[Any]", content)
    else:
        items = [content]

    found: list[Json] = []
    for item in items:
        inner = _object(item)
        if inner.get("type") == "message":  # of `responses`: a message around its parts
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
            str(_object(one).get("text")) for one in _list(part.get("summary"))
        )
        return {"type": "reasoning", "content": text}

    tool = _tool_part(part, kind)
    return tool or {"type": kind if isinstance(kind, str) else "unknown"}


def _tool_part(part: Json, kind: Any) -> Json | None:
    """A tool that is called, or what it gave."""
    if kind in {"tool_use", "function_call"}:
        itself = part
    else:
        itself = None

    if called := _object(part.get("functionCall") or part.get("function") or itself):
        given = called.get("args", called.get("input", called.get("arguments")))
        return {
            "type": "tool_call", "id": part.get("call_id") or part.get("id"), "name": called.get("name"),
            "arguments": _parsed(given.encode()) if isinstance(given, str) else given,
        }  # fmt: skip

    gave = _object(part.get("functionResponse"))
    if not gave and kind not in {"tool_result", "function_call_output"}:
        return None

    told = gave.get("response") or part.get("content") or part.get("output")
    name = part.get("tool_use_id") or part.get("call_id") or gave.get("name")
    return {"type": "tool_call_response", "id": name, "response": told}


def _joined(flavor: Flavor, stream: bytes) -> Json:
    """The whole answer that the events of a stream add up to."""
    events = [_object(_parsed(line[5:])) for line in stream.splitlines() if line.startswith(b"data:")]
    if flavor == "responses":
        told = [_object(one["response"]) for one in events if "response" in one]
        if told:
            return told[-1]
        return {}

    if flavor == "messages":
        return _joined_blocks(events)
    if flavor == "generate":
        return _joined_gemini(events)

    return _joined_choices(events)


def _joined_choices(events: Iterable[Json]) -> Json:
    choices: dict[int, Json] = {}
    for piece in (_object(one) for event in events for one in _list(event.get("choices"))):
        choice = choices.setdefault(piece.get("index", 0), {"message": {"content": "", "tool_calls": {}}})
        choice["finish_reason"] = piece.get("finish_reason") or choice.get("finish_reason")
        message, delta = choice["message"], _object(piece.get("delta"))
        message["content"] += delta.get("content") or piece.get("text") or ""

        for call in map(_object, _list(delta.get("tool_calls"))):
            told = message["tool_calls"].setdefault(
                call.get("index", 0), {"function": {"name": "", "arguments": ""}}
            )
            told["id"] = call.get("id") or told.get("id")
            for name in ("name", "arguments"):
                told["function"][name] += _object(call.get("function")).get(name) or ""

    for choice in choices.values():
        message = choice["message"]
        message["tool_calls"] = list(message["tool_calls"].values())
        message["content"] = message["content"] or None

    return {"choices": list(choices.values())}


def _joined_blocks(events: Iterable[Json]) -> Json:
    blocks: dict[int, Json] = {}
    reason: Any = None
    for event in events:
        at, delta = event.get("index", 0), _object(event.get("delta"))
        if event.get("type") == "content_block_start":
            blocks[at] = _object(event.get("content_block")) | {"json": ""}
        elif event.get("type") == "content_block_delta" and at in blocks:
            block = blocks[at]
            block["json"] += delta.get("partial_json") or ""
            for name in ("text", "thinking"):
                if name in delta:
                    block[name] = (block.get(name) or "") + delta[name]

        reason = delta.get("stop_reason") or reason

    for block in blocks.values():
        if told := block.pop("json"):
            block["input"] = _parsed(told.encode())

    return {"content": list(blocks.values()), "stop_reason": reason}


def _joined_gemini(events: Iterable[Json]) -> Json:
    candidates: dict[int, Json] = {}
    for one in (_object(one) for event in events for one in _list(event.get("candidates"))):
        whole = candidates.setdefault(one.get("index", 0), {"content": {"role": "model", "parts": []}})
        whole["finishReason"] = one.get("finishReason") or whole.get("finishReason")
        parts: list[Json] = whole["content"]["parts"]

        for part in map(_object, _list(_object(one.get("content")).get("parts"))):
            if parts and set(part) == set(parts[-1]) == {"text"}:
                parts[-1] = {"text": parts[-1]["text"] + part["text"]}
            else:
                parts.append(part)

    return {"candidates": list(candidates.values())}


def _bounded(messages: list[Json]) -> str:
    """As JSON, the newest messages first to be kept."""
    text = to_json(messages)
    while len(text) > MOST and messages:
        messages = messages[1:]
        text = to_json(messages)
    return text.decode()


def _parsed(data: bytes) -> Any:
    try:
        return from_json(data)
    except ValueError:
        return None


def _object(value: Any) -> Json:
    if isinstance(value, dict):
        return cast("Json", value)
    return {}


def _list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return cast("list[Any]", value)
    return []
