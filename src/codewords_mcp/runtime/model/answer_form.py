"""The free fields of a question to a person: a small JSON Schema, and values that fit it."""

from __future__ import annotations

import json
import math
from typing import Any, Final, cast

from codewords_mcp.errors import InvalidInput

MAX_FIELDS: Final = 20
MAX_TEXT: Final = 10_000
"""Characters of a value."""
MAX_SCHEMA: Final = 20_000
"""Characters of the schema as JSON."""
_TYPES: Final = ("string", "number", "integer", "boolean")
_KEYWORDS: Final = frozenset(
    {
        "type", "title", "description", "default", "enum", "minimum", "maximum", "minLength", "maxLength", "format",
    }
)  # fmt: skip
_FORMATS: Final = ("date", "date-time", "email", "uri", "multiline")
_HINT: Final = (
    'It is an object such as {"type": "object", "properties": {"reason": {"type": "string"}}, "required": ["reason"]}; '
    f"properties are of the types {', '.join(_TYPES)}."
)


def check_form(schema: Any) -> dict[str, Any]:
    """The schema, if a form can be made of it. Raises InvalidInput."""
    if not isinstance(schema, dict) or len(json.dumps(schema)) > MAX_SCHEMA:
        raise InvalidInput("`fields` is no JSON Schema of an object, or too large.", hint=_HINT)
    found = cast("dict[str, Any]", schema)
    properties = found.get("properties")
    if found.get("type", "object") != "object" or not isinstance(properties, dict) or not properties:
        raise InvalidInput("`fields` has to be a JSON Schema of an object with properties.", hint=_HINT)
    named = cast("dict[str, Any]", properties)
    if len(named) > MAX_FIELDS:
        raise InvalidInput(f"`fields` has more than {MAX_FIELDS} properties.", hint="Ask for less at once.")

    for number, field in enumerate(named.values(), 1):
        _check_field(number, field)
    required = found.get("required", [])
    if not isinstance(required, list) or not set(map(str, cast("list[Any]", required))) <= set(named):
        raise InvalidInput("`required` of `fields` names a property that is not there.", hint=_HINT)

    return {"type": "object", "properties": named, "required": required}


def _check_field(number: int, field: Any) -> None:
    if not isinstance(field, dict):
        raise InvalidInput(f"Property {number} of `fields` is no schema.", hint=_HINT)
    schema = cast("dict[str, Any]", field)
    if schema.get("type", "string") not in _TYPES or not set(schema) <= _KEYWORDS:
        raise InvalidInput(
            f"Property {number} of `fields` is of a type, or has a keyword, that a form cannot ask for.",
            hint=f"{_HINT} Keywords: {', '.join(sorted(_KEYWORDS))}.",
        )
    if "enum" in schema and not (isinstance(schema["enum"], list) and schema["enum"]):
        raise InvalidInput(f"`enum` of property {number} of `fields` is no list of values.", hint=_HINT)
    if "format" in schema and schema["format"] not in _FORMATS:
        raise InvalidInput(
            f"`format` of property {number} of `fields` is unknown.", hint=f"One of {', '.join(_FORMATS)}."
        )
    for bound in ("minimum", "maximum", "minLength", "maxLength"):
        if bound in schema and not _is_number(schema[bound]):
            raise InvalidInput(f"`{bound}` of property {number} of `fields` is no number.", hint=_HINT)


def fill(schema: dict[str, Any] | None, values: dict[str, Any]) -> dict[str, Any]:
    """The values with the schema's defaults. Raises InvalidInput where they do not fit it."""
    if schema is None:
        if values:
            raise InvalidInput("This question has no fields.", hint="Send its answer alone.")
        return {}

    properties: dict[str, dict[str, Any]] = schema["properties"]
    if not set(values) <= set(properties):
        raise InvalidInput(
            "The answer has a field that was not asked for.", hint=f"Its fields: {_names(properties)}."
        )

    filled: dict[str, Any] = {}
    for number, (name, field) in enumerate(properties.items(), 1):
        value = values.get(name, field.get("default"))
        if value is None:
            if name in schema["required"]:
                raise InvalidInput(
                    f"Field {number} of the answer is missing.", hint=f"Fields: {_names(properties)}."
                )
            continue
        filled[name] = value
        if fault := _misfit(field, value):
            raise InvalidInput(
                f"Field {number} of the answer {fault}.", hint=f"Fields: {_names(properties)}."
            )

    return filled


def _names(properties: dict[str, Any]) -> str:
    return ", ".join(properties)[:500]


def _is_number(value: Any) -> bool:
    # To Python, true and false are numbers as well, and so is what 1e999 is read as.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _misfit(field: dict[str, Any], value: Any) -> str | None:
    if "enum" in field:
        if value in field["enum"]:
            return None
        return "is none of its choices"
    match field.get("type", "string"):
        case "boolean":
            if isinstance(value, bool):
                return None
            return "has to be true or false"
        case "number" | "integer":
            return _number_misfit(field, value)
        case _:
            return _text_misfit(field, value)


def _number_misfit(field: dict[str, Any], value: Any) -> str | None:
    if not _is_number(value) or (field["type"] == "integer" and value != int(value)):
        if field["type"] == "integer":
            return "has to be a whole number"
        return "has to be a number"
    if value < field.get("minimum", value) or value > field.get("maximum", value):
        return "is out of its bounds"
    return None


def _text_misfit(field: dict[str, Any], value: Any) -> str | None:
    if not isinstance(value, str):
        return "has to be a text"
    if not field.get("minLength", 0) <= len(value) <= min(field.get("maxLength", MAX_TEXT), MAX_TEXT):
        return "is too short or too long"
    return None
