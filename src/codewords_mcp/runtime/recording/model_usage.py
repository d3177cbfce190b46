"""Model and tokens of a recorded model call."""

from __future__ import annotations

import json
import re
from typing import Final, cast

from codewords_mcp.common.json_parts import text_of
from codewords_mcp.runtime.recording.exchanges import Exchange, RecordedRequest, split_url

_PATH_MODEL: Final = re.compile(r"/models/([^/:]+)")
_USAGE: Final = re.compile(rb'"(?:usage|usageMetadata)"\s*:\s*(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})')
_TOTALS: Final = ("total_tokens", "totalTokenCount")
_PARTS: Final = ("input_tokens", "output_tokens", "prompt_tokens", "completion_tokens")


def model_of(request: RecordedRequest) -> str:
    """The model that a call prompts; "" where it names none."""
    if found := _PATH_MODEL.search(split_url(request.url).path):
        return found[1]
    fields = _object(request.body or b"")
    return text_of(fields.get("model"))


def tokens_of(exchange: Exchange) -> int:
    """Tokens that the response says it took; 0 where it does not say."""
    # A stream reports more than once; the last report is the sum.
    reports = [_object(found[1]) for found in _USAGE.finditer(exchange.body)]
    return max(map(_total, reports), default=0)


def _total(usage: dict[str, object]) -> int:
    for name in _TOTALS:
        total = usage.get(name)
        if isinstance(total, int):
            return total
    return sum(value for name in _PARTS if isinstance(value := usage.get(name), int))


def _object(text: bytes) -> dict[str, object]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return cast("dict[str, object]", found)
