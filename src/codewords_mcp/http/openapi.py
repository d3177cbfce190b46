"""/openapi.json, made from the table of operations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, cast

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp import __version__
from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.http.examples import EXAMPLES
from codewords_mcp.http.operations import HttpOperation, Parameter, Schema
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.routes.services import operations_of
from codewords_mcp.http.state import caller, own_url, runtime

_MAX_MODELS = 1024
"""Models whose schemas are kept; a description has some hundreds, which pydantic takes 0.4 s to make."""
_METHODS = ("get", "post", "put", "patch", "delete")
_REF = "#/components/schemas/{model}"
_NULLABLE = ["string", "null"]
_VALUES = frozenset({"default", "const", "enum", "example", "examples"})
"""Words of a schema whose values are data."""

_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error", "detail"],
    "properties": {
        "detail": {"type": "string", "description": "What was wrong and what to do, as one text."},
        "error": {
            "type": "object",
            "required": ["code", "message", "origin"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "hint": {"type": "string"},
                "remedy": {
                    "type": "object",
                    "description": "What to do as data: an action, its arguments, and the words for it in the hint.",
                },
                "origin": {"type": "string", "enum": ["platform", "service"]},
            },
        },
    },
}

_JSON_RPC_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["jsonrpc", "error"],
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "id": {"type": ["string", "integer", "null"]},
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "integer"}, "message": {"type": "string"}, "data": {}},
        },
    },
}

_RECORD: dict[str, Any] = {
    "type": "object",
    "required": ["id", "status", "createdAt"],
    "properties": {
        **{name: {"type": "string"} for name in ("id", "userId", "createdAt", "status")},
        **{
            name: {"type": _NULLABLE}
            for name in (
                "serviceId", "startedAt", "completedAt", "responseContent", "correlationId", "parentRequestId",
                "scheduledRequestId", "isolation", "waitsFor", "requestMethod", "requestPath", "requestContent",
                "requestContentType", "mode", "modeOf",
            )
        },
        "version": {"type": ["integer", "null"]},
        "responseStatus": {"type": ["integer", "null"]},
        "responseJson": {},
        "responseTruncated": {"type": "boolean"},
        "responseFile": {"type": ["object", "null"]},
        "requestBytes": {"type": ["integer", "null"]},
        "requestTruncated": {"type": "boolean"},
        "cost": {},
        "usage": {"type": "object"},
        "error": {"type": ["object", "null"]},
        "attempts": {"type": "array", "items": {"type": "object"}},
        "steps": {"type": "array", "items": {"type": "object"}},
        "timings": {"type": "object"},
    },
}  # fmt: skip


_ROW: dict[str, Any] = {
    "type": "object",
    "required": ["id", "status", "createdAt", "trigger", "inputPreview"],
    "properties": {
        **{name: {"type": "string"} for name in ("id", "createdAt", "status", "trigger")},
        **{
            name: {"type": _NULLABLE}
            for name in (
                "serviceId", "workflow", "startedAt", "runningAt", "completedAt", "notBefore", "waitsFor", "key",
                "parentRequestId", "scheduledRequestId", "mode", "modeOf",
            )
        },
        "inputPreview": {"type": "string", "description": "Its path and first arguments, at most 120 characters."},
        "inputKept": {"type": "boolean", "description": "Whether its record has the input."},
        "version": {"type": ["integer", "null"]},
        "responseStatus": {"type": ["integer", "null"]},
        "requestBytes": {"type": ["integer", "null"]},
        "requestTruncated": {"type": "boolean"},
        "cost": {},
        "error": {"type": ["object", "null"]},
    },
}  # fmt: skip


def document(operations: Iterable[HttpOperation], url: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these operations, for a runtime that is reached at `url`."""
    schemas: dict[str, Any] = {
        "Error": _ERROR,
        "JsonRpcError": _JSON_RPC_ERROR,
        "RequestRecord": _RECORD,
        "RunRow": _ROW,
    }
    paths: dict[str, dict[str, Any]] = {}

    for operation in operations:
        described = _operation(operation, schemas)
        for method in methods_of(operation):
            if operation.method == "*":
                suffix = f"_{method}"
            else:
                suffix = ""

            paths.setdefault(operation.path, {})[method] = _for_method(described, method) | {
                "operationId": _id(operation) + suffix
            }

    return {
        "openapi": "3.1.0",
        "info": {
            "title": "codewords-mcp runtime",
            "version": __version__,
            "description": "Deploys, runs and looks into workflows. Unofficial, compatible with CodeWords clients.",
        },
        "servers": [{"url": url}],
        "security": [{"bearer": []}, {"apiKey": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The key, with or without `Bearer`.",
                },
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def methods_of(operation: HttpOperation) -> tuple[str, ...]:
    """The methods of an operation, lower case."""
    if operation.method == "*":
        return _METHODS
    return (operation.method.lower(),)


async def openapi(request: Request, *, operations: Sequence[HttpOperation]) -> Response:
    """The document, with the operations of library services."""
    services = await runtime(request.scope).services.list(caller(request.scope))
    # Services are described for each caller, since packages may add some at run time.
    described, named = operations_of(services)
    description = document([*operations, *described], own_url(request.scope))
    description["components"]["schemas"] |= {name: _titled(schema, name) for name, schema in named.items()}
    return JsonReply(description)


def operations_for(table: Sequence[HttpOperation]) -> HttpOperation:
    """The route that describes a table."""
    return HttpOperation(
        "GET", "/openapi.json", "This description", partial(openapi, operations=table), tag="runtime",
        reply={"type": "object"},
    )  # fmt: skip


def _operation(operation: HttpOperation, schemas: dict[str, Any]) -> dict[str, Any]:
    reply: dict[str, Any] = {"description": operation.summary}
    if operation.status != 204:
        reply["content"] = _content(operation.media, _schema(operation.reply, schemas))
        reply["content"] |= {media: {"schema": {"type": "string"}} for media in operation.other_media}

    declared = {parameter.name for parameter in operation.parameters if parameter.where == "path"}
    error = {"description": "An error", "content": _errors_of(operation)}
    described: dict[str, Any] = {
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [
            *(_path_parameter(name) for name in _path_names(operation.path) if name not in declared),
            *map(_parameter, operation.parameters),
        ],
        "responses": {str(operation.status): reply, "default": error},
        "x-key": operation.rule.level,
        "x-scopes": list(operation.rule.scopes),
        "x-effect": operation.rule.effect,
    }
    if operation.description:
        described["description"] = operation.description
    if operation.body is not None:
        described["requestBody"] = _request_body(operation, _schema(operation.body, schemas))
        if operation.body_media in {"*/*", "application/octet-stream"}:
            described["x-any-body"] = True
        if example := EXAMPLES.get(f"{operation.method} {operation.path}"):
            described["requestBody"]["content"]["application/json"]["example"] = example

    if operation.rule.level in {"open", "page"}:
        # Overrides the document's default, which asks for a key.
        described["security"] = []
    return described


def _for_method(described: dict[str, Any], method: str) -> dict[str, Any]:
    """The description without a body where HTTP gives a body no meaning and any method is taken."""
    if not described.get("requestBody", {}).get("required", True) and method in {"get", "delete"}:
        return {name: value for name, value in described.items() if name != "requestBody"}

    return described


def _request_body(operation: HttpOperation, schema: dict[str, Any]) -> dict[str, Any]:
    """The body of a request. One of any type is described as JSON: makers of clients know no `*/*` there."""
    if operation.body_media != "*/*":
        return {"content": {operation.body_media: {"schema": schema}}, "required": bool(operation.body)}

    return {
        "description": "JSON, or a body of any other type with its `Content-Type`: it is passed on as it is.",
        "content": {"application/json": {"schema": schema}},
        "required": False,
    }


def _content(media: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The media types of an answer. Of one of any type JSON is the first, which makers of clients can read."""
    if media == "*/*":
        return {"application/json": {"schema": schema}, media: {"schema": schema}}
    if not schema and media.startswith("text/"):
        return {media: {"schema": {"type": "string"}}}

    return {media: {"schema": schema}}


def _errors_of(operation: HttpOperation) -> dict[str, Any]:
    """The shapes of an operation's errors: ours, a page, a workflow's or a provider's own, or one of JSON-RPC."""
    ours = {"$ref": _REF.format(model="Error")}
    if operation.tag == "mcp":
        either = {"anyOf": [ours, {"$ref": _REF.format(model="JsonRpcError")}]}
        texts = {media: {"schema": {"type": "string"}} for media in ("text/plain", "text/event-stream")}
        return {"application/json": {"schema": either}, **texts}
    if operation.media == "*/*":
        return _content("*/*", {})

    content: dict[str, Any] = {"application/json": {"schema": ours}}
    if operation.media == "text/html":
        return content | _content("text/html", {})

    return content


def _schema(schema: Schema | None, schemas: dict[str, Any]) -> dict[str, Any]:
    """A schema with its models as references, which are added to `schemas`."""
    if schema is None:
        return {}
    return cast("dict[str, Any]", _untitled(_resolve(schema, schemas)))


def _resolve(node: Schema | JsonValue, schemas: JsonObject) -> JsonValue:
    if isinstance(node, type):
        schemas.update(_schemas_of(node))
        return {"$ref": _REF.format(model=node.__name__)}
    if isinstance(node, dict):
        return {key: _resolve(value, schemas) for key, value in cast("dict[str, Any]", node).items()}
    if isinstance(node, list):
        return [_resolve(item, schemas) for item in cast("list[Any]", node)]
    return cast("Any", node)


@lru_cache(maxsize=_MAX_MODELS)
def _schemas_of(model: type[BaseModel]) -> dict[str, JsonObject]:
    """The schemas of a model and of those that it refers to, by their names; not to be changed."""
    # What a model computes is written and never read.
    mode = "serialization" if model.model_computed_fields else "validation"
    full = model.model_json_schema(ref_template=_REF, mode=mode)
    named = {**full.pop("$defs", {}), model.__name__: full}
    return {name: _titled(schema, name) for name, schema in named.items()}


def _titled(schema: JsonValue, name: str) -> JsonObject:
    """A named schema whose only title is its name.

    Pydantic gives each field a title. Makers of clients name classes by titles, where equal ones are a conflict.
    """
    return {"title": name, **cast("JsonObject", _untitled(schema))}


def _untitled(node: JsonValue) -> JsonValue:
    if isinstance(node, list):
        return [_untitled(item) for item in node]
    if not isinstance(node, dict):
        return node

    # A value is data, where a title means something. A field called "title" has a schema, which is no text.
    return {
        key: value if key in _VALUES else _untitled(value)
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str))
    }


def _path_names(path: str) -> list[str]:
    return re.findall(r"{(\w+)}", path)


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.description,
        "required": parameter.required,
        "schema": parameter.schema,
    }


def _id(operation: HttpOperation) -> str:
    return re.sub(r"\W+", "_", f"{operation.method.lower()}{operation.path}").strip("_")
