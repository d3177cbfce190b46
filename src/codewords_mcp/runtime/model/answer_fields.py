"""Expectations of the answer to an example, as a header declares them: fields with their types.

One reads `$.message: string`, or `$.rows[0].price: number or null`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, cast

from codewords_mcp.common.bounded_json import JsonValue

TYPES: Final = ("string", "number", "boolean", "list", "object", "null")
MAX_FIELDS: Final = 50
PROPOSED: Final = 8
"""Fields that are proposed at the most."""
_FIELD: Final = re.compile(r"\$((?:\.[^.\[\]\s:]{1,100}|\[\d{1,6}\]){1,20}): ?([a-z]+(?: or [a-z]+){0,5})")
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
# A name stands in a reply to a model: anything else may be a sentence.
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}", re.ASCII)
_OF_SCHEMA: Final = {"array": "list", "integer": "number"}
_NOTHING: Final = object()


def is_field(text: object) -> bool:
    """Whether this is a path with one or more types."""
    found = _FIELD.fullmatch(text) if isinstance(text, str) else None
    return found is not None and all(one in TYPES for one in found[2].split(" or "))


def broken_fields(answer: JsonValue, expect: Iterable[str]) -> list[str]:
    """List in words where an answer is not as expected."""
    found: list[str] = []
    for text in expect:
        path, _, named = text.partition(":")
        types = named.strip()
        value = _value_at(answer, path)
        if value is _NOTHING:
            found.append(f"it has no `{path}`")
        elif (kind := type_of(cast("JsonValue", value))) not in types.split(" or "):
            found.append(f"`{path}` is of the type {kind}, not {types}")
    return found


def type_of(value: JsonValue) -> str:
    """The type of a JSON value, by one of `TYPES`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        return "list"
    if isinstance(value, dict):
        return "object"
    return "number"


def _value_at(value: JsonValue, path: str) -> object:
    at: Any = value
    for step in _STEP.finditer(path.removeprefix("$")):
        name, number = step[1], step[2]
        if name is not None and isinstance(at, dict) and name in at:
            at = cast("dict[str, Any]", at)[name]
        elif number is not None and isinstance(at, list) and int(number) < len(cast("list[Any]", at)):
            at = cast("list[Any]", at)[int(number)]
        else:
            return _NOTHING
    return at


def propose_fields(schema: JsonValue, answer: JsonValue = None) -> list[str]:
    """Fields that an answer can be expected to have: those of its schema, else those that it had; none for another value.

    `schema` is the declared one, with its references resolved. Of both only what holds for the answer is proposed.
    """
    fields = list(_of_schema(schema)) or list(_of_answer(answer))
    if answer is not None:
        fields = [one for one in fields if not broken_fields(answer, [one])]
    return fields[:PROPOSED]


def _of_schema(schema: JsonValue) -> Iterator[str]:
    if isinstance(schema, dict):
        properties = schema.get("properties")
    else:
        properties = None
    if not isinstance(properties, dict):
        return
    for name, described in properties.items():
        types = _types(described)
        if _PLAIN.fullmatch(name) and types:
            yield f"$.{name}: {' or '.join(types)}"


def _types(schema: JsonValue) -> list[str]:
    """The types that a value may have by its schema; none where it may have any."""
    if not isinstance(schema, dict):
        return []
    for word in ("anyOf", "oneOf"):
        if isinstance(options := schema.get(word), list):
            each = [_types(option) for option in options]
            if not all(each):
                return []
            return list(dict.fromkeys(one for types in each for one in types))
    kind = schema.get("type", "object" if "properties" in schema else None)
    kinds: Sequence[Any] = kind if isinstance(kind, list) else [kind]
    named = [_OF_SCHEMA.get(one, one) for one in kinds if isinstance(one, str)]
    if named and all(one in TYPES for one in named):
        return list(dict.fromkeys(named))
    return []


def _of_answer(answer: JsonValue) -> Iterator[str]:
    if not isinstance(answer, dict):
        return
    for name, value in answer.items():
        # A value that is not there now may be anything later.
        if _PLAIN.fullmatch(name) and value is not None:
            yield f"$.{name}: {type_of(value)}"


def as_toml(value: JsonValue) -> str:
    """The value on one line of TOML. Raises ValueError for one that TOML lacks."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # A string of TOML is one of JSON, but for this character, which JSON leaves as it is.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_key(name)} = {as_toml(item)}' for name, item in value.items())}}}"
    if value is None:
        raise ValueError("TOML has no null")
    return repr(value)


def _key(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]+", name, re.ASCII):
        return name
    return as_toml(name)
