"""Reduce JSON schemas to fewer tokens: no titles, no nulls that mean "absent", no docstrings."""

from __future__ import annotations

from typing import Any, cast

JsonSchema = dict[str, Any]


def lean(schema: JsonSchema) -> JsonSchema:
    """Return the same schema in fewer tokens. An optional value is left out instead of null."""
    defs: dict[str, JsonSchema] = schema.get("$defs", {})
    return _lean({key: value for key, value in schema.items() if key != "description"}, defs)


def _lean(node: JsonSchema, defs: dict[str, JsonSchema]) -> JsonSchema:
    node = _resolved(_without_null(_resolved(node, defs)), defs)
    out: JsonSchema = {}
    for key, value in node.items():
        # Such a default says no more than that the field may be left out.
        if key in {"title", "$defs"} or (key == "default" and value in (None, "", [], {})):
            continue
        if key == "properties":
            out[key] = {name: _lean(child, defs) for name, child in value.items()}
        elif key == "items":
            out[key] = _lean(value, defs)
        # It is what JSON Schema assumes.
        elif key == "additionalProperties" and value is True:
            continue
        else:
            out[key] = value

    return out


def _resolved(node: JsonSchema, defs: dict[str, JsonSchema]) -> JsonSchema:
    """Replace a `$ref` by its definition without the docstring. Our models are not recursive."""
    ref = node.get("$ref")
    if not isinstance(ref, str):
        return node
    target = {k: v for k, v in defs[ref.rpartition("/")[2]].items() if k != "description"}
    return target | {k: v for k, v in node.items() if k != "$ref"}


def _without_null(node: JsonSchema) -> JsonSchema:
    options = cast("list[JsonSchema]", node.get("anyOf", []))
    not_null = [option for option in options if option.get("type") != "null"]
    if len(not_null) != 1 or len(options) == len(not_null):
        return node
    return {k: v for k, v in node.items() if k != "anyOf"} | not_null[0]
