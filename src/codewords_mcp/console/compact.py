"""Scripts and styles without what only people read: comments, indentation and spaces between words.

The files stay as they are written; a browser gets them shorter. Names, strings, templates and the order of tokens stay, so
that an error's text and the debugger still show our code. A token is found by one pattern, but for a template, whose values
are code with templates of their own.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

_SCRIPT = re.compile(
    r"""
    (?P<space>[ \t\r\n]+)
  | (?P<comment>//[^\n]*|/\*.*?\*/)
  | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
  | (?P<number>(?:\d[\w.]*|\.\d\w*))
  | (?P<word>[#@]?[\w$\u0080-\uffff]+)
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
_OPENS = frozenset({
    "{", "(", "[", ",", ";", "=>", "=", ":", "?", "&&", "||", "??", "+", "-", "*", "%", "&", "|", "<", ">", "===", "!==", "+=",
    "...", "!",
})  # fmt: skip
"""Signs after which no statement ends: a line break behind them says nothing."""
_CLOSES = frozenset(
    {"}", ")", "]", ".", "?.", ",", ";", "?", ":", "=", "=>", "&&", "||", "??", "*", "%", "===", "!=="}
)
"""Signs that go on with what stands before them."""
_STYLE_COMMENT = re.compile(r"""(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|/\*.*?\*/""", re.DOTALL)
_STYLE_SPACE = re.compile(
    r"""(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|\s*(?P<sign>[{};,])\s*|(?P<colon>:)\s+|\s+""",
    re.DOTALL,
)


class _Unended(Exception):
    """A template or a regular expression has no end."""


class _Token(NamedTuple):
    kind: str
    text: str
    line: bool
    """Whether it begins a line."""


def script(text: str) -> str:
    """A module of JavaScript with the same tokens. One with something that does not end stays as it is: the browser tells."""
    try:
        tokens = _tokens(text, 0, closing="")[0]
    except _Unended:
        return text
    return "".join(_joined(tokens))


def _tokens(text: str, at: int, *, closing: str) -> tuple[list[_Token], int]:
    """The tokens from a place to the brace that closes it, and the place behind that; to the end without one."""
    found: list[_Token] = []
    depth, line = 0, False
    while match := _SCRIPT.match(text, at):
        kind, token, at = str(match.lastgroup), match[0], match.end()
        if kind in {"space", "comment"}:
            line = line or "\n" in token
            continue

        if kind == "template":
            token, at = _template(text, at)
        elif token in {"/", "/="} and _begins_expression(found):
            kind, token, at = _regular_expression(text, match.start())
        elif kind == "sign":
            depth += {"{": 1, "}": -1}.get(token, 0)
            if closing and depth < 0:
                return found, at
        found.append(_Token(kind, token, line))
        line = False
    return found, at


def _template(text: str, at: int) -> tuple[str, int]:
    """A template from behind its first quote: its text as it is, the values in it compact."""
    parts = ["`"]
    while match := _TEMPLATE_TEXT.match(text, at):
        parts.append(match[0])
        at = match.end()
        if not text.startswith("${", at):
            break

        inner, at = _tokens(text, at + 2, closing="}")
        parts.append("${" + "".join(_joined(inner)) + "}")
    if not text.startswith("`", at):
        raise _Unended
    return "".join([*parts, "`"]), at + 1


def _begins_expression(found: list[_Token]) -> bool:
    """Whether a slash here begins a regular expression: a value before it would make it a division."""
    if not found:
        return True
    before = found[-1]
    if before.kind == "word":
        return before.text in _BEFORE_EXPRESSION
    return before.kind == "sign" and before.text not in {")", "]", "}", "++", "--"}


def _regular_expression(text: str, at: int) -> tuple[str, str, int]:
    match = _EXPRESSION.match(text, at)
    if match is None:
        raise _Unended
    return "expression", match[0], match.end()


def _joined(tokens: list[_Token]) -> list[str]:
    """The tokens, with the least between two that keeps them apart."""
    parts = [tokens[0].text] if tokens else []
    for before, after in pairwise(tokens):
        parts += [_between(before, after), after.text]
    return parts


def _between(before: _Token, after: _Token) -> str:
    """A line break where it may end a statement, a space where two tokens would become one."""
    opens = before.kind == "sign" and before.text in _OPENS
    closes = after.kind == "sign" and after.text in _CLOSES
    if after.line and not opens and not closes:
        return "\n"
    words = {"word", "number", "expression"}
    if before.kind in words and after.kind in {"word", "number"}:
        return " "
    # `1 .toFixed` would become `1.toFixed`, which is no number.
    if before.kind == "number" and after.text.startswith("."):
        return " "
    meets = before.kind == after.kind == "sign" and before.text[-1] in "+-/" and after.text[0] in "+-/*"
    # `a + +b` would become `a ++b`, and two slashes a comment.
    return " " if meets or (before.text[-1] == "/" and after.text[0] == "/") else ""


def style(text: str) -> str:
    """A style sheet with the same rules."""
    bare = _STYLE_COMMENT.sub(lambda match: match["string"] or " ", text)
    return _STYLE_SPACE.sub(
        lambda match: match["string"] or match["sign"] or match["colon"] or " ", bare
    ).strip()
