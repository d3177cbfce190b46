"""Make text from outside safe to print: a program's words must not move a person's cursor, nor read in another order.

Text loses terminal sequences, control characters and characters without width; JSON keeps them as escapes.
"""

from __future__ import annotations

import json
import re
from typing import Any

_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[@-Z\\-_]"
)
_UNSEEN = (
    "\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\ud800-\udfff"
)
"""C1, bidirectional marks, fillers, joiners, tags and variation selectors: characters that are not seen, or that turn others."""
_HIDDEN = re.compile(f"[\x00-\x08\x0b-\x1f{_UNSEEN}]")
_HIDDEN_IN_JSON = re.compile(f"[{_UNSEEN}]")  # JSON itself escapes C0


def terminal_text(text: str) -> str:
    """Return the text safe for a terminal: tabs and newlines stay, other invisible characters are removed."""
    # The usual case, without the expressions.
    if text.isascii() and text.isprintable():
        return text
    # Sequences first: without their escape character the rest would stay as text.
    return _HIDDEN.sub("", _SEQUENCES.sub("", text).replace("\r\n", "\n"))


def terminal_json(value: Any, *, indent: int | None = None) -> str:
    """Return the value as JSON whose unseen characters are escapes, so that it stays the same value."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    if text.isascii() and "\x7f" not in text:
        return text
    return _HIDDEN_IN_JSON.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    if found[0] != "\x7f":
        return json.dumps(found[0])[1:-1]
    return "\\u007f"
