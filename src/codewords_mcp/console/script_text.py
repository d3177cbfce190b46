"""The tokens of a script, with the code in its templates, and a script with marks in place of its literals.

A token is found by one pattern, but for a template, whose slots are code with templates of their own, and a regular
expression, which only what stands before it tells from a division.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<word>[#@]?[A-Za-z_$\u0080-\uffff][\w$\u0080-\uffff]*)
  | (?P<comment>//[^\n]*|/\*.*?\*/)
  | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
  | (?P<number>(?:\d[\w.]*|\.\d\w*))
  | (?P<template>`)
  | (?P<sign>=>|\?\.(?!\d)|\?\?=?|&&=?|\|\|=?|\+\+|--|\*\*=?|>>>?=?|<<=?|[=!]==?|[-+*%&|^<>]=|\.\.\.|/=?|[^\s])
    """,
    re.DOTALL | re.VERBOSE,
)
_EXPRESSION = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/\w*")
_TEMPLATE_TEXT = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*", re.DOTALL)
_BEFORE_EXPRESSION = frozenset({
    "return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "else", "do", "await", "yield", "instanceof",
})  # fmt: skip
_AFTER_VALUE = frozenset({")", "]", "}", "++", "--"})
SILENT = frozenset({"space", "comment"})
"""Kinds of tokens that say nothing."""
_MARK = re.compile("\0(\\d+)\0")
_WORD = re.compile(r"(?:(?<=\.\.\.)|(?<![.\w$]))[A-Za-z_$][\w$]*")
"""A word that may be a name: no property, but what is spread."""


class Unended(ValueError):
    """A template or a regular expression has no end."""


class Token(NamedTuple):
    """A piece of a script as it is written; all of them together are the script.

    `kind` is space, comment, string, number, word, template, expression or sign. `parts` are of a template: its text with the
    quotes, and the code in its slots without their braces.
    """

    kind: str
    text: str
    parts: tuple[str | list[Token], ...] = ()


def tokens(script: str) -> list[Token]:
    """Split a script. Raises Unended."""
    return list(_scan(script, 0, in_slot=False))


def _scan(script: str, at: int, *, in_slot: bool) -> Iterator[Token]:
    """The tokens from a place on, to the brace that ends a slot or to the script's end."""
    # The last one that says something: it tells whether a slash divides.
    before: Token | None = None
    depth = 0
    while match := _TOKEN.match(script, at):
        kind, text = str(match.lastgroup), match[0]
        if kind == "template":
            token = _template(script, at)
        elif kind == "sign" and text in {"/", "/="} and _begins_expression(before):
            token = _regular_expression(script, at)
        else:
            token = Token(kind, text)
            if in_slot and kind == "sign":
                depth += {"{": 1, "}": -1}.get(text, 0)
                if depth < 0:
                    return
        yield token
        at += len(token.text)
        if kind not in SILENT:
            before = token

    if in_slot:
        raise Unended("The code in a template does not end.")


def _template(script: str, start: int) -> Token:
    parts: list[str | list[Token]] = []
    at, begin = start + 1, start
    while match := _TEMPLATE_TEXT.match(script, at):
        at = match.end()
        if not script.startswith("${", at):
            break

        parts.append(script[begin : at + 2])
        slot = list(_scan(script, at + 2, in_slot=True))
        parts.append(slot)
        begin = at + 2 + sum(len(token.text) for token in slot)
        at = begin + 1

    if not script.startswith("`", at):
        raise Unended("A template does not end.")
    parts.append(script[begin : at + 1])
    return Token("template", script[start : at + 1], tuple(parts))


def _begins_expression(before: Token | None) -> bool:
    """Whether a slash here begins a regular expression: a value before it would make it a division."""
    if before is None:
        return True
    if before.kind == "word":
        return before.text in _BEFORE_EXPRESSION
    return before.kind == "sign" and before.text not in _AFTER_VALUE


def _regular_expression(script: str, at: int) -> Token:
    match = _EXPRESSION.match(script, at)
    if match is None:
        raise Unended("A regular expression does not end.")
    return Token("expression", match[0])


@dataclass(slots=True)
class Literals:
    """The strings, templates and regular expressions of a script, by the marks that stand for them in its code."""

    found: list[Token] = field(default_factory=list[Token])

    def mark(self, literal: Token) -> str:
        """Keep a literal; its mark."""
        self.found.append(literal)
        return f"\0{len(self.found) - 1}\0"

    def text(self, mark: str) -> str:
        """The literal of a mark."""
        return self.found[int(mark.strip("\0"))].text

    def restore(self, code: str) -> str:
        """The code with its literals in place of their marks."""
        return _MARK.sub(lambda mark: self.text(mark[0]), code)


def without_comments(script: str) -> tuple[str, Literals]:
    """The code of a script without comments and with marks in place of its literals, and these. Raises Unended."""
    return marked(tokens(script))


def marked(found: Sequence[Token]) -> tuple[str, Literals]:
    """The code of tokens without comments and with marks in place of their literals, and these."""
    code, literals = _marked(found)
    return re.sub(r"[ \t]+(?=\n)", "", code), literals


def _marked(found: Sequence[Token]) -> tuple[str, Literals]:
    literals = Literals()
    parts: list[str] = []
    for token in found:
        match token.kind:
            case "string" | "template" | "expression":
                parts.append(literals.mark(token))
            case "comment":
                pass
            case _:
                parts.append(token.text)
    return "".join(parts), literals


def names(code: str, literals: Literals) -> set[str]:
    """Words in code that may be names: no properties, nothing of strings; of templates what is in their slots."""
    found = set(_WORD.findall(_MARK.sub(" ", code)))
    for mark in _MARK.finditer(code):
        for part in literals.found[int(mark[1])].parts:
            if not isinstance(part, str):
                found |= names(*_marked(part))
    return found
