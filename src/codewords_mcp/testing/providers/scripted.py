"""What a scripted model says: whole answers for `LoopbackProviders.answer_next`."""

from __future__ import annotations

from codewords_mcp.testing.providers.model import Json, Reply, dumped

_PROMPT = 1_000


def chat_reply(text: str, *, model: str = "gpt-4.1", finish: str = "stop") -> Reply:
    """An OpenAI chat completion with this text; it bills 1,000 tokens in, and a quarter of its characters out."""
    out = max(1, len(text) // 4)
    usage: Json = {"prompt_tokens": _PROMPT, "completion_tokens": out, "total_tokens": _PROMPT + out}
    message: Json = {"role": "assistant", "content": text, "refusal": None}
    choice: Json = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    whole: Json = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_760_000_000, "model": model,
        "choices": [choice], "usage": usage,
    }  # fmt: skip
    return Reply(body=dumped(whole), usage=usage)
