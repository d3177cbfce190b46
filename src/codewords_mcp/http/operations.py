"""One table of the door: what is served, who may use it and how it is described, in one place per route.

`Operation` is what the router, the access check and /openapi.json are all made from, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from codewords_mcp.http.house import caller
from codewords_mcp.http.scopes import refuse_run_key, require_admin

Access = Literal["open", "run", "user", "admin"]
"""The least that may use it: nobody's key, a running workflow's, a user's, an admin's."""
Handler = Callable[[Request], Awaitable[Response]]
Schema = type[BaseModel] | dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter or header; path parameters are read off the path."""

    name: str
    description: str
    schema: dict[str, Any]
    where: Literal["query", "header"] = "query"
    required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """A route. `handler` is None for hot paths, which `app.Dispatcher` serves before the router.

    `body` and `reply` are JSON unless `media` names another type of the reply. `method` may be "*".
    """

    method: str
    path: str
    summary: str
    handler: Handler | None = None
    access: Access = "user"
    tag: str = "workflows"
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Schema | None = None
    reply: Schema | None = None
    media: str = "application/json"
    status: int = 200
    body_media: str = "application/json"

    def route(self) -> Route:
        """The route, behind its access check."""
        assert self.handler is not None  # noqa: S101  # only routes of the router are asked
        return Route(self.path, _checked(self.handler, self.access), methods=[self.method])


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


def _checked(handler: Handler, access: Access) -> Handler:
    async def endpoint(request: Request) -> Response:
        if access == "admin":
            require_admin(caller(request.scope))
        elif access == "user":
            refuse_run_key(caller(request.scope))
        return await handler(request)

    return endpoint
