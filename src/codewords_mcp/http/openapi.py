"""/openapi.json, made from the table of operations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp import __version__
from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.http.operations import HttpOperation, Parameter, Schema
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.routes.services import operations_of
from codewords_mcp.http.state import caller, own_url, runtime

_METHODS = ("get", "post", "put", "patch", "delete")
_REF = "#/components/schemas/{model}"
_NULLABLE = ["string", "null"]

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
        if operation.method == "*":
            methods = _METHODS
        else:
            methods = (operation.method.lower(),)

        for method in methods:
            if operation.method == "*":
                suffix = f"_{method}"
            else:
                suffix = ""

            paths.setdefault(operation.path, {})[method] = described | {
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


async def openapi(request: Request, *, operations: Sequence[HttpOperation]) -> Response:
    """The document, with the operations of library services."""
    services = await runtime(request.scope).services.list(caller(request.scope))
    described = list(operations_of(services))
    # Services are described for each caller, since packages may add some at run time.
    description = document([*operations, *(operation for operation, _ in described)], own_url(request.scope))
    for _, named in described:
        description["components"]["schemas"].update(named)
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
        reply["content"] = {operation.media: {"schema": _schema(operation.reply, schemas)}}
        reply["content"] |= {media: {} for media in operation.other_media}

    error = {"description": "An error", "content": _errors_of(operation)}
    described: dict[str, Any] = {
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [
            *map(_path_parameter, _path_names(operation.path)),
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
        content = {operation.body_media: {"schema": _schema(operation.body, schemas)}}
        described["requestBody"] = {"content": content, "required": bool(operation.body)}

    if operation.rule.level in {"open", "page"}:
        # Overrides the document's default, which asks for a key.
        described["security"] = []
    return described


def _errors_of(operation: HttpOperation) -> dict[str, Any]:
    """The shapes of an operation's errors: ours, a page, a workflow's or a provider's own, or one of JSON-RPC."""
    ours = {"$ref": _REF.format(model="Error")}
    if operation.tag == "mcp":
        either = {"anyOf": [ours, {"$ref": _REF.format(model="JsonRpcError")}]}
        return {"application/json": {"schema": either}, "text/plain": {}, "text/event-stream": {}}
    if operation.media == "*/*":
        return {"*/*": {}}

    content: dict[str, Any] = {"application/json": {"schema": ours}}
    if operation.media == "text/html":
        return content | {"text/html": {}}

    return content


def _schema(schema: Schema | None, schemas: dict[str, Any]) -> dict[str, Any]:
    """A schema with its models as references, which are added to `schemas`."""
    if schema is None:
        return {}
    return cast("dict[str, Any]", _resolve(schema, schemas))


def _resolve(node: Schema | JsonValue, schemas: JsonObject) -> JsonValue:
    if isinstance(node, type):
        full = node.model_json_schema(ref_template=_REF)
        schemas.update(full.pop("$defs", {}))
        schemas[node.__name__] = full
        return {"$ref": _REF.format(model=node.__name__)}
    if isinstance(node, dict):
        return {key: _resolve(value, schemas) for key, value in cast("dict[str, Any]", node).items()}
    if isinstance(node, list):
        return [_resolve(item, schemas) for item in cast("list[Any]", node)]
    return cast("Any", node)


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
