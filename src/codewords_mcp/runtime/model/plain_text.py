"""Text chosen by programs and models, made safe for a consent question: on one line, visible,
bounded and quoted.

A person must be able to tell the question's own text from inserted text.
"""

from __future__ import annotations

import re
from typing import Final

from codewords_mcp.common.unseen import is_unseen

LIMIT: Final = 200
"""Maximum characters of one item."""
_TOKEN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/@*+-]*|\*(?:\.[A-Za-z0-9_.-]+)?|\[[0-9A-Fa-f:.]+\](?::\d+)?")


def one_line(text: str, limit: int = LIMIT) -> str:
    """The text without invisible characters, on one line, at most `limit` characters and a count of
    the rest.
    """
    # More is read than shown, since invisible characters fall away. A text may have nothing else.
    shown = "".join(map(_visible, text[: limit * 8]))
    flat = " ".join(shown.split())
    left = len(flat) - limit + max(len(text) - limit * 8, 0)
    if left <= 0:
        return flat
    return f"{flat[:limit]}… ({left} more characters)"


def item(text: str, limit: int = LIMIT) -> str:
    """The text as it is if it can only be a name, else in quotation marks."""
    if _TOKEN.fullmatch(text) and len(text) <= limit:
        return text
    return quoted(text, limit)


def quoted(text: str, limit: int = LIMIT) -> str:
    """The text on one line, in quotation marks that it can't contain."""
    return f"“{one_line(text, limit).translate(_MARKS)}”"


_MARKS = str.maketrans(dict.fromkeys("“”„‟«»\uff02", "'"))


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    if is_unseen(character):
        return ""
    return character
