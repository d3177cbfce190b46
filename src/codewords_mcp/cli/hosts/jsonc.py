"""Puts one member into a JSON file of a person's and takes it out, leaving every other character as it is.

Chat hosts keep comments and trailing commas in these files (VS Code, Zed), which a JSON library would lose or refuse.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from codewords_mcp.common.bounded_json import JsonValue

_TOKEN: Final = re.compile(
    r"""
    (?P<skip>[\s\ufeff]+|//[^\n]*|/\*.*?\*/)
    | (?P<string>"(?:[^"\\\n]|\\.)*")
    | (?P<mark>[{}\[\]:,])
    | (?P<word>[^\s{}\[\]:,"/]+)
    """,
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class _JsonToken:
    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Member:
    """The positions of a member and its value in the text."""

    start: int
    value: int
    end: int


@dataclass(frozen=True, slots=True)
class _Object:
    """An object: just behind its brace, at its closing one, and its members by name."""

    inside: int
    closing: int
    members: dict[str, _Member]


def loads(text: str) -> JsonValue:
    """The value of JSON with comments and trailing commas. Raises ValueError, with the line."""
    tokens = _tokens(text)
    remaining: list[str] = []

    for number, token in enumerate(tokens):
        if number + 1 < len(tokens):
            following = tokens[number + 1].text
        else:
            following = ""

        # Trailing commas are what `json` refuses; comments are no tokens.
        if not (token.text == "," and following in ("}", "]")):
            remaining.append(token.text)

    return json.loads(" ".join(remaining))


def put(text: str, path: list[str], value: Any) -> str:
    """The text with `value` at this path of objects, made where they are missing. Raises ValueError where it is not JSON of
    objects down to there.
    """
    if not text.strip():
        text = "{}\n"
    # Everything below reads tokens and relies on valid JSON.
    loads(text)
    found = _object_at(text, 0)
    for depth, name in enumerate(path[:-1]):
        member = found.members.get(name)
        if member is None:
            inner: Any = {path[-1]: value}
            for missing in reversed(path[depth + 1 : -1]):
                inner = {missing: inner}
            return _insert(text, found, name, inner)

        found = _object_at(text, member.value)

    member = found.members.get(path[-1])
    if member is None:
        return _insert(text, found, path[-1], value)

    return text[: member.value] + _dump(value, text, _indent(text, member.start)) + text[member.end :]


def take(text: str, path: list[str]) -> str:
    """The text without the member at this path; the same text where there is none. Raises ValueError as `put`."""
    loads(text)
    found = _object_at(text, 0)

    for name in path[:-1]:
        member = found.members.get(name)
        if member is None:
            return text
        found = _object_at(text, member.value)

    member = found.members.get(path[-1])
    if member is None:
        return text

    start, end = member.start, member.end
    after = _next(text, end)
    # The comma goes with the member: the one behind it, else the one before.
    if after.text == ",":
        end = after.end
    else:
        before = text[found.inside : start].rstrip()
        if before.endswith(","):
            start = found.inside + len(before) - 1

    line = text.rfind("\n", 0, start) + 1
    # A member on a line of its own takes the line with it.
    if not text[line:start].strip() and line >= found.inside:
        start = line - 1
    return text[:start] + text[end:]


def _insert(text: str, into: _Object, name: str, value: Any) -> str:
    """Insert a first member, on a line of its own."""
    outer = _indent(text, into.inside - 1)
    step = _step(text)
    inner = outer + step
    member = f"{json.dumps(name)}: {_dump(value, text, inner)}"
    tail = "," if into.members else f"\n{outer}"
    rest = text[into.inside :]

    if not into.members and not text[into.inside : into.closing].strip():
        rest = text[into.closing :]
    elif into.members and not re.match(r"[ \t]*(?://[^\n]*)?\n", rest):
        rest = f"\n{inner}{rest.lstrip()}"

    return f"{text[: into.inside]}\n{inner}{member}{tail}{rest}"


def _dump(value: Any, text: str, indent: str) -> str:
    step = _step(text)
    return json.dumps(value, indent=step, ensure_ascii=False).replace("\n", f"\n{indent}")


def _step(text: str) -> str:
    """Return the indentation of this file."""
    found = re.search(r'^([ \t]+)"', text, re.MULTILINE)
    if found:
        return found[1]
    return "  "


def _indent(text: str, at: int) -> str:
    line = text.rfind("\n", 0, at) + 1
    found = re.match(r"[ \t]*", text[line:])
    if found:
        return found[0]
    return ""


def _tokens(text: str, start: int = 0) -> list[_JsonToken]:
    found: list[_JsonToken] = []
    at = start
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"not JSON at line {text.count(chr(10), 0, at) + 1}")
        at = match.end()
        if match.lastgroup and match.lastgroup != "skip":
            found.append(_JsonToken(match.lastgroup, match[0], match.start(), match.end()))
    return found


def _next(text: str, at: int) -> _JsonToken:
    return next(iter(_tokens(text, at)))


def _object_at(text: str, at: int) -> _Object:
    """The object whose brace is the next token. Raises ValueError where the value is none."""
    tokens = _tokens(text, at)
    if not tokens or tokens[0].text != "{":
        raise ValueError("an object is expected where there is another value")

    members: dict[str, _Member] = {}
    number = 1
    while tokens[number].text != "}":
        name, value = tokens[number], tokens[number + 2]
        number = _behind(tokens, number + 2)
        members[json.loads(name.text)] = _Member(name.start, value.start, tokens[number - 1].end)
        if tokens[number].text == ",":
            number += 1

    return _Object(tokens[0].end, tokens[number].start, members)


def _behind(tokens: list[_JsonToken], number: int) -> int:
    """The number of the token after the value that begins here."""
    depth = 0
    while True:
        if tokens[number].kind == "mark":
            text = tokens[number].text
        else:
            text = ""

        depth += (text in ("{", "[")) - (text in ("}", "]"))
        number += 1
        if depth == 0:
            return number
