"""Puts one member into a mapping at the top of a YAML file and takes it out, leaving every other line as it is.

Goose keeps its configuration so. Only what such files look like is edited: block mappings, keys at the left margin.
Anything else is refused, since a YAML library would lose comments and the order that a person gave.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

_KEY: Final = re.compile(
    r"""(?P<indent> *)(?P<quote>["']?)(?P<name>[\w.-]+)(?P=quote)[ ]*:(?P<rest>(?:[ \t].*)?)$"""
)
_STEP: Final = "  "


@dataclass(frozen=True, slots=True)
class _Block:
    """A mapping: the number of its key's line, of the first line behind it, and its members' indentation."""

    key: int
    end: int
    indent: int


def put(text: str, path: tuple[str, str], value: dict[str, Any]) -> str:
    """The text with `value` as a member of a top-level mapping, made where it is missing. Raises ValueError where the
    file has another form.
    """
    lines = _lines(text)
    block = _block(lines, path[0])
    if block is None:
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        return "".join([*lines, f"{path[0]}:\n", *_member(path[1], value, len(_STEP))])

    start, end = _member_at(lines, block, path[1])
    lines[start:end] = _member(path[1], value, block.indent)
    # An empty mapping, `extensions: {}`, becomes one of lines.
    lines[block.key] = re.sub(r":[ ]*\{[ ]*\}", ":", lines[block.key])
    return "".join(lines)


def take(text: str, path: tuple[str, str]) -> str:
    """The text without the member, and without its mapping where nothing is left in it. Raises ValueError as `put`."""
    lines = _lines(text)
    block = _block(lines, path[0])
    if block is None:
        return text

    start, end = _member_at(lines, block, path[1])
    if start == end:
        return text

    del lines[start:end]
    return without_empty("".join(lines), path[0])


def without_empty(text: str, name: str) -> str:
    """The text without a top-level mapping that has no members. Raises ValueError as `put`."""
    lines = _lines(text)
    block = _block(lines, name)
    if block is not None and not any(_is_content(line) for line in lines[block.key + 1 : block.end]):
        del lines[block.key]
    return "".join(lines)


def _lines(text: str) -> list[str]:
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        content = line.rstrip("\r\n")
        if content.startswith(" ") or not _is_content(content) or (content == "---" and number == 1):
            continue
        # A list may stand at the margin below its key.
        if _KEY.match(content) is None and not content.startswith("- "):
            raise ValueError(f"not a mapping of keys at line {number}")
    return lines


def _is_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _block(lines: list[str], name: str) -> _Block | None:
    for number, line in enumerate(lines):
        found = _KEY.match(line.rstrip("\r\n"))
        if found is None or found["indent"] or found["name"] != name:
            continue

        rest = found["rest"].split(" #")[0].strip()
        if rest not in {"", "{}", "{ }"}:
            raise ValueError(f"`{name}` is not a block of lines at line {number + 1}")

        end = number + 1
        while end < len(lines) and (lines[end].startswith(" ") or not _is_content(lines[end])):
            end += 1
        # Blank lines and comments at the margin belong to what comes after.
        while end > number + 1 and not lines[end - 1].startswith(" "):
            end -= 1
        return _Block(number, end, _indent(lines[number + 1 : end], number + 2))

    return None


def _indent(lines: list[str], number: int) -> int:
    """The indentation of a mapping's members."""
    first = next((line for line in lines if _is_content(line)), None)
    if first is None:
        return len(_STEP)
    found = _KEY.match(first.rstrip("\r\n"))
    if found is None:
        raise ValueError(f"not a mapping of keys near line {number}")
    return len(found["indent"])


def _member_at(lines: list[str], block: _Block, name: str) -> tuple[int, int]:
    """The lines of a member, from and until; an empty range at the mapping's end where there is none."""
    start = block.end
    for number in range(block.key + 1, block.end):
        found = _KEY.match(lines[number].rstrip("\r\n"))
        if found is None or len(found["indent"]) != block.indent:
            continue
        if start < block.end:
            return start, number
        if found["name"] == name:
            start = number

    return start, block.end


def _member(name: str, value: dict[str, Any], indent: int) -> list[str]:
    margin = " " * indent
    # A scalar or a flow sequence in JSON is YAML too.
    inner = [f"{margin}{_STEP}{key}: {json.dumps(item, ensure_ascii=False)}\n" for key, item in value.items()]
    return [f"{margin}{name}:\n", *inner]
