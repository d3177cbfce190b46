"""GraphQL documents: whether each operation in one is a query."""

from __future__ import annotations

import re
from typing import Final

MAX_DOCUMENT: Final = 100_000
"""Characters of a document that is read. A longer one is not known to read."""

# GraphQL, October 2021, 2.1: ignored tokens, strings, names and punctuation. A backslash has a meaning in strings only.
_TOKEN: Final = re.compile(
    r"""(?P<ignored>[\s,\ufeff]+|\#[^\n\r]*)
    |(?P<string>\"{3}(?:[^"\\]|\\"{3}|\\|"(?!""))*\"{3}|"(?:[^"\\\n\r]|\\.)*")
    |(?P<name>[_A-Za-z][_0-9A-Za-z]*)
    |(?P<other>[!$&()\[\]{}:=@|.+\-0-9])""",
    re.VERBOSE,
)


def reads_only(document: str) -> bool:
    """Whether a document has a query, and only queries and fragments. False for what is no valid document."""
    if len(document) > MAX_DOCUMENT:
        return False

    depth, expects, queries, position = 0, True, 0, 0
    while position < len(document):
        token = _TOKEN.match(document, position)
        if token is None:
            return False
        position = token.end()
        text = token[0]
        if token.lastgroup == "ignored":
            continue

        if depth == 0 and expects:
            # A definition begins: `{` is a query without a name.
            if text not in {"{", "query", "fragment"} or token.lastgroup == "string":
                return False
            queries += text != "fragment"
            expects = False
        if text in {"{", "(", "["}:
            depth += 1
        elif text in {"}", ")", "]"}:
            depth -= 1
            if depth < 0:
                return False
            # A selection set ends its definition; brackets of variables do not.
            expects = depth == 0 and text == "}"

    return depth == 0 and expects and queries > 0
