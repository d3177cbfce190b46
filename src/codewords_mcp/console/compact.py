"""Scripts and styles without what only people read: comments, indentation and spaces between words.

The files stay as they are written; a browser gets them shorter. Names, strings, templates and the order of tokens stay, so
that an error's text and the debugger still show our code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from codewords_mcp.console.script_text import SILENT, Token, Unended, tokens

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


class _Token(NamedTuple):
    kind: str
    text: str
    line: bool
    """Whether it begins a line."""


def script(text: str) -> str:
    """A module of JavaScript with the same tokens. One with something that does not end stays as it is: the browser tells."""
    try:
        found = tokens(text)
    except Unended:
        return text
    return joined(found)


def _significant(found: list[Token]) -> Iterator[_Token]:
    """The tokens that mean something."""
    line = False
    for token in found:
        if token.kind in SILENT:
            line = line or "\n" in token.text
            continue

        text = token.text
        if token.parts:
            text = "".join(part if isinstance(part, str) else joined(part) for part in token.parts)
        yield _Token(token.kind, text, line)
        line = False


def joined(found: list[Token]) -> str:
    """The tokens, with the least between two that keeps them apart."""
    significant = list(_significant(found))
    parts = [significant[0].text] if significant else []
    for before, after in pairwise(significant):
        parts += [_between(before, after), after.text]
    return "".join(parts)


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
    if meets or (before.text[-1] == "/" and after.text[0] == "/"):
        return " "
    return ""


def style(text: str) -> str:
    """A style sheet with the same rules."""
    bare = _STYLE_COMMENT.sub(lambda match: match["string"] or " ", text)
    return _STYLE_SPACE.sub(
        lambda match: match["string"] or match["sign"] or match["colon"] or " ", bare
    ).strip()
