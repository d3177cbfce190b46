"""The telling words of a sentence that says what a workflow is for."""

from __future__ import annotations

import re

_WORD = re.compile(r"[a-z0-9]{2,}")
_SHORTEST = 3
_SHORT = {"ai"}
_COMMON = set(
    re.findall(
        r"\w+",
        "the and for with that this from into each all any are its has have not one new out per then them what when which how "
        "takes gives answers workflow list own our your every",
    )
)


def words_of(text: str) -> set[str]:
    """The telling words of a text, without their plural."""
    words = {word for word in _WORD.findall(text.lower()) if len(word) >= _SHORTEST or word in _SHORT}
    return {word.removesuffix("s") for word in words} - _COMMON
