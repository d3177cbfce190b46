"""What an app's own OpenAPI document tells: its title and its routes."""

from __future__ import annotations

from typing import Any, cast

UNTITLED = "workflow"
"""The title of an app that gives none."""
MAX_SCHEMA_DEPTH = 12
"""References nested deeper end in `{}`: a schema may name itself."""


def routes_of(openapi: dict[str, Any]) -> list[dict[str, Any]]:
    """[{method, path, summary, input}] of an OpenAPI document; `input` is the JSON body's schema, references resolved."""
    routes: list[dict[str, Any]] = []
    for path, operations in openapi.get("paths", {}).items():
        for method, operation in operations.items():
            body = (
                operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            )
            summary = operation.get("description") or operation.get("summary") or ""
            routes.append(
                {"method": method.upper(), "path": path, "summary": summary, "input": _resolve(body, openapi)}
            )
    return routes


def _resolve(schema: Any, openapi: dict[str, Any], depth: int = 0) -> Any:
    if depth > MAX_SCHEMA_DEPTH:
        return {}
    if isinstance(schema, list):
        return [_resolve(item, openapi, depth + 1) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    fields = cast("dict[str, Any]", schema)
    if isinstance(reference := fields.get("$ref"), str):
        name = reference.rsplit("/", 1)[-1]
        return _resolve(openapi.get("components", {}).get("schemas", {}).get(name, {}), openapi, depth + 1)
    return {key: _resolve(value, openapi, depth + 1) for key, value in fields.items()}


def title_of(openapi: dict[str, Any] | None) -> str:
    """What the app calls itself, at most 100 printable characters; "workflow" where it does not."""
    title = str((openapi or {}).get("info", {}).get("title") or "").strip()
    cleaned = "".join(c for c in title if c.isprintable())[:100].strip()
    return cleaned if cleaned and cleaned != "FastAPI" else UNTITLED
