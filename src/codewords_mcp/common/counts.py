"""Numbers of things, in words."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 run`, `12,345 runs`. `plural` is given where it is not the noun and an s."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {plural or f'{noun}s'}"
