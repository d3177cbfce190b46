"""Unique texts for every free-text field of a described operation, and the search for them in what a home keeps."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, cast

Schema = Any
Place = tuple[str | int, ...]
"""The way to a field of a body: names of members and numbers of items. `KEY` is the name of a member itself."""
KEY = "*name*"
_FOUND = re.compile(rb"(?i)cnry(\d{6})x")
_SHAPES = ("CNRY{:06}X", "KEY=cnry{:06}x value")
_DEEP = 4


class Canaries:
    """Makes canaries and remembers what each was put into, and whether that was accepted."""

    def __init__(self) -> None:
        self.fields: dict[int, str] = {}
        self.accepted: set[int] = set()

    def both(self, field: str) -> Iterator[tuple[int, str]]:
        """Two texts for a field: one that may be a name, and one that is the assignment of a value."""
        yield self._next(field, 0)
        yield self._next(field, 1)

    def one(self, field: str) -> tuple[int, str]:
        """A text for a field, of either shape in turn."""
        return self._next(field, len(self.fields) % 2)

    def _next(self, field: str, shape: int) -> tuple[int, str]:
        number = len(self.fields) + 1
        self.fields[number] = field
        return number, _SHAPES[shape].format(number)

    def found(self, data: bytes) -> set[int]:
        """The canaries in some bytes."""
        return {int(digits) for digits in _FOUND.findall(data)}

    def in_database(self, path: Path) -> Generator[tuple[str, int]]:
        """Each (table.column, canary) of an SQLite database."""
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            names = [
                row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            ]
            for table in names:
                rows = connection.execute(f'SELECT * FROM "{table}"')
                columns = [column[0] for column in rows.description]
                for row in rows:
                    for column, value in zip(columns, row, strict=True):
                        data = value if isinstance(value, bytes) else str(value).encode()
                        for number in self.found(data):
                            yield f"{table}.{column}", number

    def in_files(self, folder: Path) -> Generator[tuple[str, int]]:
        """Each (file, canary) of a folder's bytes, without links to elsewhere."""
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not path.is_file() or any(up.is_symlink() for up in path.parents):
                continue
            for number in self.found(path.read_bytes()) | self.found(str(path).encode()):
                yield str(path.relative_to(folder)), number


def texts(schema: Schema, root: Schema | None = None, deep: int = 0) -> Generator[Place]:
    """The free-text fields of a JSON schema."""
    root = schema if root is None else root
    schema = _resolved(schema, root)
    kinds = schema.get("type", "any")
    if "enum" in schema or "const" in schema or deep > _DEEP:
        return
    if kinds in ("string", "any") or (isinstance(kinds, list) and "string" in kinds):
        yield ()
    if "items" in schema and kinds == "array":
        for place in texts(schema["items"], root, deep + 1):
            yield (0, *place)
    for name, inner in schema.get("properties", {}).items():
        for place in texts(inner, root, deep + 1):
            yield (name, *place)
    more = schema.get("additionalProperties")
    if kinds == "object" and more is not False:
        yield (KEY,)
        yield ("any", *next(texts(more, root, deep + 1), ())) if isinstance(more, dict) else ("any",)


def sample(schema: Schema, known: Mapping[str, Any], name: str = "", root: Schema | None = None) -> Any:
    """A value that a schema takes; `known` has values by the name of a field."""
    root = schema if root is None else root
    if name in known:
        return known[name]
    schema = _resolved(schema, root)
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            wanted = [*schema.get("required", ()), *(one for one in properties if one in known)]
            return {one: sample(properties.get(one, {}), known, one, root) for one in dict.fromkeys(wanted)}
        case "array":
            return [sample(schema["items"], known, "", root)] if schema.get("minItems") else []
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return False
        case _:
            return "x"


def with_text(body: Any, place: Place, text: str) -> Any:
    """A body with a text at a place."""
    if not place:
        return text
    first, *rest = place
    if first == KEY:
        return {**_members(body), text: "x"}
    if isinstance(first, int):
        return [with_text(None, tuple(rest), text)]
    values = _members(body)
    values[first] = with_text(values.get(first), tuple(rest), text)
    return values


def _members(body: Any) -> dict[str, Any]:
    return dict(cast("dict[str, Any]", body)) if isinstance(body, dict) else {}


def _resolved(schema: Schema, root: Schema) -> Schema:
    while True:
        if "$ref" in schema:
            found: Any = root
            for part in str(schema["$ref"]).removeprefix("#/").split("/"):
                found = found[part]
            schema = found
            continue
        choices: list[Schema] = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf") or []
        real = [one for one in choices if one.get("type") != "null"]
        if real:
            schema = next((one for one in real if one.get("type") == "string"), real[0])
        else:
            return schema
