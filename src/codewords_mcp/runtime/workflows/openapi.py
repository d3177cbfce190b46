"""Title and routes of an app's own OpenAPI document."""

from __future__ import annotations

import ast
import re
from typing import Any

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.common.json_parts import list_of, object_of

UNTITLED = "workflow"
"""The title of an app without one."""
MAX_SCHEMA_DEPTH = 12
"""References nested deeper become `{}`: a schema may refer to itself."""
_MAX_DEPTH = 3 * MAX_SCHEMA_DEPTH
"""Whatever is nested deeper becomes `{}`; what stands in between is whole, so that a bounded schema is one."""


_MAX_NODES = 20_000
"""Maximum schema nodes read from one document: references that fan out would never end."""
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
"""Forms as FastAPI describes them; it takes either encoding for both."""
_PATH = re.compile(r"/[\w./~-]{1,200}", re.ASCII)
_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})


def normalise(document: dict[str, Any]) -> dict[str, Any]:
    """The document reduced to valid OpenAPI structure. A program may return anything."""
    operations = {
        path: {
            method: _operation(object_of(operation))
            for method, operation in object_of(item).items()
            if method in _METHODS and isinstance(operation, dict)
        }
        for path, item in object_of(document.get("paths")).items()
    }
    components = object_of(document.get("components"))
    named = object_of(components.get("schemas"))
    schemas = {name: object_of(named[name]) for name in named if isinstance(named[name], dict)}

    return document | {
        "info": object_of(document.get("info")),
        "paths": operations,
        "components": components | {"schemas": schemas},
    }


def _operation(operation: dict[str, Any]) -> dict[str, Any]:
    body = object_of(operation.get("requestBody"))
    content = object_of(body.get("content"))
    shaped: dict[str, Any] = {}

    for media in content:
        described = object_of(content[media])
        shaped[media] = described | {"schema": object_of(described.get("schema"))}

    listed: Any = operation.get("parameters")
    parameters = map(object_of, list_of(listed))
    named = [parameter for parameter in parameters if isinstance(parameter.get("name"), str)]
    texts = {key: str(operation[key]) for key in ("summary", "description") if operation.get(key)}
    plain = {
        key: value for key, value in operation.items() if key not in {"summary", "description", "requestBody"}
    }
    read: dict[str, Any] = plain | texts | {"parameters": named}
    if body:
        return read | {"requestBody": body | {"content": shaped}}

    return read


def read_routes(openapi: dict[str, Any]) -> list[dict[str, Any]]:
    """[{method, path, summary, input}] of an OpenAPI document; `input` is the JSON body's schema,
    references resolved. A route that takes values in its path or query has `parameters` too, one that answers with a
    page `html`, one that takes a form its schema as `form`.
    """
    routes: list[dict[str, Any]] = []
    resolver = _Resolver(openapi.get("components", {}).get("schemas", {}))

    for path, operations in openapi.get("paths", {}).items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            body = content.get("application/json", {}).get("schema")
            # FastAPI makes the summary out of the function's name; the description is what a
            # person wrote.
            summary = operation.get("description") or operation.get("summary") or ""
            route = {
                "method": method.upper(),
                "path": path,
                "summary": summary,
                "input": resolver.resolve(body),
            }
            if parameters := _in_address(operation.get("parameters", []), resolver):
                route["parameters"] = parameters
            form = next((content[media].get("schema") for media in _FORMS if media in content), None)
            if body is None and form:
                route["form"] = resolver.resolve(form)
            if _answers_html(operation):
                route["html"] = True
            routes.append(route)

    return routes


def _answers_html(operation: dict[str, Any]) -> bool:
    """Whether a route says that it answers with HTML where all is well."""
    responses = object_of(operation.get("responses"))
    good = [object_of(responses[status]) for status in responses if status.startswith("2")]
    return any("text/html" in object_of(response.get("content")) for response in good)


def _in_address(parameters: list[dict[str, Any]], resolver: _Resolver) -> list[dict[str, Any]]:
    """List what stands in a route's path and query: [{name, in, required, description, schema}]."""
    return [
        {
            "name": parameter["name"],
            "in": parameter["in"],
            "required": parameter.get("required") is True,
            "description": str(parameter.get("description") or ""),
            "schema": resolver.resolve(object_of(parameter.get("schema"))),
        }
        for parameter in parameters
        if parameter.get("in") in ("path", "query")
    ]


def docs_path(code: str) -> str | None:
    """The path of FastAPI's documentation as a program's code sets it; None where it has none.

    An address that is computed is taken for the default one.
    """
    path: str | None = "/docs"
    for node in ast.walk(ast.parse(code)):
        if not (isinstance(node, ast.Call) and _last_name(node.func) == "FastAPI"):
            continue
        for keyword in node.keywords:
            if keyword.arg not in {"docs_url", "openapi_url"} or not isinstance(keyword.value, ast.Constant):
                continue
            # Without an OpenAPI document FastAPI has no page about it either.
            if keyword.value.value is None:
                return None
            if keyword.arg == "docs_url":
                path = str(keyword.value.value)

    return path


def openapi_path(tree: ast.Module | None) -> str:
    """The path of an app's OpenAPI document as its code sets it; FastAPI's own where it is computed or None."""
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Call) and _last_name(node.func) == "FastAPI":
            for keyword in node.keywords:
                match keyword:
                    case ast.keyword(arg="openapi_url", value=ast.Constant(value=str(path))) if (
                        _PATH.fullmatch(path)
                    ):
                        return path
                    case _:
                        pass
    return "/openapi.json"


def _last_name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    if not isinstance(function, ast.Name):
        return ""
    return function.id


def read_answer(openapi: dict[str, Any], path: str) -> JsonValue:
    """The schema of the JSON with which `POST path` answers, references resolved; None where none is declared."""
    operation = openapi.get("paths", {}).get(path, {}).get("post", {})
    answers = object_of(operation.get("responses"))
    good = next((code for code in answers if str(code).startswith("2")), "")
    described = object_of(object_of(object_of(answers.get(good)).get("content")).get("application/json"))
    return _Resolver(openapi.get("components", {}).get("schemas", {})).resolve(described.get("schema"))


class _Resolver:
    """Replaces references by their targets, within bounds."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self._schemas = schemas
        self._nodes = 0

    def resolve(self, schema: JsonValue, depth: int = 0) -> JsonValue:
        """The schema with its references resolved; `{}` beyond the bounds."""
        self._nodes += 1
        # Both bounds: depth stops references to themselves, the count stops those that fan out.
        if depth > _MAX_DEPTH or self._nodes > _MAX_NODES:
            return {}
        if isinstance(schema, list):
            return [self.resolve(item, depth + 1) for item in schema]
        if not isinstance(schema, dict):
            return schema

        if isinstance(reference := schema.get("$ref"), str):
            if depth > MAX_SCHEMA_DEPTH:
                return {}
            return self.resolve(self._schemas.get(reference.rsplit("/", 1)[-1], {}), depth + 1)

        return {key: self.resolve(value, depth + 1) for key, value in schema.items()}


def read_title(openapi: dict[str, Any] | None) -> str:
    """The app's title, at most 100 printable characters; "workflow" without one."""
    title = str((openapi or {}).get("info", {}).get("title") or "").strip()
    cleaned = "".join(c for c in title if c.isprintable())[:100].strip()
    # FastAPI's default title says nothing about the app.
    if cleaned and cleaned != "FastAPI":
        return cleaned
    return UNTITLED
