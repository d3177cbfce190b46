"""Text that programs and models chose, made fit to stand in a question: on one line, visible, bounded, and quoted.

A person must be able to tell the question's own words from what somebody put into it.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

LIMIT: Final = 200
"""Characters of one item."""
_TOKEN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/@*+-]*|\*(?:\.[A-Za-z0-9_.-]+)?|\[[0-9A-Fa-f:.]+\](?::\d+)?")
_BLANK = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and signs that show nothing."""
_UNSEEN = ("C", "Zl", "Zp")
"""Categories: controls (C0, C1), formats (bidirectional, zero-width), surrogates, unassigned; separators of lines."""


def one_line(text: str, limit: int = LIMIT) -> str:
    """Without what is not seen, its white space as single spaces, at most `limit` characters and a count of the rest."""
    shown = "".join(map(_visible, text[: limit * 8]))
    flat = " ".join(shown.split())
    left = len(flat) - limit + max(len(text) - limit * 8, 0)
    if left <= 0:
        return flat
    return f"{flat[:limit]}… ({left} more characters)"


def item(text: str, limit: int = LIMIT) -> str:
    """A name as it is, where it can be nothing but a name; all else in quotation marks."""
    if _TOKEN.fullmatch(text) and len(text) <= limit:
        return text
    return quoted(text, limit)


def quoted(text: str, limit: int = LIMIT) -> str:
    """On one line, in quotation marks that the text itself can't have."""
    return f"“{one_line(text, limit).translate(_MARKS)}”"


_MARKS = str.maketrans(dict.fromkeys("“”„‟«»\uff02", "'"))


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    if character in _BLANK or unicodedata.category(character).startswith(_UNSEEN) or _selects(character):
        return ""
    return character


def _selects(character: str) -> bool:
    """Whether it is a variation selector, of which any number can follow a sign unseen."""
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
