"""Replies of a scripted model: whole answers for `LoopbackProviders.answer_next`."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence

from codewords_testing.providers.model import Json, StubReply, dumped

_PROMPT = 1_000


def chat_reply(text: str, *, model: str = "gpt-4.1", finish: str = "stop") -> StubReply:
    """An OpenAI chat completion with this text; it bills 1,000 tokens in, and a quarter of its characters out."""
    out = max(1, len(text) // 4)
    usage: Json = {"prompt_tokens": _PROMPT, "completion_tokens": out, "total_tokens": _PROMPT + out}
    message: Json = {"role": "assistant", "content": text, "refusal": None}
    choice: Json = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    whole: Json = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_760_000_000, "model": model,
        "choices": [choice], "usage": usage,
    }  # fmt: skip
    return StubReply(body=dumped(whole), usage=usage)


def response_reply(
    text: str = "", *, calls: Sequence[tuple[str, Json]] = (), model: str = "gpt-4.1"
) -> StubReply:
    """An answer of OpenAI's `/responses`: calls of tools (name, arguments), or the text; billed as `chat_reply` does."""
    encoded_calls = [(name, json.dumps(arguments)) for name, arguments in calls]
    out = max(1, len(text + "".join(arguments for _, arguments in encoded_calls)) // 4)
    usage: Json = {
        "input_tokens": _PROMPT, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": out,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": _PROMPT + out,
    }  # fmt: skip
    output: list[Json] = [
        {"id": f"fc_{call_id}", "type": "function_call", "status": "completed", "call_id": f"call_{call_id}", "name": name,
         "arguments": arguments}
        for name, arguments in encoded_calls
        for call_id in [secrets.token_hex(6)]
    ]  # fmt: skip

    if text:
        content: Json = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        output.append(
            {
                "id": "msg_1",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [content],
            }
        )

    whole: Json = {
        "id": "resp_1", "object": "response", "created_at": 1_760_000_000, "status": "completed", "error": None,
        "incomplete_details": None, "instructions": None, "model": model, "output": output, "parallel_tool_calls": True,
        "previous_response_id": None, "tool_choice": "auto", "tools": [], "usage": usage, "metadata": {},
    }  # fmt: skip
    return StubReply(body=dumped(whole), usage=usage)
