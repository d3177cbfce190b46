"""SQL of workflows for PostgreSQL: what may be sent, and with which placeholders.

A role of its own is the border: it owns one schema and has no other rights. Refusals here keep a
workflow from what every role may do: read the catalogs, change settings, take locks, notify.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from codewords_mcp.runtime.store.workflow_databases.base import MIGRATIONS, SqlStatement, error_of

_TOKEN: Final = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*)
  | (?P<comment>/\*)
  | (?P<unicode>[uU]&['"])
  | (?P<string>[eE]'(?:[^'\\]|\\.|'')*'|[bBxXnN]?'(?:[^']|'')*')
  | (?P<dollar>\$(?P<tag>[A-Za-z_\x80-\uffff][\w]*|)\$)
  | (?P<quoted>"(?:[^"]|"")+")
  | (?P<word>[A-Za-z_\x80-\U0010ffff][\w$]*)
  | (?P<number>\d[\w.]*|\.\d[\w]*)
  | (?P<cast>::)
  | (?P<named>:[A-Za-z_]\w*)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_FIRST: Final = frozenset(
    "select insert update delete with values create alter drop truncate merge explain table".split()  # noqa: SIM905
)
_CHANGES: Final = frozenset(("insert", "update", "delete", "merge"))
_KINDS: Final = {
    "create": frozenset(("table", "index", "unique index", "view", "or replace view", "sequence", "type")),
    "alter": frozenset(("table", "index", "view", "sequence", "type")),
    "drop": frozenset(("table", "index", "view", "sequence", "type")),
}
_REFUSED: Final = re.compile(
    r"pg_.*|information_schema|set_config|current_setting|has_\w+_privilege|row_security_active|\w+_to_xml\w*|ts_stat"
    r"|ts_rewrite|to_reg\w+|reg(class|proc|procedure|oper|operator|type|role|namespace|config|dictionary|collation)"
    r"|dblink\w*|crosstab\w*|connectby|xpath_table|lo_\w+|loread|lowrite|txid_\w+|inet_\w+|\w*obj_description|col_description"
)


class SqlToken(NamedTuple):
    """A token. `name` is that of an identifier or keyword as PostgreSQL reads it, else ""."""

    kind: str
    text: str
    name: str = ""


def tokens(sql: str) -> Iterator[SqlToken]:
    """The tokens of a statement; comments count as spaces. Raises InvalidInput for a text that does not end."""
    place = 0
    while place < len(sql):
        found = _TOKEN.match(sql, place)
        # The last alternative takes any character.
        if found is None:
            raise error_of("refused", "this text is not SQL")
        kind, text, place = found.lastgroup or "", found[0], found.end()
        match kind:
            case "space":
                yield SqlToken(kind, "\n" if text.startswith("--") else text)
            case "comment":
                place = _end_of_comment(sql, place)
                yield SqlToken("space", " ")
            case "unicode":
                raise error_of("refused", "write characters themselves instead of U& escapes")
            case "dollar" | "tag":
                end = sql.find(text, place)
                if end < 0:
                    raise error_of("refused", "a quoted text does not end")
                yield SqlToken("string", sql[found.start() : end + len(text)])
                place = end + len(text)
            case "word":
                yield SqlToken(kind, text, text.lower())
            case "quoted":
                yield SqlToken(kind, text, text[1:-1].replace('""', '"').lower())
            case _:
                if text in {"'", '"'}:
                    raise error_of("refused", "a quoted text does not end")
                yield SqlToken(kind, text)


def _end_of_comment(sql: str, place: int) -> int:
    # Comments nest in PostgreSQL.
    depth = 1
    for mark in re.compile(r"/\*|\*/").finditer(sql, place):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    raise error_of("refused", "a comment does not end")


class PreparedSql(NamedTuple):
    """A statement with `$1` …, its values, and the names of its keywords and identifiers."""

    text: str
    values: list[Any]
    names: list[str]

    @property
    def has_rows(self) -> bool:
        """Whether its answer is rows."""
        if self.names[0] in {"select", "values", "explain", "table"}:
            return True
        if "returning" in self.names:
            return self.names[0] in {*_CHANGES, "with"}
        # The main statement of a WITH may change rows without returning any.
        return self.names[0] == "with" and _CHANGES.isdisjoint(self.names)


def prepared(statement: SqlStatement) -> PreparedSql:
    """A statement as it is sent. Raises InvalidInput for SQL that is refused, or that lacks a value."""
    found = list(tokens(statement.sql))
    while found and (found[-1].text == ";" or found[-1].kind == "space"):
        found.pop()
    require_allowed([token for token in found if token.kind != "space"])

    values: list[Any] = []
    numbers: dict[str, int] = {}
    texts = [_placed(token, statement.parameters, values, numbers) for token in found]
    if isinstance(statement.parameters, list) and len(values) != len(statement.parameters):
        raise error_of(
            "sql", f"there are {len(values)} placeholders and {len(statement.parameters)} parameters"
        )
    return PreparedSql("".join(texts), values, [token.name for token in found if token.name])


def _placed(
    token: SqlToken, parameters: list[Any] | dict[str, Any], values: list[Any], numbers: dict[str, int]
) -> str:
    """A token's text, for a placeholder its number; its value is added."""
    if isinstance(parameters, list) and token.text == "?":
        if len(values) >= len(parameters):
            raise error_of("sql", "there are more placeholders than parameters")
        values.append(parameters[len(values)])
        return f"${len(values)}"
    if isinstance(parameters, dict) and token.kind == "named":
        name = token.text[1:]
        if name not in parameters:
            raise error_of("sql", f"the parameter {name} is missing")
        # A name that occurs twice is one parameter, sent once.
        if name not in numbers:
            values.append(parameters[name])
            numbers[name] = len(values)
        return f"${numbers[name]}"
    return token.text


def require_allowed(found: list[SqlToken]) -> None:
    """Raises InvalidInput for a statement that a workflow may not send."""
    words = [token.name if token.kind == "word" else token.text for token in found]
    while words and words[0] == "(":
        words.pop(0)
    first = words[0] if words else ""
    if first not in _FIRST:
        raise error_of(
            "refused", "statements that read or change rows, tables, indexes, views and sequences are allowed"
        )
    if any(token.text == ";" for token in found):
        raise error_of("refused", "one statement at a time; give several in `statements`")
    kinds = _KINDS.get(first)
    if kinds is not None and not any(" ".join(words[1:4]).startswith(kind) for kind in kinds):
        raise error_of(
            "refused",
            "of CREATE, ALTER and DROP only tables, indexes, views, sequences and types are allowed",
        )
    for token in found:
        if token.name == MIGRATIONS:
            raise error_of("refused", f"{MIGRATIONS} belongs to the service")
        if token.name and _REFUSED.fullmatch(token.name):
            raise error_of(
                "refused", "it names something of the server's own, which a workflow has no use for"
            )
