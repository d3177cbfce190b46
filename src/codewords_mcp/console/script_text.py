"""Tell the comments, strings, templates and patterns of a script from its code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""
    (?P<line>//[^\n]*)
  | (?P<block>/\*.*?\*/)
  | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
  | (?P<template>`)
  | (?P<slash>/)
    """,
    re.DOTALL | re.VERBOSE,
)
_PATTERN = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*")
_BEFORE_PATTERN = frozenset("(,=:[!&|?{};+-*%~^<>\n")
_WORDS_BEFORE_PATTERN = re.compile(r"\b(?:return|typeof|case|in|of|do|else|void|delete|await|yield)$")
_MARK = re.compile("\0(\\d+)\0")
_WORD = re.compile(r"(?:(?<=\.\.\.)|(?<![.\w$]))[A-Za-z_$][\w$]*")
"""A word that may be a name: no property, but what is spread."""


@dataclass(slots=True)
class Literals:
    """The strings, templates and patterns of a script, by the marks that stand for them in its code."""

    texts: list[str] = field(default_factory=list[str])

    def mark(self, text: str) -> str:
        """Keep a literal; its mark."""
        self.texts.append(text)
        return f"\0{len(self.texts) - 1}\0"

    def text(self, mark: str) -> str:
        """The literal of a mark."""
        return self.texts[int(mark.strip("\0"))]

    def restore(self, code: str) -> str:
        """The code with its literals in place of their marks."""
        return _MARK.sub(lambda found: self.texts[int(found[1])], code)


def names(code: str, literals: Literals) -> set[str]:
    """Words in code that may be names: no properties, nothing of strings; of templates what is in their slots."""
    found = set(_WORD.findall(_MARK.sub(" ", code)))
    for mark in _MARK.finditer(code):
        text = literals.texts[int(mark[1])]
        if text.startswith("`"):
            for slot in _slots(text):
                found |= names(*without_comments(slot))
    return found


def _slots(template: str) -> Iterator[str]:
    at = 1
    while at < len(template):
        if template[at] == "\\":
            at += 2
        elif template.startswith("${", at):
            end = _end_of_slot(template, at + 2)
            yield template[at + 2 : end - 1]
            at = end
        else:
            at += 1


def without_comments(source: str) -> tuple[str, Literals]:
    """The code of a script without comments and with marks in place of its literals, and these."""
    literals = Literals()
    parts: list[str] = []
    at = 0
    while found := _TOKEN.search(source, at):
        parts.append(source[at : found.start()])
        at = found.end()
        if found["string"]:
            parts.append(literals.mark(found[0]))
        elif found["template"]:
            at = _end_of_template(source, at)
            parts.append(literals.mark(source[found.start() : at]))
        elif found["slash"]:
            pattern = _PATTERN.match(source, found.start())
            if pattern and _can_be_pattern("".join(parts[-3:])):
                at = pattern.end()
                parts.append(literals.mark(pattern[0]))
            else:
                parts.append("/")
    parts.append(source[at:])
    return re.sub(r"[ \t]+(?=\n)", "", "".join(parts)), literals


def _end_of_template(source: str, at: int) -> int:
    """The place behind a template, which may hold code with further templates. `at` is behind its first backtick."""
    while at < len(source):
        if source[at] == "\\":
            at += 2
        elif source[at] == "`":
            return at + 1
        elif source.startswith("${", at):
            at = _end_of_slot(source, at + 2)
        else:
            at += 1
    raise ValueError("A template does not end.")


def _end_of_slot(source: str, at: int) -> int:
    """The place behind the code in a template."""
    depth, start = 1, at
    while depth:
        found = _TOKEN.match(source, at)
        if at >= len(source):
            raise ValueError("A template does not end.")
        if found is None:
            depth += {"{": 1, "}": -1}.get(source[at], 0)
            at += 1
        elif found["template"]:
            at = _end_of_template(source, at + 1)
        elif found["slash"]:
            pattern = _PATTERN.match(source, at)
            at = pattern.end() if pattern and _can_be_pattern(source[start:at]) else at + 1
        else:
            at = found.end()
    return at


def _can_be_pattern(before: str) -> bool:
    """Whether a slash after this code begins a pattern, and does not divide."""
    code = before.rstrip(" \t")
    return not code or code[-1] in _BEFORE_PATTERN or _WORDS_BEFORE_PATTERN.search(code) is not None
