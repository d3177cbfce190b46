"""A workflow's route as a tool: name, words and input schema from its OpenAPI, bounded."""

from __future__ import annotations

import functools
import json
import re
from typing import Any, cast

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.runtime.model.base import Model

Schema = dict[str, Any]
METHODS = ("post", "get", "put", "patch", "delete")
LONGEST_SCHEMA = 16_000
"""Characters of an input schema; a larger one is told as any object."""
_DEPTH = 12
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_FREE: Schema = {"type": "object"}
_FUEL = 5_000
"""Parts of a schema that are read at most."""
_MOST_PARAMETERS = 100
_LEFT_OUT = {
    "title", "examples", "example", "discriminator", "definitions", "dependentSchemas", "unevaluatedProperties",
    "unevaluatedItems",
}  # fmt: skip
_NAMED = {"properties", "patternProperties"}
_FOLLOWED = {
    "items", "prefixItems", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames",
    "anyOf", "oneOf", "allOf",
}  # fmt: skip


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
    if _NAME.fullmatch(plain):
        return plain
    return f"run_{plain}"[:40].rstrip("_")


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
        (where, method): _object(operation)
        for where, item in _object(_object(openapi).get("paths")).items()
        for method, operation in _object(item).items()
        if method in METHODS and isinstance(operation, dict)
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
    operation = operation_of(openapi, path, method)
    inliner = _Inliner(_object(_object(_object(openapi).get("components")).get("schemas")))

    if method == "GET":
        properties, required = _query(operation, inliner)
        asked = _closed({"properties": properties, "required": required})
        return (asked if not inliner.spent and _is_usable(asked) else dict(_FREE)), False

    content = _object(_object(operation.get("requestBody")).get("content"))
    body = inliner.inlined(_object(content.get("application/json")).get("schema", _FREE))
    if inliner.spent or not _is_usable(body):
        body = dict(_FREE)
    if body.get("type") == "object" and body.get("properties"):
        return _closed(body), False

    return _closed({"properties": {"input": body}, "required": ["input"] if content else []}), True


def operation_of(openapi: Any, path: str, method: str) -> Schema:
    """A route's operation; empty where there is none that can be read."""
    return _object(_object(_object(_object(openapi).get("paths")).get(path)).get(method.lower()))


def _query(operation: Schema, inliner: _Inliner) -> tuple[Schema, list[str]]:
    """(properties, names of the required) of the parameters in the query."""
    properties: Schema = {}
    required: list[str] = []
    given = operation.get("parameters")
    for one in map(_object, cast("list[Any]", given)[:_MOST_PARAMETERS] if isinstance(given, list) else []):
        if one.get("in") == "query" and isinstance(name := one.get("name"), str):
            properties[name] = inliner.inlined(one.get("schema", {}))
            if one.get("required") is True and name not in required:
                required.append(name)
    return properties, required


def _object(value: Any) -> Schema:
    """The value where it is an object; an empty one for whatever else a program put there."""
    if isinstance(value, dict):
        return cast("Schema", value)
    return {}


def _is_usable(schema: Any) -> bool:
    """Whether hosts and checks of arguments can use it: short enough, an object, and a JSON Schema."""
    return isinstance(schema, dict) and len(text := json.dumps(schema)) <= LONGEST_SCHEMA and _is_schema(text)


@functools.lru_cache(maxsize=512)
def _is_schema(text: str) -> bool:
    import jsonschema

    library = cast("Any", jsonschema)  # its types are not all told
    try:
        library.Draft202012Validator.check_schema(json.loads(text))
    except (library.exceptions.SchemaError, RecursionError):
        return False
    return True


def _closed(schema: Schema) -> Schema:
    plain = {"type": "object", **schema, "additionalProperties": False}
    return {key: value for key, value in plain.items() if key != "required" or value}


class _Inliner:
    """A schema with what it refers to in place, without titles. Bounded: what recurs is cut, and of what is too large
    nothing more is read (`spent`).
    """

    def __init__(self, named: Schema) -> None:
        self._named = named
        self._fuel = _FUEL

    @property
    def spent(self) -> bool:
        """Whether the schema was larger than is read."""
        return self._fuel <= 0

    def inlined(self, node: Any, depth: int = _DEPTH) -> Any:
        """The node with its references in place."""
        self._fuel -= 1
        if isinstance(node, list):
            if depth <= 0 or self.spent:
                return []
            return [self.inlined(one, depth - 1) for one in cast("list[Any]", node)]
        if not isinstance(node, dict):
            return node
        if depth <= 0 or self.spent:
            return {}

        schema = cast("Schema", node)
        if isinstance(reference := schema.get("$ref"), str):
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            return self.inlined(_object(self._named.get(reference.rpartition("/")[2])) | rest, depth - 1)

        return {
            key: self._member(key, value, depth)
            for key, value in schema.items()
            if key not in _LEFT_OUT and not key.startswith("$")
        }

    def _member(self, key: str, value: Any, depth: int) -> Any:
        if key in _NAMED and isinstance(value, dict):
            return {name: self.inlined(one, depth - 1) for name, one in cast("Schema", value).items()}
        if key in _FOLLOWED:
            return self.inlined(value, depth - 1)
        return value
