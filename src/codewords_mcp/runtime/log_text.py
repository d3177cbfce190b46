"""What a line of a program's log says about itself: its level, and the fields of a structured one.

Read off when a line is shown, not when it is stored: a flood of lines must not cost more than their writing.
"""

from __future__ import annotations

import re
from typing import Any, cast

from codewords_mcp.bounded_json import parse_or_none

Line = tuple[str, str, str]
"""created_at, stream, message: a line where a model for each would cost more than the rest."""
LEVELS = ("debug", "info", "warning", "error", "critical")
_NAMES = {
    "trace": "debug", "debug": "debug", "info": "info", "notice": "info", "warn": "warning", "warning": "warning",
    "error": "error", "err": "error", "exception": "error", "critical": "critical", "fatal": "critical",
}  # fmt: skip
_PLAIN = re.compile(
    # uvicorn's and the standard library's `INFO:     …`, structlog's `2026-01-31T09:30:00Z [info     ] …`
    r"(?:(?P<head>[A-Z]{4,8}):\s|(?:[\d\-T:.,Z+ ]{8,35})?\[(?P<bracket>[A-Za-z]{4,9}) *\])"
)
_LEVEL_KEYS = ("level", "levelname", "severity", "log_level")
LONGEST = 16 << 10
"""Characters of a line that is looked into."""


def level_of(message: str) -> str | None:
    """One of `LEVELS`, where the line says one."""
    if message.startswith("{"):
        fields = fields_of(message) or {}
        named = next((fields[key] for key in _LEVEL_KEYS if isinstance(fields.get(key), str)), "")
        return _NAMES.get(named.lower())
    if message.startswith("Traceback (most recent call last)"):
        return "error"
    found = _PLAIN.match(message)
    return _NAMES.get((found["head"] or found["bracket"]).lower()) if found else None


def fields_of(message: str) -> dict[str, Any] | None:
    """The fields of a line that is one JSON object, as structlog writes them."""
    if not message.startswith("{") or len(message) > LONGEST:
        return None
    found = parse_or_none(message)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def at_least(message: str, least: str) -> bool:
    """Whether the line is of this level or a higher one; a line that says none counts as `info`."""
    return LEVELS.index(level_of(message) or "info") >= LEVELS.index(least)
