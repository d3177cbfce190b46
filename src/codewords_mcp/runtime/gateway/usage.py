"""Providers' usage reports, in one set of names for all interfaces.

Names are those of genai-prices: `input_tokens` counts cached ones too, `output_tokens` the
reasoning.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, cast

from codewords_mcp.common.json_parts import object_of
from codewords_mcp.runtime.gateway.providers import Flavor

Tokens = dict[str, int]
Json = dict[str, Any]
AUDIO_MS: Final = "audio_ms"
"""Milliseconds of sound, or of a session, where these are billed."""
TEXT_MESSAGES: Final = "input_text_messages"
# No call uses more of anything; a greater number is a mistake.
_MAX_COUNT = 1 << 40
_ALWAYS: Final = frozenset({"input_tokens", "output_tokens"})
_OPENAI_READ: Final = {
    "cached_tokens": "cache_read_tokens", "cache_write_tokens": "cache_write_tokens",
    "audio_tokens": "input_audio_tokens", "image_tokens": "input_image_tokens",
}  # fmt: skip
_OPENAI_WRITTEN: Final = {
    "reasoning_tokens": "output_reasoning_tokens", "audio_tokens": "output_audio_tokens",
    "image_tokens": "output_image_tokens",
}  # fmt: skip


def read_usage(flavor: Flavor, usage: Json) -> Tokens | None:
    """The tokens of a usage object; None if its counts are invalid: negative, fractional, absent."""
    tokens = _READERS.get(flavor, _openai)(usage)
    if tokens is None:
        return None
    found: Tokens = {}
    for name, count in tokens.items():
        if not 0 <= count <= _MAX_COUNT:
            return None
        if count or name in _ALWAYS:
            found[name] = count
    return found


def _number(value: Any) -> int:
    """A count; -1, which no usage may hold, for any other value. Absent is 0."""
    if value is None:
        return 0
    # `type`, not `isinstance`: True is an int too.
    if type(value) is int:
        return value
    return -1


def _part(value: Json, name: str) -> Json:
    return object_of(value.get(name))


def _openai(usage: Json) -> Tokens | None:
    """Chat and embeddings use `prompt_tokens`; responses, images and audio `input_tokens`."""
    prompt = usage.get("prompt_tokens", usage.get("input_tokens"))
    if prompt is None:
        return None

    read = (
        _part(usage, "prompt_tokens_details")
        or _part(usage, "input_tokens_details")
        or _part(usage, "input_token_details")
    )
    written = (
        _part(usage, "completion_tokens_details")
        or _part(usage, "output_tokens_details")
        or _part(usage, "output_token_details")
    )
    tokens = {
        "input_tokens": _number(prompt),
        "output_tokens": _number(usage.get("completion_tokens", usage.get("output_tokens"))),
    }
    for details, names in ((read, _OPENAI_READ), (written, _OPENAI_WRITTEN)):
        for name, count in details.items():
            # Most of them are 0.
            if name in names and (count or type(count) is not int):
                tokens[names[name]] = _number(count)
    if "cached_tokens_details" in read:
        tokens["cache_audio_read_tokens"] = _number(_part(read, "cached_tokens_details").get("audio_tokens"))
    return tokens


def _realtime(usage: Json) -> Tokens | None:
    """Transcriptions of some models are billed, and reported, by their length."""
    if usage.get("type") != "duration":
        return _openai(usage)
    seconds: Any = usage.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _MAX_COUNT:
        return None
    return {"input_tokens": 0, "output_tokens": 0, AUDIO_MS: math.ceil(seconds * 1000)}


def _anthropic(usage: Json) -> Tokens | None:
    """`input_tokens` exclude the cache here. Web searches are billed apart."""
    if usage.get("input_tokens") is None:
        return None

    written, read = (
        _number(usage.get("cache_creation_input_tokens")),
        _number(usage.get("cache_read_input_tokens")),
    )
    split, tools = _part(usage, "cache_creation"), _part(usage, "server_tool_use")
    uncached = _number(usage.get("input_tokens"))

    return {
        # A part that is no count makes the sum none, too.
        "input_tokens": uncached + written + read if min(uncached, written, read) >= 0 else -1,
        "output_tokens": _number(usage.get("output_tokens")),
        "cache_read_tokens": read,
        "cache_write_tokens": written,
        "cache_write_5m_tokens": _number(split.get("ephemeral_5m_input_tokens")),
        "cache_write_1h_tokens": _number(split.get("ephemeral_1h_input_tokens")),
        "output_reasoning_tokens": _number(_part(usage, "output_tokens_details").get("thinking_tokens")),
        "web_searches": _number(tools.get("web_search_requests")),
    }


def _gemini(usage: Json) -> Tokens | None:
    """Thoughts are billed as output beside the candidates, tool results as input beside the prompt."""
    if not any(name.endswith("TokenCount") for name in usage):
        return None

    prompt, tools = _number(usage.get("promptTokenCount")), _number(usage.get("toolUsePromptTokenCount"))
    # Live sessions have another name for it.
    written = "candidates" if "candidatesTokenCount" in usage else "response"
    candidates, thoughts = (
        _number(usage.get(f"{written}TokenCount")),
        _number(usage.get("thoughtsTokenCount")),
    )
    details = ("promptTokensDetails", "toolUsePromptTokensDetails")

    return {
        "input_tokens": prompt + tools if min(prompt, tools) >= 0 else -1,
        "output_tokens": candidates + thoughts if min(candidates, thoughts) >= 0 else -1,
        "cache_read_tokens": _number(usage.get("cachedContentTokenCount")),
        "output_reasoning_tokens": thoughts,
        "input_audio_tokens": sum(_of_kind(usage, name, "AUDIO") for name in details),
        "input_image_tokens": sum(_of_kind(usage, name, "IMAGE", "DOCUMENT") for name in details),
        "input_video_tokens": sum(_of_kind(usage, name, "VIDEO") for name in details),
        "cache_audio_read_tokens": _of_kind(usage, "cacheTokensDetails", "AUDIO"),
        "output_audio_tokens": _of_kind(usage, f"{written}TokensDetails", "AUDIO"),
        "output_image_tokens": _of_kind(usage, f"{written}TokensDetails", "IMAGE", "DOCUMENT"),
        "output_video_tokens": _of_kind(usage, f"{written}TokensDetails", "VIDEO"),
    }


def _converse(usage: Json) -> Tokens | None:
    """Bedrock's Converse, whose `inputTokens` exclude the cache."""
    if usage.get("inputTokens") is None:
        return None

    plain, read, written = (
        _number(usage.get(name)) for name in ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
    )
    return {
        "input_tokens": plain + read + written if min(plain, read, written) >= 0 else -1,
        "output_tokens": _number(usage.get("outputTokens")),
        "cache_read_tokens": read,
        "cache_write_tokens": written,
    }


def _of_kind(usage: Json, name: str, *kinds: str) -> int:
    listed: Any = usage.get(name)
    if not isinstance(listed, list):
        return 0
    items = (cast("Json", item) for item in cast("list[Any]", listed) if isinstance(item, dict))
    return sum(_number(item.get("tokenCount")) for item in items if item.get("modality") in kinds)


_READERS: dict[Flavor, Callable[[Json], Tokens | None]] = {
    "messages": _anthropic,
    "generate": _gemini,
    "live": _gemini,
    "realtime": _realtime,
    "transcribe": _realtime,
    "embed": _gemini,
    "converse": _converse,
}
