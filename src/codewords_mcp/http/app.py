"""The HTTP API as one ASGI app: origins of workflows; cors → errors → hosts → keys → pages → hot paths or router; sandboxes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

from starlette.exceptions import HTTPException
from starlette.routing import Match, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from codewords_mcp.errors import NotFound, ServiceNotAvailable
from codewords_mcp.http.internal_listener import SandboxGuard, SandboxServer, sandbox_operations
from codewords_mcp.http.middleware.audit import AuditedRequests
from codewords_mcp.http.middleware.auth import KeyGuard
from codewords_mcp.http.middleware.cors import Cors
from codewords_mcp.http.middleware.errors import ErrorBoundary, method_not_allowed
from codewords_mcp.http.middleware.hosts import HostGuard, Trust
from codewords_mcp.http.middleware.measures import MeasuredRequests
from codewords_mcp.http.middleware.people import PageGuard, PageSessionGuard
from codewords_mcp.http.middleware.tokens import Tokens
from codewords_mcp.http.middleware.traces import TracedRequests
from codewords_mcp.http.middleware.workflow_origins import OriginRouter, WorkflowOrigin
from codewords_mcp.http.openapi import operations_for
from codewords_mcp.http.openid import OpenIdIssuer
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.pages import answer, console, join, openid, passkey, sign_in
from codewords_mcp.http.pages import consent as consent_page
from codewords_mcp.http.pages import login as login_page
from codewords_mcp.http.pages import question as question_page
from codewords_mcp.http.pages import secret as secret_page
from codewords_mcp.http.pages.docs import docs_operation
from codewords_mcp.http.paths import SSE_PATHS, is_chrome, is_mcp, toolset_of
from codewords_mcp.http.postman import postman_operation
from codewords_mcp.http.routes import (
    admin,
    agreements,
    alerts,
    audit,
    browser,
    budgets,
    configuration,
    costs,
    debugger,
    discovery,
    drafts,
    dry_runs,
    events,
    files,
    gateway,
    integrations,
    members,
    metrics,
    oauth,
    own_keys,
    passkeys,
    published,
    questions,
    quotas,
    recordings,
    replays,
    resumed_runs,
    run_calls,
    run_lists,
    run_records,
    schedules,
    secrets,
    services,
    testing,
    triggers,
    usage,
    webhooks,
    workflow_pages,
    workflows,
)
from codewords_mcp.http.routes.gateway import (
    ProviderErrors,
    provider_of,
    provider_rule,
    serve_provider,
    serve_simple,
    simple_of,
)
from codewords_mcp.http.routes.websockets import realtime_rule, serve_realtime, serve_websocket
from codewords_mcp.http.state import APP_STATE, AppState, admit
from codewords_mcp.mcp_server.scope_keys import API_KEY, TOOLSET_KEY
from codewords_mcp.mcp_server.toolsets import is_toolset_name
from codewords_mcp.runtime.auth.access import Rule
from codewords_mcp.runtime.auth.access_table import TABLE
from codewords_mcp.settings import Settings

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime

_SSE_METHODS = {"/sse": "GET", "/messages/": "POST"}
_MCP = [
    HttpOperation(
        method,
        path,
        "MCP over streamable HTTP",
        tag="mcp",
        media="*/*",
        body={},
        body_media="*/*",
    )
    for path in ("/mcp", "/mcp/{toolset}", "/run/devx_mcp/mcp/")
    for method in ("POST", "GET", "DELETE")
] + [
    HttpOperation(
        method,
        path,
        "MCP over HTTP+SSE, for older hosts",
        tag="mcp",
        media="*/*",
        body={},
        body_media="*/*",
    )
    for path, method in _SSE_METHODS.items()
]


def operations() -> tuple[HttpOperation, ...]:
    """List every operation of the HTTP API. The secret page comes before `/secrets/{name}/…`, which would match it too."""
    table = (
        *secret_page.OPERATIONS, *admin.OPERATIONS, *metrics.OPERATIONS,
        *workflows.OPERATIONS, *drafts.OPERATIONS, *configuration.OPERATIONS,
        *run_lists.OPERATIONS, *run_records.OPERATIONS,
        *replays.OPERATIONS,
        *dry_runs.OPERATIONS,
        *resumed_runs.OPERATIONS,
        *run_calls.OPERATIONS, *usage.OPERATIONS, *schedules.OPERATIONS, *gateway.OPERATIONS, *costs.OPERATIONS,
        *budgets.OPERATIONS, *quotas.OPERATIONS, *recordings.OPERATIONS, *testing.OPERATIONS,
        *files.OPERATIONS, *secrets.OPERATIONS, *services.OPERATIONS, *integrations.OPERATIONS,
        *webhooks.OPERATIONS, *triggers.OPERATIONS,
        *login_page.OPERATIONS, *question_page.OPERATIONS, *consent_page.OPERATIONS, *browser.OPERATIONS,
        *passkey.OPERATIONS, *sign_in.OPERATIONS, *join.OPERATIONS, *openid.OPERATIONS, *members.OPERATIONS,
        *passkeys.OPERATIONS, *own_keys.OPERATIONS, *oauth.OPERATIONS, *discovery.OPERATIONS,
        *answer.OPERATIONS, *console.OPERATIONS, *events.OPERATIONS, *published.OPERATIONS,
        *workflow_pages.OPERATIONS, *agreements.OPERATIONS, *alerts.OPERATIONS, *audit.OPERATIONS, *questions.OPERATIONS, *_MCP,
    )  # fmt: skip
    described = list(table)
    # The pages read `described` at each request, so that they list themselves as well.
    pages = [docs_operation(described), operations_for(described), postman_operation(described)]
    described.extend(pages)

    return tuple(described)


def create_app(
    runtime: Runtime, settings: Settings, mcp_app: ASGIApp | None, *, on_stop: Callable[[], None]
) -> ASGIApp:
    """Make the HTTP API as one ASGI app. `mcp_app` serves MCP at "/mcp"; its maker enters its lifespan.

    The runtime gets the internal listener of its sandboxes. `on_stop` is called after POST /stop was answered, on the loop.
    """
    parts, table = AppState(runtime, settings, on_stop, OpenIdIssuer(settings)), operations()
    # Sandboxes get an app of their own: no request of theirs passes the public guards, and no
    # mistake in a public route's guard opens it to them.
    runtime.sandbox_access.listen(SandboxServer(_sandbox_app(parts, mcp_app, sandbox_operations(table))))
    dispatcher = RequestDispatcher(parts, mcp_app, table)
    trust, tokens = Trust(runtime, settings), Tokens(settings, runtime)
    pages = PageGuard(dispatcher, runtime, trust)
    keys = KeyGuard(pages, runtime, tokens, PageSessionGuard(runtime, trust))

    # CORS is outermost, so that a page of a trusted origin can read errors too. The boundary is
    # around every guard, so that their errors are worded like all others. Hosts are checked
    # before keys: DNS rebinding must not even learn whether a key is right.
    audited = AuditedRequests(HostGuard(keys, trust), runtime)
    measures = runtime.metrics.measures
    served = MeasuredRequests(Cors(ErrorBoundary(ProviderErrors(audited)), trust), measures, "public")
    # Before all of that: on a workflow's own origin there is nothing of the runtime.
    pages_of_workflows = AuditedRequests(WorkflowOrigin(parts, trust), runtime)
    pages_app = MeasuredRequests(ErrorBoundary(pages_of_workflows), measures, "pages")
    app = OriginRouter(served, pages_app, trust)
    return TracedRequests(app, runtime) if runtime.tracing.enabled else app


_WEBSOCKET, _CHROME = (
    TABLE.get("websocket", "WS /run/{service_id}/{path}"),
    TABLE.get("websocket", "WS /browser/connect"),
)
_EDITOR, _BRIDGE = (
    TABLE.get("websocket", "WS /drafts/{draft_id}/debugger"),
    TABLE.get("websocket", "WS /debugger"),
)


def _sandbox_app(parts: AppState, mcp_app: ASGIApp | None, served: list[HttpOperation]) -> ASGIApp:
    """The app of the internal listener."""
    dispatcher = RequestDispatcher(parts, mcp_app, served)
    audited = AuditedRequests(SandboxGuard(dispatcher, parts.runtime, served), parts.runtime)
    measures = parts.runtime.metrics.measures
    return MeasuredRequests(ErrorBoundary(ProviderErrors(audited)), measures, "sandbox")


class RequestDispatcher:
    """Sends each request to the code that serves its path. Calls of workflows bypass the router to save its matching."""

    def __init__(self, parts: AppState, mcp_app: ASGIApp | None, table: Iterable[HttpOperation]) -> None:
        self._container = parts
        self._mcp = mcp_app
        # What a tool reads for a card passed the guards with the tool's own call.
        self._api = ErrorBoundary(self)
        served = [operation.route() for operation in table if operation.handler is not None]
        self._router = Router(served, redirect_slashes=False)
        self._hot = {"run": run_calls.serve_run, "run_async": run_calls.serve_run_async}
        self._rules = {name: TABLE.get("http", f"* /{name}/{{service_id}}/{{path}}") for name in self._hot}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises what the route raised, Starlette's HTTPException included."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return

        scope[APP_STATE] = self._container
        path: str = scope["path"]
        # Padded, since a short path has fewer parts.
        _, first, rest = (*path.split("/", 2), "", "")[:3]
        # Before the hot paths: `/run/devx_mcp/mcp/` looks like a workflow's.
        if is_mcp(path) and scope["type"] == "http":
            admit(scope, _mcp_rule(path))
            await self._serve_mcp(scope, receive, send)
        elif scope["type"] == "websocket":
            if is_chrome(path):
                admit(scope, _CHROME)
                await browser.serve_chrome(scope, receive, send)
                return

            if debugger.draft_of(path):
                admit(scope, _EDITOR)
                await debugger.serve_editor(scope, receive, send)
                return

            if path == debugger.BRIDGE_PATH:
                admit(scope, _BRIDGE)
                await debugger.serve_bridge(scope, receive, send)
                return

            if rule := realtime_rule(path):
                admit(scope, rule)
                await serve_realtime(scope, receive, send)
                return

            if first != "run":
                raise NotFound(
                    "There is no such websocket.", hint="Workflows serve theirs under /run/{service_id}/."
                )

            admit(scope, _WEBSOCKET)
            await serve_websocket(scope, receive, send)
        elif provider := provider_of(path):
            admit(scope, provider_rule(*provider[:2]))
            await serve_provider(scope, receive, send)
        elif simple := simple_of(path):
            admit(scope, TABLE.get("http", f"POST /run/{simple}/"))
            await serve_simple(scope, receive, send)
        elif word := services.firecrawls(path):
            admit(scope, TABLE.get("http", f"* {word}"))
            await run_calls.serve_run(services.under_firecrawl(scope), receive, send)
        elif first in self._hot and rest:
            admit(scope, self._rules[first])
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
        # The SDK's app asks only its own path for the method.
        if path in _SSE_METHODS and scope["method"] != _SSE_METHODS[path]:
            raise method_not_allowed({_SSE_METHODS[path]})
        # The SDK's app knows one path. The toolset goes with the scope, where our middleware of
        # MCP reads it.
        served = {
            **scope, "path": path, "raw_path": path.encode(), "root_path": "", TOOLSET_KEY: toolset, API_KEY: self._api,
        }  # fmt: skip
        await self._mcp(served, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if len(path) > 1 and path.endswith("/"):
            scope = {**scope, "path": path[:-1]}
        # With an "app" in the scope the router raises for what it cannot match, and the boundary words it.
        scope["app"] = self
        try:
            await self._router(scope, receive, send)
        except HTTPException as refusal:
            if refusal.status_code != 405:
                raise
            # The router names the methods of the first route of this path alone.
            raise method_not_allowed(self._methods(scope)) from None

    def _methods(self, scope: Scope) -> set[str]:
        """The methods of every route of this path."""
        routes = [
            cast("Route", route) for route in self._router.routes if route.matches(scope)[0] != Match.NONE
        ]
        return {method for route in routes for method in route.methods or ()}


def _mcp_rule(path: str) -> Rule:
    if served := SSE_PATHS.get(path):
        return TABLE.get("http", f"{_SSE_METHODS[served]} {served}")
    if path.startswith("/run/"):
        return TABLE.get("http", "POST /run/devx_mcp/mcp/")
    return TABLE.get("http", "POST /mcp/{toolset}" if toolset_of(path) else "POST /mcp")


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
