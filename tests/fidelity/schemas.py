"""JSON Schemas made of published descriptions: only what says which values fit, closed against unknown fields."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import unquote

Json = dict[str, Any]
_KEPT = ("type", "enum", "const", "format", "required", "$ref", "pattern", "minItems", "maxItems")
_LISTS = ("anyOf", "oneOf", "allOf")
_FORMATS = {"date-time", "date"}


def reduced(schema: Any, *, is_part: bool = False) -> Any:
    """The schema without words and examples, in the 2020-12 dialect.

    An object with named properties takes no others, unless the description says so. `is_part`: the schema is a part of an
    `allOf`, whose other parts name properties too.
    """
    if not isinstance(schema, dict):
        return schema
    described = cast("Json", schema)
    found = {name: value for name, value in described.items() if name in _KEPT}
    if found.get("format") not in _FORMATS:
        found.pop("format", None)
    # Google's word for a value of any type.
    if found.get("type") == "any":
        del found["type"]
    found["required"] = sorted(found.get("required", []))
    if not found["required"]:
        del found["required"]
    for name in _LISTS:
        if name in described:
            # A value may fit several members: descriptions are rarely as exclusive as `oneOf` says.
            target = "allOf" if name == "allOf" else "anyOf"
            found[target] = [reduced(part, is_part=is_part or name == "allOf") for part in described[name]]
    if "properties" in described:
        found["properties"] = {
            name: reduced(value) for name, value in sorted(described["properties"].items())
        }
    if "items" in described:
        found["items"] = reduced(described["items"])
    if "additionalProperties" in described:
        found["additionalProperties"] = reduced(described["additionalProperties"])
    elif ("properties" in found or "allOf" in found) and not is_part:
        found["unevaluatedProperties"] = False
    if described.get("nullable"):
        return nullable(found)
    return found


def changed(value: Any, change: Callable[[Json], Json]) -> Any:
    """The value with each of its objects changed, the inner ones first."""
    if isinstance(value, list):
        return [changed(part, change) for part in cast("list[Any]", value)]
    if isinstance(value, dict):
        return change({name: changed(part, change) for name, part in cast("Json", value).items()})
    return value


def nullable(schema: Json) -> Json:
    """The schema, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def reachable(definitions: Json, roots: list[str], prefix: str) -> Json:
    """Those of the definitions that the roots need, reduced and by their last name. `prefix` is that of references."""
    found: Json = {}
    left = list(roots)
    while left:
        name = left.pop()
        if (plain := _plain(name)) not in found:
            found[plain] = reduced(definitions[name])
            left += _references(found[plain], prefix)
    return dict(sorted(found.items()))


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip("_")


def _references(value: Any, prefix: str) -> list[str]:
    """Names that a schema refers to; the references are changed to `#/$defs/`."""
    names: list[str] = []
    if isinstance(value, dict):
        fields = cast("Json", value)
        if isinstance(fields.get("$ref"), str):
            # Generic types of TypeScript are quoted in references.
            name = unquote(str(fields["$ref"]).removeprefix(prefix))
            fields["$ref"] = f"#/$defs/{_plain(name)}"
            names.append(name)
        for part in fields.values():
            names += _references(part, prefix)
    elif isinstance(value, list):
        for part in cast("list[Any]", value):
            names += _references(part, prefix)
    return names


def hoisted(definitions: Json) -> Json:
    """The same definitions, with what is written more than once in a definition of its own: types of TypeScript are often
    unfolded where they are used.
    """
    counts: dict[str, int] = {}
    _count(definitions, counts)
    repeated = {text for text, count in counts.items() if count > 1 and len(text) > _SMALLEST}
    names = {
        text: f"part{number}"
        for number, text in enumerate(sorted(repeated, key=lambda text: (len(text), text)), 1)
    }
    found = {name: _named(schema, names, is_root=True) for name, schema in definitions.items()}
    parts = {name: _named(json.loads(text), names, is_root=True) for text, name in names.items()}
    used = json.dumps([found, parts])
    return found | {name: schema for name, schema in parts.items() if f'"#/$defs/{name}"' in used}


_SMALLEST = 120


def _count(value: Any, counts: dict[str, int]) -> None:
    if isinstance(value, dict):
        fields = cast("Json", value)
        if "anyOf" in fields or isinstance(fields.get("type"), str | list):
            text = json.dumps(value, sort_keys=True)
            counts[text] = counts.get(text, 0) + 1
        for part in fields.values():
            _count(part, counts)
    elif isinstance(value, list):
        for part in cast("list[Any]", value):
            _count(part, counts)


def _named(value: Any, names: dict[str, str], *, is_root: bool = False) -> Any:
    if isinstance(value, list):
        return [_named(part, names) for part in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    if not is_root and (name := names.get(json.dumps(value, sort_keys=True))):
        return {"$ref": f"#/$defs/{name}"}
    return {name: _named(part, names) for name, part in cast("Json", value).items()}
