"""Parts of JSON that another program wrote, read as the type that belongs there.

A part of another type is read as an empty one: whoever sent it may have put anything there.
"""

from __future__ import annotations

from typing import Any, cast


def object_of(value: Any) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    return {}


def list_of(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    if isinstance(value, list):
        return cast("list[Any]", value)
    return []


def text_of(value: Any) -> str:
    """The value if it is a text, else an empty one."""
    if isinstance(value, str):
        return value
    return ""
