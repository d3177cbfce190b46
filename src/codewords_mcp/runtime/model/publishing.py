"""A workflow's route as a tool: name, description and input schema, made from its OpenAPI document
and bounded.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any, cast

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.common.json_parts import list_of, object_of
from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.runtime.model.base import Model

Schema = dict[str, Any]
METHODS = ("post", "get", "put", "patch", "delete")
MAX_SCHEMA = 16_000
"""Maximum characters of an input schema. A larger schema is published as any object."""
_DEPTH = 12
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_FREE: Schema = {"type": "object"}
_MAX_NODES = 5_000
"""Maximum nodes of a schema that are read."""
_MAX_PARAMETERS = 100
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
    """A workflow as a tool. `tool` is its name, `input_schema` the input of its route.

    `wrapped`: the route's body is no object, so it is passed as the argument `input`. `read_only`:
    its owner declared that it changes nothing.
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
    """A tool name made from a workflow's name, valid for all hosts."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:40].rstrip("_")
    if _NAME.fullmatch(plain):
        return plain
    return f"run_{plain}"[:40].rstrip("_")


def check_name(name: str) -> str:
    """The name. Raises InvalidInput if it is not valid for a tool."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            "A tool's name is a lower-case letter and up to 39 lower-case letters, digits and _.",
            hint="Give another name.",
        )
    return name


def choose_route(openapi: Schema, path: str | None) -> tuple[str, str, Schema]:
    """(path, method, operation) of the requested route, else of POST / or the only route. Raises
    NotFound, InvalidInput.
    """
    routes = {
        (route_path, method): object_of(operation)
        for route_path, item in object_of(object_of(openapi).get("paths")).items()
        for method, operation in object_of(item).items()
        if method in METHODS and isinstance(operation, dict)
    }
    matching = {key: value for key, value in routes.items() if path is None or key[0] == path}
    if not matching:
        raise NotFound("The workflow has no such route.", hint="Name one of its routes.")

    for key in (
        ("/", "post"),
        *([next(iter(matching))] if len({route_path for route_path, _ in matching}) == 1 else []),
    ):
        if key in matching:
            if "{" in key[0]:
                raise InvalidInput(
                    "A route with parts in braces can't be a tool.", hint="Give another with --path."
                )
            return key[0], key[1].upper(), matching[key]

    known = ", ".join(sorted({route_path for route_path, _ in matching})[:10])
    raise InvalidInput(f"The workflow has several routes: {known}.", hint="Say which with --path.")


def input_schema(openapi: Schema, path: str, method: str) -> tuple[Schema, bool]:
    """(schema of the arguments, wrapped). `wrapped`: the body is no object with named properties,
    so it is the argument `input`.
    """
    operation = operation_of(openapi, path, method)
    inliner = _Inliner(object_of(object_of(object_of(openapi).get("components")).get("schemas")))

    if method == "GET":
        properties, required = _query(operation, inliner)
        schema = _closed({"properties": properties, "required": required})
        return (schema if not inliner.exhausted and _is_usable(schema) else dict(_FREE)), False

    content = object_of(object_of(operation.get("requestBody")).get("content"))
    body = object_of(inliner.inlined(object_of(content.get("application/json")).get("schema", _FREE)))
    if inliner.exhausted or not _is_usable(body):
        body = dict(_FREE)
    if body.get("type") == "object" and body.get("properties"):
        return _closed(body), False

    return _closed({"properties": {"input": body}, "required": ["input"] if content else []}), True


def operation_of(openapi: Any, path: str, method: str) -> Schema:
    """The OpenAPI operation of a route. Empty if the document has none that is readable."""
    return object_of(object_of(object_of(object_of(openapi).get("paths")).get(path)).get(method.lower()))


def _query(operation: Schema, inliner: _Inliner) -> tuple[Schema, list[str]]:
    """(properties, required names) of the query parameters."""
    properties: Schema = {}
    required: list[str] = []
    parameters = operation.get("parameters")
    for parameter in map(object_of, list_of(parameters)[:_MAX_PARAMETERS]):
        if parameter.get("in") == "query" and isinstance(name := parameter.get("name"), str):
            properties[name] = inliner.inlined(parameter.get("schema", {}))
            if parameter.get("required") is True and name not in required:
                required.append(name)
    return properties, required


def _is_usable(schema: Any) -> bool:
    """Whether the schema is a short enough, valid JSON Schema of an object."""
    return isinstance(schema, dict) and len(text := json.dumps(schema)) <= MAX_SCHEMA and _is_schema(text)


@functools.lru_cache(maxsize=512)
def _is_schema(text: str) -> bool:
    import jsonschema

    library = cast("Any", jsonschema)  # the library is only partly typed
    try:
        library.Draft202012Validator.check_schema(json.loads(text))
    except (library.exceptions.SchemaError, RecursionError):
        return False
    return True


def _closed(schema: Schema) -> Schema:
    plain = {"type": "object", **schema, "additionalProperties": False}
    return {key: value for key, value in plain.items() if key != "required" or value}


class _Inliner:
    """Replaces references in a schema by their targets and removes titles.

    Bounded: recursion is cut, and after `_MAX_NODES` nodes nothing more is read (`exhausted`).
    """

    def __init__(self, named: Schema) -> None:
        self._named = named
        self._nodes_left = _MAX_NODES

    @property
    def exhausted(self) -> bool:
        """Whether the schema was larger than the maximum."""
        return self._nodes_left <= 0

    def inlined(self, node: JsonValue, depth: int = _DEPTH) -> JsonValue:
        """The node with its references resolved."""
        self._nodes_left -= 1
        if isinstance(node, list):
            if depth <= 0 or self.exhausted:
                return []
            return [self.inlined(one, depth - 1) for one in node]
        if not isinstance(node, dict):
            return node
        if depth <= 0 or self.exhausted:
            return {}

        schema = cast("Schema", node)
        if isinstance(reference := schema.get("$ref"), str):
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            return self.inlined(object_of(self._named.get(reference.rpartition("/")[2])) | rest, depth - 1)

        return {
            key: self._member(key, value, depth)
            for key, value in schema.items()
            if key not in _LEFT_OUT and not key.startswith("$")
        }

    def _member(self, key: str, value: JsonValue, depth: int) -> JsonValue:
        if key in _NAMED and isinstance(value, dict):
            return {name: self.inlined(one, depth - 1) for name, one in value.items()}
        if key in _FOLLOWED:
            return self.inlined(value, depth - 1)
        return value
