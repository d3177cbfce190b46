"""A workflow's route as a tool: name, words and input schema from its OpenAPI, bounded."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.runtime.models import Model

Schema = dict[str, Any]
METHODS = ("post", "get", "put", "patch", "delete")
LONGEST_SCHEMA = 16_000
"""Characters of an input schema; a larger one is told as any object."""
_DEPTH = 12
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_FREE: Schema = {"type": "object"}
_FOLLOWED = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")


class PublishedTool(Model):
    """A workflow as a tool of its own: `tool` its name, `input_schema` what its route takes by its OpenAPI.

    `wrapped`: the route's body is no object, so it is the argument `input`. `read_only`: its owner says that it changes
    nothing.
    """

    tool: str
    workflow_id: str
    toolset: str
    title: str
    description: str
    path: str
    method: str
    read_only: bool
    input_schema: dict[str, Any]
    wrapped: bool = False


def tool_name(name: str) -> str:
    """A name that hosts take, made of a workflow's."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:40].rstrip("_")
    return plain if _NAME.fullmatch(plain) else f"run_{plain}"[:40].rstrip("_")


def check_name(name: str) -> str:
    """Raises InvalidInput for what can't name a tool."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            "A tool's name is a lower-case letter and up to 39 lower-case letters, digits and _.",
            hint="Give another with --name.",
        )
    return name


def choose_route(openapi: Schema, path: str | None) -> tuple[str, str, Schema]:
    """(path, method, operation): the one asked for, else POST / or the only one. Raises NotFound, InvalidInput."""
    routes = {
        (where, method): operation
        for where, item in cast("dict[str, Schema]", openapi.get("paths", {})).items()
        for method, operation in item.items()
        if method in METHODS
    }
    wanted = {key: value for key, value in routes.items() if path is None or key[0] == path}
    if not wanted:
        raise NotFound("The workflow has no such route.", hint="`codewords show` lists its routes.")
    for key in (("/", "post"), *([next(iter(wanted))] if len({where for where, _ in wanted}) == 1 else [])):
        if key in wanted:
            if "{" in key[0]:
                raise InvalidInput(
                    "A route with parts in braces can't be a tool.", hint="Give another with --path."
                )
            return key[0], key[1].upper(), wanted[key]
    known = ", ".join(sorted({where for where, _ in wanted})[:10])
    raise InvalidInput(f"The workflow has several routes: {known}.", hint="Say which with --path.")


def input_schema(openapi: Schema, path: str, method: str) -> tuple[Schema, bool]:
    """(schema of the arguments, whether the body is the argument `input` since it is no object with named properties)."""
    operation = openapi.get("paths", {}).get(path, {}).get(method.lower(), {})
    named = openapi.get("components", {}).get("schemas", {})
    if method == "GET":
        asked = [one for one in operation.get("parameters", []) if one.get("in") == "query"]
        properties = {one["name"]: _inlined(one.get("schema", {}), named, _DEPTH) for one in asked}
        return _closed(
            {"properties": properties, "required": [o["name"] for o in asked if o.get("required")]}
        ), False
    content = operation.get("requestBody", {}).get("content", {})
    body = _inlined(content.get("application/json", {}).get("schema", _FREE), named, _DEPTH)
    if len(json.dumps(body)) > LONGEST_SCHEMA:
        body = _FREE
    if body.get("type") == "object" and body.get("properties"):
        return _closed(body), False
    return _closed({"properties": {"input": body}, "required": ["input"] if content else []}), True


def _closed(schema: Schema) -> Schema:
    plain = {"type": "object", **schema, "additionalProperties": False}
    return {key: value for key, value in plain.items() if key != "required" or value}


def _inlined(node: Any, named: Schema, depth: int) -> Any:
    """The schema with what it refers to in place, without titles; what recurs is cut where it is too deep."""
    if isinstance(node, list):
        return [_inlined(one, named, depth) for one in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    if depth <= 0:
        return {}
    schema = cast("Schema", node)
    if isinstance(reference := schema.get("$ref"), str):
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return _inlined({**named.get(reference.rpartition("/")[2], {}), **rest}, named, depth - 1)
    out: Schema = {}
    for key, value in schema.items():
        if key in {"title", "examples", "example", "discriminator"}:
            continue
        if key in {"properties", "patternProperties"} and isinstance(value, dict):
            out[key] = {name: _inlined(one, named, depth - 1) for name, one in cast("Schema", value).items()}
        elif key in {"anyOf", "oneOf", "allOf", "prefixItems", *_FOLLOWED}:
            out[key] = _inlined(value, named, depth - 1)
        else:
            out[key] = value
    return out
