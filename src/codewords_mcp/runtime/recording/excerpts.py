"""Short texts of two values that differ, for people."""

from __future__ import annotations

import json
from typing import Final

from codewords_mcp.runtime.recording.differences import ABSENT, Side

MAX_EXCERPT: Final = 80
_BEFORE_IT: Final = 20


def excerpts(before: Side, after: Side) -> tuple[str | None, str | None]:
    """Both values as text; of long texts the part where they begin to differ. None for one that is not there."""
    if isinstance(before, str) and isinstance(after, str):
        start = _first_difference(before, after)
        return _cut(before, start), _cut(after, start)
    return _text(before), _text(after)


def _text(value: Side) -> str | None:
    if value is ABSENT:
        return None
    if isinstance(value, str):
        text = value
    else:
        text = json.dumps(value, ensure_ascii=False)
    return _cut(text, 0)


def _first_difference(before: str, after: str) -> int:
    pairs = zip(before, after, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(before), len(after)))


def _cut(text: str, start: int) -> str:
    begin = max(start - _BEFORE_IT, 0) if len(text) > MAX_EXCERPT else 0
    piece = text[begin : begin + MAX_EXCERPT]
    # Such values come from hosts and programs, and are printed in terminals.
    shown = "".join(letter if letter.isprintable() else "·" for letter in piece)
    head = "…" if begin else ""
    tail = "…" if begin + MAX_EXCERPT < len(text) else ""
    return f"{head}{shown}{tail}"
