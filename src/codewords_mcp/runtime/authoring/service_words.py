"""Keywords of a text that describes a workflow."""

from __future__ import annotations

import re

_WORD = re.compile(r"[a-z0-9]{2,}")
_MIN_LENGTH = 3
_SHORT = {"ai"}
_COMMON = set(
    re.findall(
        r"\w+",
        "the and for with that this from into each all any are its has have not one new out per then them what when which how "
        "takes gives answers workflow list own our your every",
    )
)


def key_words(text: str) -> set[str]:
    """The keywords of a text, in the singular."""
    words = {word for word in _WORD.findall(text.lower()) if len(word) >= _MIN_LENGTH or word in _SHORT}
    return {word.removesuffix("s") for word in words} - _COMMON
