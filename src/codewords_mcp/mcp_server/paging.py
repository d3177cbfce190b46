"""Read long values in parts: a path into a JSON value, and a window of its text."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, cast

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.errors import InvalidInput
from codewords_mcp.mcp_server.text import clean, clean_json, compact

WINDOW = 6_000
"""Characters of one part."""
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{1000,}={0,2}")
_MAX_KEYS = 20


class TextWindow(NamedTuple):
    """A window of a text of `total` characters; `next` is the offset of the next one, None for the last."""

    text: str
    offset: int
    total: int
    next: int | None

    @property
    def whole(self) -> bool:
        """Whether this is the complete text."""
        return self.offset == 0 and self.next is None


def at_path(value: JsonValue, path: str) -> JsonValue:
    """Return the value at a path such as `items.0.name`.

    Raises InvalidInput that names the first missing part and the keys that exist there.
    """
    walked: list[str] = []
    for key in [part for part in path.strip().strip(".").split(".") if part]:
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            # `isdecimal` refuses a sign: a negative index would count from the end.
            value = value[int(key)]
        else:
            raise InvalidInput(
                f"The result has nothing at part {len(walked) + 1} of this path.",
                hint=f"There {_describe(value)}.",
            )

        walked.append(key)

    return value


def _describe(value: Any) -> str:
    if isinstance(value, dict):
        keys = [key for key in list(cast("dict[str, Any]", value))[:_MAX_KEYS] if key.isidentifier()]
        if keys:
            return f"are the keys {', '.join(keys)}"
        return "is an object"
    if isinstance(value, list):
        return f"is a list of {len(cast('list[Any]', value))}, counted from 0"
    return "is a single value"


def text_window(value: Any, offset: int = 0, size: int = WINDOW) -> TextWindow:
    """Return a window of a text, or of a JSON value as text.

    The value is cleaned first, so that offsets of later windows stay valid.
    """
    if isinstance(value, str):
        text = clean(value)
    else:
        text = compact(clean_json(value))
    end = min(offset + size, len(text))
    return TextWindow(text[offset:end], offset, len(text), end if end < len(text) else None)


def _describe_base64(found: re.Match[str]) -> str:
    return f"(base64, {len(found[0])} characters)"


def without_base64(value: JsonValue) -> JsonValue:
    """Replace long runs of base64 in a value's strings by their length: a model can't read them."""
    if isinstance(value, str):
        return _BASE64.sub(_describe_base64, value)
    if isinstance(value, list):
        return [without_base64(item) for item in value]
    if isinstance(value, dict):
        return {key: without_base64(item) for key, item in value.items()}
    return value
