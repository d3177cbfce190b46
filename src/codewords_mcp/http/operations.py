"""The routes of the HTTP API: what is served and how it is described, in one place per route.

`HttpOperation` is what the router and /openapi.json are made from. Who may use a route is a row of the access table
(runtime/auth/access_table.py), found by method and path; an operation without one can't be made.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from codewords_mcp.http.state import admit
from codewords_mcp.runtime.api.paging import MAX_PAGE
from codewords_mcp.runtime.auth.access import Rule
from codewords_mcp.runtime.auth.access_table import TABLE

Handler = Callable[[Request], Awaitable[Response]]
Schema = type[BaseModel] | dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter or header. Parameters of the path are read off it; one that takes few words is declared as well."""

    name: str
    description: str
    schema: dict[str, Any]
    where: Literal["query", "header", "path"] = "query"
    required: bool = False


@dataclass(frozen=True, slots=True)
class HttpOperation:
    """A route. `handler` is None for hot paths, which `app.Dispatcher` serves before the router.

    `body` and `reply` are JSON unless `media` names another type of the reply. `method` may be "*". A body of any type is `*/*`.
    `other_media`: further types that a reply can have. `deep`: the last path parameter takes slashes.
    Raises LookupError for a route without a row in the access table.
    """

    method: str
    path: str
    summary: str
    handler: Handler | None = None
    tag: str = "workflows"
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Schema | None = None
    reply: Schema | None = None
    media: str = "application/json"
    status: int = 200
    body_media: str = "application/json"
    other_media: tuple[str, ...] = ()
    deep: bool = False
    rule: Rule = field(default=None, kw_only=True)  # pyright: ignore[reportAssignmentType]  # found below

    def __post_init__(self) -> None:
        """Find who may use the route."""
        if self.rule is None:  # pyright: ignore[reportUnnecessaryComparison]
            # The dataclass is frozen.
            object.__setattr__(self, "rule", TABLE.get("http", f"{self.method} {self.path}"))

    def route(self) -> Route:
        """The route, behind its access check."""
        assert self.handler is not None  # noqa: S101  # only routes of the router are asked
        # The last parameter of such a path holds slashes, which OpenAPI has no word for.
        if self.deep:
            served = self.path.removesuffix("}") + ":path}"
        else:
            served = self.path
        return Route(served, _checked(self.handler, self.rule), methods=[self.method])


def whole_number(low: int, high: int, default: int | None = None) -> dict[str, Any]:
    """The schema of a parameter that `query_int` reads within the same bounds."""
    schema: dict[str, Any] = {"type": "integer", "minimum": low, "maximum": high}
    if default is None:
        return schema
    return schema | {"default": default}


PAGE_PARAMETERS = (
    Parameter("limit", "At most so many, 1 to 100.", whole_number(1, MAX_PAGE, default=MAX_PAGE)),
    Parameter("cursor", "`next_cursor` of the page before.", {"type": "string"}),
)
"""Parameters of a list by pages, which `page_query` reads."""


def items_of(item: Schema) -> dict[str, Any]:
    """The schema of a list: `{"items": […]}`."""
    return {
        "type": "object",
        "required": ["items"],
        "properties": {"items": {"type": "array", "items": item}},
    }


def page_of(item: Schema) -> dict[str, Any]:
    """The schema of a page: a list with the cursor of the next one, null at the end."""
    page = items_of(item)
    page["properties"]["next_cursor"] = {"type": ["string", "null"]}
    return page


def _checked(handler: Handler, rule: Rule) -> Handler:
    async def endpoint(request: Request) -> Response:
        admit(request.scope, rule)
        return await handler(request)

    return endpoint
