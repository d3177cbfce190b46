"""Fields of a JSON Schema in short, as models read them."""

from __future__ import annotations

import json
from typing import Any, cast

MAX_FIELDS = 30
"""Fields that are shown; more are told by `…`."""


def fields_text(schema: dict[str, Any]) -> str:
    """Format the fields of a JSON Schema: names with types, if they have one; `?` marks optional ones."""
    required = schema.get("required", [])
    fields = [
        name + ("" if name in required else "?") + (f": {kind}" if (kind := _kind(part)) else "")
        for name, part in list(schema.get("properties", {}).items())[:MAX_FIELDS]
    ]
    if len(schema.get("properties", {})) > MAX_FIELDS:
        more = ["…"]
    else:
        more = []
    return "{" + ", ".join([*fields, *more]) + "}"


def _kind(part: dict[str, Any]) -> str:
    """Return `string`, `"asc" | "desc"`, or "" if several types are possible."""
    variants = [variant for variant in part.get("anyOf", [part]) if variant.get("type") != "null"]
    if len(variants) != 1:
        return ""
    variant = cast("dict[str, Any]", variants[0])
    if "enum" in variant:
        return " | ".join(map(json.dumps, variant["enum"]))
    return str(variant.get("type", ""))
