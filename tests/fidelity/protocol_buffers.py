"""Print JSON Schemas of protocol buffers in their JSON form: `python protocol_buffers.py MODULE MESSAGE…`.

Runs in an environment of its own, which has the package with the messages.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

# https://protobuf.dev/programming-guides/json/
INTEGER, LONG, NUMBER = (
    {"type": "integer"},
    {"type": ["string", "integer"], "pattern": "^-?[0-9]+$"},
    {"type": "number"},
)
SCALARS = {
    1: NUMBER,
    2: NUMBER,
    3: LONG,
    4: LONG,
    5: INTEGER,
    6: LONG,
    7: INTEGER,
    8: {"type": "boolean"},
    9: {"type": "string"},
    12: {"type": "string"},
    13: INTEGER,
    15: INTEGER,
    16: LONG,
    17: INTEGER,
    18: LONG,
}
KNOWN = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": "^-?[0-9.]+s$"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array"},
    "google.protobuf.Any": {"type": "object"},
}  # fmt: skip


def schema_of(field: Any, definitions: dict[str, Any]) -> Any:
    """The schema of a field."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {
            "type": "object",
            "additionalProperties": single(field.message_type.fields_by_name["value"], definitions),
        }
    value = single(field, definitions)
    return {"type": "array", "items": value} if field.is_repeated else value


def single(field: Any, definitions: dict[str, Any]) -> Any:
    """The schema of one value of a field."""
    if field.message_type is not None:
        return define(field.message_type, definitions)
    if field.enum_type is not None:
        return {"type": "string", "enum": [value.name for value in field.enum_type.values]}
    return SCALARS[field.type]


def define(message: Any, definitions: dict[str, Any]) -> Any:
    """A reference to the message's schema, which is added to the definitions."""
    if message.full_name in KNOWN:
        return KNOWN[message.full_name]
    name = message.full_name.removeprefix(message.file.package + ".")
    if name not in definitions:
        properties: dict[str, Any] = {}
        # A message may have itself as a field.
        definitions[name] = {"type": "object", "properties": properties}
        for field in message.fields:
            properties[field.json_name] = schema_of(field, definitions)
    return {"$ref": f"#/$defs/{name}"}


def main(module_name: str, *names: str) -> None:
    """Print the definitions that the messages need."""
    module = importlib.import_module(module_name)
    definitions: dict[str, Any] = {}
    for name in names:
        message = getattr(module, name)
        define(message.pb(message()).DESCRIPTOR, definitions)
    json.dump(definitions, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
