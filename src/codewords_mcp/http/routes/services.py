"""Library services: what there are, and how each of their operations is called."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.http.bodies import Body, read_body
from codewords_mcp.http.operations import HttpOperation, items_of
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.routes.gateway import PROVIDERS
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.auth.access_table import service_rule
from codewords_mcp.runtime.model.service import CallPreview, ServiceInfo

_WORDS = ("scrape", "map", "crawl", "search", "extract", "batch")
_FIRECRAWLS = re.compile(rf"(/v[12]/(?:{'|'.join(_WORDS)}))(?:/|\Z)")
"""Paths that Firecrawl's newer clients call. They drop the path of their `api_url`."""


def firecrawls(path: str) -> str | None:
    """The operation of Firecrawl that a path names, such as "/v2/scrape"; None for other paths."""
    match = _FIRECRAWLS.match(path)
    if match:
        return match[1]
    return None


def under_firecrawl(scope: Scope) -> Scope:
    """Return the scope of the same call under the path of the service."""
    path = f"/run/firecrawl{scope['path']}"
    # Both paths: the hot path reads the raw one.
    return {**scope, "path": path, "raw_path": quote(path).encode()}


async def list_services(request: Request) -> Response:
    """List the library services."""
    return JsonReply({"items": await runtime(request.scope).services.list(caller(request.scope))})


async def get(request: Request) -> Response:
    """Return one library service."""
    name = request.path_params["name"]
    return JsonReply(await runtime(request.scope).services.get(caller(request.scope), name))


class PreviewBody(Body):
    """A call: `input` is what its body or query would be."""

    path: str = "/"
    input: Any = None


async def preview(request: Request) -> Response:
    """Preview a call without making it."""
    body = await read_body(request, PreviewBody)
    return JsonReply(
        runtime(request.scope).services.preview(
            caller(request.scope), request.path_params["name"], body.path, body.input
        )
    )


def operations_of(services: Iterable[ServiceInfo]) -> tuple[list[HttpOperation], dict[str, Any]]:
    """(how each operation is called, the named schemas that they refer to), for the description of the HTTP API."""
    operations: list[HttpOperation] = []
    named: dict[str, Any] = {}

    for service in services:
        if service.name in PROVIDERS:  # the table has them
            continue
        for operation in service.operations:
            needs = [f"`{credential.name}`" for credential in service.credentials if not credential.without]
            body = _named(operation.input, service.name, named)
            reply = _named(operation.output, service.name, named)
            operations.append(HttpOperation(
                "POST", f"/run/{service.name}{operation.path.replace('*', '{path}')}", operation.summary,
                tag=f"service: {service.name}", body=body, reply=reply,
                description=service.summary + (f" Needs {', '.join(needs)}." if needs else ""),
                rule=service_rule(service.name, operation.path.strip("/"), operation.effect),
            ))  # fmt: skip

    return operations, named


def _named(schema: dict[str, Any], service: str, named: dict[str, Any]) -> dict[str, Any]:
    """The schema with its own definitions moved to `named`, under the service's name."""

    def moved(node: JsonValue) -> JsonValue:
        if isinstance(node, dict):
            return moved_object(node)
        if isinstance(node, list):
            return [moved(item) for item in node]

        return node

    def moved_object(node: JsonObject) -> JsonObject:
        return {key: moved_member(value) for key, value in node.items() if key != "$defs"}

    def moved_member(value: JsonValue) -> JsonValue:
        # The values of a discriminator's mapping are references as well.
        if isinstance(value, str) and value.startswith("#/$defs/"):
            return f"#/components/schemas/{service}_{value.rpartition('/')[2]}"
        return moved(value)

    named.update({f"{service}_{name}": moved(part) for name, part in schema.get("$defs", {}).items()})
    return moved_object(schema)


OPERATIONS = [
    *(
        HttpOperation(
            "*", f"/{version}/{word}", f"Firecrawl's {word}, as its newer clients ask for it",
            tag="services", body={}, reply={},
            description=f"The same as `/run/firecrawl/{version}/{word}`; what is below it too, with any method.",
        )
        for version in ("v1", "v2")
        for word in _WORDS
    ),
    HttpOperation(
        "GET", "/services", "Library services", list_services, tag="services",
        description="Each with its operations, their schemas, and whether the credentials it needs are set.",
        reply=items_of(ServiceInfo),
    ),
    HttpOperation(
        "GET", "/services/{name}", "One library service", get, tag="services", reply=ServiceInfo
    ),
    HttpOperation(
        "POST", "/services/{name}/preview", "What a call of a library service would do", preview, tag="services",
        body=PreviewBody, reply=CallPreview,
        description="Nothing is done. `asks` is the call as a person reads it, where it may send, change or act on something.",
    ),
]  # fmt: skip
