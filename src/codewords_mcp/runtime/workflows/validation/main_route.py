"""The route of a workflow that takes its input as JSON."""

from __future__ import annotations

from typing import Any, NamedTuple

Json = dict[str, Any]


class JsonRoute(NamedTuple):
    """The path of a route that takes JSON, and its input schema with references resolved."""

    path: str
    schema: Json


def main_route(routes: list[dict[str, Any]]) -> JsonRoute | None:
    """`POST /`, else the first POST that needs nothing in its address, else None; none that takes a form.
    `routes` are from `read_routes`.
    """
    posts = [route for route in routes if route["method"] == "POST" and not _needs_more(route)]
    posts.sort(key=lambda route: route["path"] != "/")
    if posts:
        return JsonRoute(posts[0]["path"], posts[0]["input"] or {})
    return None


def _needs_more(route: dict[str, Any]) -> bool:
    """Whether a request with JSON alone is not what the route takes."""
    return (
        "form" in route
        or "{" in route["path"]
        or any(parameter["required"] for parameter in route.get("parameters", ()))
    )
