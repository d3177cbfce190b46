"""Make text from outside safe to print: a program's words must not move a person's cursor, nor read in another order.

Text loses terminal sequences, control characters and characters without width; JSON keeps them as escapes.
"""

from __future__ import annotations

import json
import re
from typing import Any

from codewords_mcp.common.unseen import UNSEEN

_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[@-Z\\-_]"
)
# The variation selector 16 makes signs coloured, as in ✔️.
_HIDDEN = re.compile(f"(?!\ufe0f)[{UNSEEN}]")


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
    return _HIDDEN.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    if found[0] != "\x7f":
        return json.dumps(found[0])[1:-1]
    return "\\u007f"
