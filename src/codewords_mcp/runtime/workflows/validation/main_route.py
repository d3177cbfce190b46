"""The route of a workflow that takes its input as JSON."""

from __future__ import annotations

from typing import Any, NamedTuple

Json = dict[str, Any]


class JsonRoute(NamedTuple):
    """The path of a route that takes JSON, and its input schema with references resolved."""

    path: str
    schema: Json


def main_route(routes: list[dict[str, Any]]) -> JsonRoute | None:
    """`POST /`, else the first POST without parameters in its path, else None. `routes` are from
    `read_routes`.
    """
    posts = [route for route in routes if route["method"] == "POST" and "{" not in route["path"]]
    posts.sort(key=lambda route: route["path"] != "/")
    if posts:
        return JsonRoute(posts[0]["path"], posts[0]["input"] or {})
    return None
