"""The HTTP door, put together: cors → errors → hosts → keys → the hot paths or the router."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from codewords_mcp.door.access import TOOLSET_KEY, is_toolset_name
from codewords_mcp.errors import NotFound, ServiceNotAvailable
from codewords_mcp.http import (
    admin,
    browser,
    budgets,
    consent_page,
    costs,
    drafts,
    files,
    gateway,
    integrations,
    login_page,
    oauth,
    published,
    requests,
    runs,
    schedules,
    secret_page,
    secrets,
    services,
    usage,
    webhooks,
    workflows,
)
from codewords_mcp.http.auth import KeyGuard
from codewords_mcp.http.cors import Cors
from codewords_mcp.http.docs_page import page_operations
from codewords_mcp.http.errors import ErrorBoundary
from codewords_mcp.http.gateway import ProviderErrors, provider_of, serve_provider, serve_simple, simple_of
from codewords_mcp.http.hosts import HostGuard, Trust
from codewords_mcp.http.house import HOUSE, House
from codewords_mcp.http.openapi import operations_for
from codewords_mcp.http.operations import Operation
from codewords_mcp.http.paths import SSE_PATHS, is_chrome, is_mcp, toolset_of
from codewords_mcp.http.tokens import Tokens
from codewords_mcp.http.websockets import serve_websocket
from codewords_mcp.settings import Settings

if TYPE_CHECKING:
    from codewords_mcp.runtime.runtime import Runtime

_MCP = [
    Operation(
        method,
        path,
        "MCP over streamable HTTP",
        access="user",
        tag="mcp",
        media="*/*",
        body={},
        body_media="*/*",
    )
    for path in ("/mcp", "/mcp/{toolset}", "/run/devx_mcp/mcp/")
    for method in ("POST", "GET", "DELETE")
] + [
    Operation(
        method,
        path,
        "MCP over HTTP+SSE, for older hosts",
        access="user",
        tag="mcp",
        media="*/*",
        body={},
        body_media="*/*",
    )
    for method, path in (("GET", "/sse"), ("POST", "/messages/"))
]


def operations() -> tuple[Operation, ...]:
    """Everything that this door serves. The secret page comes before `/secrets/{name}/…`, which would match it too."""
    table = (
        *secret_page.OPERATIONS, *admin.OPERATIONS, *workflows.OPERATIONS, *drafts.OPERATIONS, *requests.OPERATIONS,
        *runs.OPERATIONS, *usage.OPERATIONS, *schedules.OPERATIONS, *gateway.OPERATIONS, *costs.OPERATIONS, *budgets.OPERATIONS,
        *files.OPERATIONS, *secrets.OPERATIONS, *services.OPERATIONS, *integrations.OPERATIONS,
        *webhooks.OPERATIONS, *login_page.OPERATIONS, *consent_page.OPERATIONS, *browser.OPERATIONS,
        *oauth.OPERATIONS, *published.OPERATIONS, *_MCP,
    )  # fmt: skip
    described = list(table)
    # The descriptions describe themselves too: they read the list when they are asked.
    pages = [*page_operations(described), operations_for(described)]
    described.extend(pages)
    return tuple(described)


def create_app(
    runtime: Runtime, settings: Settings, mcp_app: ASGIApp | None, *, on_stop: Callable[[], None]
) -> ASGIApp:
    """The door as one ASGI app. `mcp_app` serves MCP at "/mcp"; who made it enters its lifespan.

    `on_stop` is called after POST /stop was answered, on the event loop.
    """
    dispatcher = Dispatcher(House(runtime, settings, on_stop), mcp_app)
    trust, tokens = Trust(runtime, settings), Tokens(settings, runtime)
    return Cors(ErrorBoundary(ProviderErrors(HostGuard(KeyGuard(dispatcher, runtime, tokens), trust))), trust)


class Dispatcher:
    """From a path to what serves it. Calls go around the router, whose matching they need not pay for."""

    def __init__(self, parts: House, mcp_app: ASGIApp | None) -> None:
        self._house = parts
        self._mcp = mcp_app
        served = [operation.route() for operation in operations() if operation.handler is not None]
        self._router = Router(served, redirect_slashes=False)
        self._hot = {"run": runs.serve_run, "run_async": runs.serve_run_async}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises what the route raised, Starlette's HTTPException included."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        scope[HOUSE] = self._house
        path: str = scope["path"]
        _, first, rest = (*path.split("/", 2), "", "")[:3]
        if is_mcp(path):
            await self._serve_mcp(scope, receive, send)
        elif scope["type"] == "websocket":
            if is_chrome(path):
                await browser.serve_chrome(scope, receive, send)
                return
            if first != "run":
                raise NotFound(
                    "There is no such websocket.", hint="Workflows serve theirs under /run/{service_id}/."
                )
            await serve_websocket(scope, receive, send)
        elif provider_of(path):
            await serve_provider(scope, receive, send)
        elif simple_of(path):
            await serve_simple(scope, receive, send)
        elif services.is_firecrawls(path):
            await runs.serve_run(services.under_firecrawl(scope), receive, send)
        elif first in self._hot and rest:
            await self._hot[first](scope, receive, send)
        else:
            await self._route(scope, receive, send)

    async def _serve_mcp(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._mcp is None:
            raise ServiceNotAvailable(
                "This runtime serves no MCP.", hint="Start it with `codewords-mcp serve`."
            )
        toolset = toolset_of(scope["path"])
        if toolset is not None and not is_toolset_name(toolset):
            raise NotFound("There is no such toolset.", hint="/mcp serves all; /mcp/{toolset} serves one.")
        path = SSE_PATHS.get(scope["path"], "/mcp")
        served = {**scope, "path": path, "raw_path": path.encode(), "root_path": "", TOOLSET_KEY: toolset}
        await self._mcp(served, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if len(path) > 1 and path.endswith("/"):
            scope = {**scope, "path": path[:-1]}
        # With an "app" in the scope the router raises for what it cannot match, and the boundary words it.
        scope["app"] = self
        await self._router(scope, receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
