"""Paths to a value in JSON: names after dots, and positions or quoted names in brackets."""

from __future__ import annotations

import re
from typing import cast

from codewords_mcp.common.bounded_json import JsonValue

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(-?\d{1,9})\]|\[(['\"])(.*?)\3\]")
_SHOWN = 40


class NoSuchPath(ValueError):  # says what it is
    """A path that leads nowhere. The text says at which step."""


def find_path(value: JsonValue, path: str) -> JsonValue:
    """Return the value at a path such as `data.items[0].price`; a `$` before it is allowed. Raises NoSuchPath."""
    rest = path.strip().removeprefix("$")
    at = 0
    while at < len(rest):
        step = _STEP.match(rest, at)
        if step is None:
            raise NoSuchPath(f"{rest[at : at + _SHOWN]!r} is no step of a path")
        name, position, _, quoted_name = step.groups()
        value = _step(value, name if name is not None else quoted_name, position, step.group())
        at = step.end()
    return value


def _step(value: JsonValue, name: str | None, position: str | None, step: str) -> JsonValue:
    if position is not None and isinstance(value, list):
        elements = cast("list[JsonValue]", value)
        if -len(elements) <= int(position) < len(elements):
            return elements[int(position)]
        raise NoSuchPath(f"the list at {step!r} has {len(elements)} elements")
    if name is not None and isinstance(value, dict) and name in value:
        return value[name]
    raise NoSuchPath(f"there is no {step[:_SHOWN]!r}")
