"""Formats of responses: a JSON Schema, or an example from which one is made, and the subset that
each provider accepts.
"""

from __future__ import annotations

from typing import Any, cast

from codewords_mcp.common.bounded_json import JsonValue

Json = dict[str, Any]
WRAPPED = "value"
"""Providers return objects only; any other format is a field of this name in one."""
# Keywords that do not change what fits; strict modes refuse some of them.
_ANNOTATIONS = frozenset(
    {"default", "title", "examples", "example", "$schema", "$id", "$comment", "deprecated", "readOnly"}
)
# Schemas come from callers: a bound keeps recursion below Python's own.
_MAX_DEPTH = 40


def _part(schema: Json, name: str) -> Json:
    found: Any = schema.get(name)
    if isinstance(found, dict):
        return cast("Json", found)
    return {}


def _definitions(root: Json) -> Json:
    return _part(root, "$defs") or _part(root, "definitions")


def schema_of(example: Any) -> Json:
    """Return the schema that was meant: a schema as it is, or that of the example."""
    if is_schema(example):
        return cast("Json", example)
    return infer(example)


def is_schema(value: Any) -> bool:
    """Whether an example is a JSON Schema itself."""
    # `{"type": "invoice"}` is an example, `{"type": "object", …}` is a schema.
    if not isinstance(value, dict):
        return False

    found = cast("Json", value)
    if "$schema" in found or "$ref" in found:
        return True
    if isinstance(found.get("properties"), dict):
        return found.get("type", "object") == "object"
    if found.get("type") == "array":
        return isinstance(found.get("items"), dict)

    return any(isinstance(found.get(word), list) for word in ("anyOf", "oneOf", "allOf"))


def infer(value: Any, depth: int = 0) -> Json:
    """Return the schema of an example: all fields are required, a list has items like its first."""
    # Before int, since a bool is one in Python.
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int):
        return {"type": "integer"}
    if isinstance(value, float):
        return {"type": "number"}
    if isinstance(value, str):
        return {"type": "string"}
    if isinstance(value, list):
        # An empty list says nothing of its items.
        first: Any = cast("list[Any]", value)[0] if value else ""
        return {"type": "array", "items": infer(first, depth + 1)}

    if isinstance(value, dict) and depth < _MAX_DEPTH:
        fields = cast("Json", value)
        parts = {name: infer(part, depth + 1) for name, part in fields.items()}
        return {
            "type": "object",
            "properties": parts,
            "required": list(fields),
            "additionalProperties": False,
        }

    return {"type": ["string", "null"]}


def as_object(schema: Json) -> tuple[Json, bool]:
    """Return (a schema of an object, whether it wraps the given one)."""
    if schema.get("type") == "object" or "properties" in schema:
        return schema, False

    # References count from the root, so the definitions must stay there.
    definitions = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
    inner = {name: part for name, part in schema.items() if name not in definitions}
    wrapped: Json = {
        "type": "object",
        "properties": {WRAPPED: inner},
        "required": [WRAPPED],
        "additionalProperties": False,
    }

    return wrapped | definitions, True


def is_closed(schema: Any) -> bool:
    """Whether every object in the schema names its fields. OpenAI's strict mode and Anthropic need
    that.
    """
    if isinstance(schema, list):
        return all(is_closed(part) for part in cast("list[Any]", schema))
    if not isinstance(schema, dict):
        return True

    found = cast("Json", schema)
    if found.get("type") == "object" and (
        "properties" not in found or isinstance(found.get("additionalProperties"), dict)
    ):
        return False
    # These keywords are outside of what both providers take.
    if "patternProperties" in found or "allOf" in found or "not" in found:
        return False

    return all(is_closed(part) for part in found.values())


def strict(schema: JsonValue, *, all_required: bool) -> JsonValue:
    """Close every object of the schema and remove annotations.

    `all_required`: OpenAI requires every field to be listed as required, so optional fields become
    nullable.
    """
    if isinstance(schema, list):
        return [strict(part, all_required=all_required) for part in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema

    found = cast("Json", schema)
    # Strict modes refuse anything beside a reference.
    if "$ref" in found:
        return {"$ref": found["$ref"]}

    made: Json = {}
    for name, part in found.items():
        # Keys are names of fields here, which may look like annotations.
        if name in {"properties", "$defs", "definitions"} and isinstance(part, dict):
            named = cast("Json", part)
            made[name] = {
                field: strict(element, all_required=all_required) for field, element in named.items()
            }
        elif name not in _ANNOTATIONS:
            made[name] = (
                # These hold data, not schemas.
                strict(part, all_required=all_required) if name not in {"enum", "const", "required"} else part
            )

    if made.get("type") == "object" or "properties" in made:
        made["additionalProperties"] = False
        if all_required:
            _require_all(made)

    return made


def _require_all(made: Json) -> None:
    fields: Json = made.get("properties", {})
    required: list[str] = made.get("required", [])
    made["properties"] = {
        name: part if name in required or _takes_null(part) else {"anyOf": [part, {"type": "null"}]}
        for name, part in fields.items()
    }
    made["required"] = list(fields)


def _takes_null(part: Json) -> bool:
    kinds: Any = part.get("type")
    if kinds == "null" or (isinstance(kinds, list) and "null" in kinds):
        return True
    options: Any = part.get("anyOf")
    return isinstance(options, list) and any(_takes_null(element) for element in cast("list[Json]", options))


def without_optional_nulls(
    value: JsonValue, schema: Json, root: Json | None = None, depth: int = 0
) -> JsonValue:
    """Remove nulls of optional fields that may not be null: strict mode uses null for an absent
    field.
    """
    root = schema if root is None else root
    if depth > _MAX_DEPTH:
        return value

    if "$ref" in schema:
        name = str(schema["$ref"]).rsplit("/", 1)[-1]
        schema = _part(_definitions(root), name)

    if isinstance(value, list):
        inner = _part(schema, "items")
        return [
            without_optional_nulls(element, inner, root, depth + 1) for element in cast("list[Any]", value)
        ]
    if not isinstance(value, dict):
        return value

    fields, required = _part(schema, "properties"), cast("list[str]", schema.get("required") or [])
    result: Json = {}
    for name, part in cast("Json", value).items():
        field_schema = _part(fields, name)
        if (
            # Strict mode made this field required and nullable, so null stands for its absence.
            part is None
            and name in fields
            and name not in required
            and not _takes_null(field_schema)
            and field_schema
        ):
            continue
        result[name] = without_optional_nulls(part, field_schema, root, depth + 1)

    return result


def find_fault(value: Any, schema: Json) -> str | None:
    """Describe the first fault of a value, for the model that made it; None if the value fits."""
    import jsonschema
    from jsonschema.exceptions import SchemaError

    # Its type stubs are incomplete.
    library: Any = jsonschema

    try:
        found: Any = library.exceptions.best_match(library.Draft202012Validator(schema).iter_errors(value))
    except (SchemaError, RecursionError):
        # A schema that can't be checked must not fail a call that the model answered.
        return None

    if found is None:
        return None

    location = "/".join(str(part) for part in found.absolute_path)
    return f"at {location or 'the top'}: {found.message[:500]}"
