"""Whether an input fits what a workflow's route takes, by its OpenAPI document, before anything runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, cast

from codewords_mcp.runtime.workflows.openapi import routes_of

LARGEST_INPUT, LARGEST_SCHEMA = 64 << 10, 256 << 10
"""Characters of JSON; what is larger is left to the workflow to judge."""
_NOT_CHECKED = ("pattern", "patternProperties", "uniqueItems", "format")
"""A pattern of the workflow's author may take for ever on a text; the others are dear or not held to."""
_FIELD = re.compile(r"[A-Za-z0-9_.\[\]-]{1,100}")
_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})


def misfit(openapi: dict[str, Any], method: str, path: str, value: Any) -> str | None:
    """What is wrong with this input, in our own words; None where it fits, or where the document does not say.

    `value` None is a request without a body. A text that Pydantic reads as a number or truth value fits as one.
    """
    route = _route(openapi, method, path.partition("?")[0])
    if route is None:
        return None

    schema = next(one["input"] for one in routes_of(openapi) if (one["method"], one["path"]) == route)
    if not isinstance(schema, dict):
        return None

    if value is None:
        needed = openapi["paths"][route[1]][route[0].lower()].get("requestBody", {}).get("required")
        if needed:
            return "an input is needed"
        return None

    if len(json.dumps(value)) > LARGEST_INPUT or len(json.dumps(schema)) > LARGEST_SCHEMA:
        return None

    return _first_fault(cast("dict[str, Any]", schema), value)


def _route(openapi: dict[str, Any], method: str, path: str) -> tuple[str, str] | None:
    """(method, path) as the document has them; a path without placeholders goes before one with."""
    found = [
        template
        for template, operations in openapi.get("paths", {}).items()
        if method.lower() in operations and _matches(template, path)
    ]
    if found:
        return (method.upper(), min(found, key=lambda one: one.count("{")))
    return None


def _matches(template: str, path: str) -> bool:
    parts, given = template.strip("/").split("/"), path.strip("/").split("/")
    return len(parts) == len(given) and all(
        part == its or (part.startswith("{") and part.endswith("}") and its)
        for part, its in zip(parts, given, strict=True)
    )


def _first_fault(schema: dict[str, Any], value: Any) -> str | None:
    from jsonschema import Draft202012Validator, validators

    make: Any = cast("Any", validators).extend
    validator: Any = make(Draft202012Validator, dict.fromkeys(_NOT_CHECKED))

    try:
        faults: list[Any] = [one for one in validator(schema).iter_errors(value) if _is_fault(one)]
    except Exception:  # noqa: BLE001  # its own schema makes no sense, in any of many ways: the workflow has to judge
        return None

    if not faults:
        return None

    return _sentence(min(faults, key=_place))


def _place(error: Any) -> list[str]:
    return [str(part) for part in error.absolute_path]


def _is_fault(error: Any) -> bool:
    """Whether Pydantic refuses it too: it reads texts as numbers, and takes any alternative that fits."""
    if error.validator in {"anyOf", "oneOf"} and error.context:
        branches: dict[Any, list[Any]] = {}
        for one in error.context:
            branches.setdefault(one.schema_path[0], []).append(one)
        return all(any(map(_is_fault, ones)) for ones in branches.values())
    if error.validator == "type" and isinstance(error.instance, (str, float, int)):
        return not _is_read_as(error.instance, _names(error.validator_value))
    return True


def _names(types: Any) -> Iterable[str]:
    if isinstance(types, str):
        return [types]
    return [str(one) for one in types]


def _is_read_as(value: str | float, types: Iterable[str]) -> bool:
    text = str(value).strip().lower()
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


def _sentence(error: Any) -> str:
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
        missing = next((one for one in error.validator_value if one not in error.instance), "")
        if _FIELD.fullmatch(f"{where}.{missing}"):
            name = f"`{where}.{missing}`".replace("`.", "`")
        else:
            name = "a field"

        return f"{name} is missing"

    if error.validator == "type":
        wanted = " or ".join(one for one in _names(error.validator_value) if one in _TYPES)
        return f"{subject} is no {wanted}"
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
