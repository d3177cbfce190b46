"""Check of a run's input against its route's schema, before anything runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, cast

from codewords_mcp.runtime.workflows.openapi import read_routes

LARGEST_INPUT, LARGEST_SCHEMA = 64 << 10, 256 << 10
"""Characters of JSON; what is larger is left to the workflow to judge."""
_NOT_CHECKED = ("pattern", "patternProperties", "uniqueItems", "format")
"""A pattern written by the workflow's author may backtrack for ever. The others are expensive or
not enforced.
"""
_FIELD = re.compile(r"[A-Za-z0-9_.\[\]-]{1,100}")
_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})


def find_misfit(openapi: dict[str, Any], method: str, path: str, value: Any) -> str | None:
    """The fault of an input in our own words. None if it fits, or if the document has no schema for
    it.

    `value` None is a request without a body. A text that Pydantic reads as a number or boolean fits
    as one.
    """
    route = _route(openapi, method, path.partition("?")[0])
    if route is None:
        return None

    schema = next(
        route_facts["input"]
        for route_facts in read_routes(openapi)
        if (route_facts["method"], route_facts["path"]) == route
    )
    if not isinstance(schema, dict):
        return None

    if value is None:
        needed = openapi["paths"][route[1]][route[0].lower()].get("requestBody", {}).get("required")
        if needed:
            return "an input is needed"
        return None

    # Validation takes time that grows with both, and it runs in the runtime's process.
    if len(json.dumps(value)) > LARGEST_INPUT or len(json.dumps(schema)) > LARGEST_SCHEMA:
        return None

    return _first_fault(cast("dict[str, Any]", schema), value)


def _route(openapi: dict[str, Any], method: str, path: str) -> tuple[str, str] | None:
    """(method, path) as the document has them. A path without placeholders takes precedence."""
    templates = [
        template
        for template, operations in openapi.get("paths", {}).items()
        if method.lower() in operations and _matches(template, path)
    ]
    if templates:
        return (method.upper(), min(templates, key=lambda template: template.count("{")))
    return None


def _matches(template: str, path: str) -> bool:
    parts, actual = template.strip("/").split("/"), path.strip("/").split("/")
    return len(parts) == len(actual) and all(
        part == segment or (part.startswith("{") and part.endswith("}") and segment)
        for part, segment in zip(parts, actual, strict=True)
    )


def _first_fault(schema: dict[str, Any], value: Any) -> str | None:
    from jsonschema import Draft202012Validator, validators

    make: Any = cast("Any", validators).extend
    # The library passes over a keyword whose function is None.
    validator: Any = make(Draft202012Validator, dict.fromkeys(_NOT_CHECKED))

    try:
        faults: list[Any] = [fault for fault in validator(schema).iter_errors(value) if _is_fault(fault)]
    except Exception:  # noqa: BLE001  # an invalid schema raises many types; the workflow then judges
        return None

    if not faults:
        return None

    return _message(min(faults, key=_position))


def _position(error: Any) -> list[str]:
    return [str(part) for part in error.absolute_path]


def _is_fault(error: Any) -> bool:
    """Whether Pydantic refuses it too: it parses numbers from texts, and accepts any alternative
    that fits.
    """
    # jsonschema reports the alternative as a whole, and each branch's own faults below it.
    if error.validator in {"anyOf", "oneOf"} and error.context:
        branches: dict[Any, list[Any]] = {}
        for nested in error.context:
            branches.setdefault(nested.schema_path[0], []).append(nested)
        return all(any(map(_is_fault, faults)) for faults in branches.values())
    if error.validator == "type" and isinstance(error.instance, (str, float, int)):
        return not _is_read_as(error.instance, _names(error.validator_value))
    return True


def _names(types: Any) -> Iterable[str]:
    if isinstance(types, str):
        return [types]
    return [str(name) for name in types]


def _is_read_as(value: str | float, types: Iterable[str]) -> bool:
    text = str(value).strip().lower()
    # The texts that Pydantic reads as booleans.
    if "boolean" in types and text in {
        "true",
        "false",
        "1",
        "0",
        "yes",
        "no",
        "on",
        "off",
        "t",
        "f",
        "y",
        "n",
    }:
        return True
    if not isinstance(value, str) or not {"integer", "number"} & set(types):
        return False

    try:
        return float(text).is_integer() or "number" in types
    except (ValueError, OverflowError):
        return False


def _message(error: Any) -> str:
    where = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path
    ).lstrip(".")
    if _FIELD.fullmatch(where):
        subject = f"`{where}`"
    elif where:
        subject = "a field"
    else:
        subject = "the input"

    if error.validator == "required":
        missing = next((kind for kind in error.validator_value if kind not in error.instance), "")
        if _FIELD.fullmatch(f"{where}.{missing}"):
            name = f"`{where}.{missing}`".replace("`.", "`")
        else:
            name = "a field"

        return f"{name} is missing"

    if error.validator == "type":
        # Only known type names: the schema is the workflow's text and must not enter a message.
        expected = " or ".join(kind for kind in _names(error.validator_value) if kind in _TYPES)
        return f"{subject} is no {expected}"
    if error.validator == "additionalProperties":
        return f"{subject} has a field that is not known"
    if error.validator in {"enum", "const"}:
        return f"{subject} is none of the values that are allowed"
    if error.validator in {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}:
        return f"{subject} is a number outside of what is allowed"
    if error.validator in {
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
    }:
        return f"{subject} is too short or too long"

    return f"{subject} does not fit"
