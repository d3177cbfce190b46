"""Suggestions of a current model for one that its provider has retired."""

from __future__ import annotations

import re

# As of November 2026.
_SUGGESTIONS = (
    (re.compile(r"gpt-3\.5|gpt-[45].*(mini|nano)|o[134]-mini"), "gpt-6-luna"),
    (re.compile(r"gpt-|o[134](-|$)|chatgpt"), "gpt-6-sol"),
    (re.compile(r"claude.*haiku|claude-instant"), "claude-haiku-5-5"),
    (re.compile(r"claude.*opus"), "claude-opus-5-5"),
    (re.compile(r"claude"), "claude-sonnet-5-5"),
    (re.compile(r"gemini.*flash"), "gemini-3.8-flash"),
    (re.compile(r"gemini"), "gemini-4-argon"),
)


def suggest_model(model: str) -> str | None:
    """Return the name of a current model of the same kind; None if unknown."""
    return next((name for pattern, name in _SUGGESTIONS if pattern.match(model)), None)
