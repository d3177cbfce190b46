"""Which living model is nearest to one that its provider has retired."""

from __future__ import annotations

import re

_NEAREST = (
    (re.compile(r"gpt-3\.5|gpt-[45].*(mini|nano)|o[134]-mini"), "gpt-6-luna"),
    (re.compile(r"gpt-|o[134](-|$)|chatgpt"), "gpt-6-sol"),
    (re.compile(r"claude.*haiku|claude-instant"), "claude-haiku-5-5"),
    (re.compile(r"claude.*opus"), "claude-opus-5-5"),
    (re.compile(r"claude"), "claude-sonnet-5-5"),
    (re.compile(r"gemini.*flash"), "gemini-3.8-flash"),
    (re.compile(r"gemini"), "gemini-4-argon"),
)
"""As of November 2026."""


def neighbour(model: str) -> str | None:
    """The name of a living model of the same kind; None where we know none."""
    return next((name for pattern, name in _NEAREST if pattern.match(model)), None)
