"""The origins of workflows in browsers: on `<label>.localhost` a workflow's pages, and nothing else of the runtime.

Whoever asks is a person in a browser, known by a cookie that is good for this workflow alone. Keys open nothing here: programs
call `/run/{service_id}/`. A request that another site caused has no session, whatever cookie came with it: `*.localhost`
are sites of their own, but the workflows below an operator's domain may all be of one site.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from codewords_mcp.errors import Forbidden, Unauthenticated
from codewords_mcp.http.middleware.client_connection import ClientConnection, hang_ups_of
from codewords_mcp.http.middleware.cookies import on_own_origin, without_reserved
from codewords_mcp.http.middleware.headers import Headers, first, outward
from codewords_mcp.http.middleware.hosts import Trust
from codewords_mcp.http.middleware.session_cookies import direct_peer, page_token
from codewords_mcp.http.pages import sorry, workflow_page
from codewords_mcp.http.routes.run_calls import encoded_path, pass_on
from codewords_mcp.http.routes.websockets import pass_websocket
from codewords_mcp.http.state import (
    APP_STATE,
    CALLER,
    ERROR_PAGE,
    LISTENER,
    SELF,
    WORKFLOW_LABEL,
    AppState,
    admit,
)
from codewords_mcp.runtime.auth.access_table import TABLE
from codewords_mcp.runtime.auth.sessions import SignedIn
from codewords_mcp.runtime.model.origin_labels import service_of
from codewords_mcp.runtime.model.run import RunRequest

READING = frozenset({"GET", "HEAD"})
_STEERING = frozenset(
    {b"run-as-template", b"idempotency-key", b"x-correlation-id", b"x-provisioned-request-id", b"x-scheduled-request-id"}
)  # fmt: skip
"""Headers by which a key's holder steers the runtime. A page of a workflow does not: its program chose what it sends."""
_ADDED = [
    # Nobody else frames the page, so that no click on it is stolen.
    (b"content-security-policy", b"frame-ancestors 'self'"),
    (b"origin-agent-cluster", b"?1"),
]
_RULE = TABLE.get("http", "* /run/{service_id}/{path}")
_WEBSOCKET = TABLE.get("websocket", "WS /run/{service_id}/{path}")


class OriginRouter:
    """Sends requests to hosts of workflows to one app, and all others to the runtime's."""

    def __init__(self, runtime: ASGIApp, workflows: ASGIApp, trust: Trust) -> None:
        self._runtime = runtime
        self._workflows = workflows
        self._trust = trust

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "lifespan":
            scope[WORKFLOW_LABEL] = label = self._trust.workflow_label(scope["headers"])
            if label is not None:
                await self._workflows(scope, receive, send)
                return
        await self._runtime(scope, receive, send)


class WorkflowOrigin:
    """Serves one workflow on its own origin."""

    def __init__(self, parts: AppState, trust: Trust) -> None:
        self._parts = parts
        self._trust = trust

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises Unauthenticated without a session, Forbidden for what another site caused."""
        scope[APP_STATE], scope[LISTENER] = self._parts, "public"
        scope[SELF] = origin = self._trust.workflow_origin(scope)
        service_id = service_of(scope[WORKFLOW_LABEL]) or ""
        if _is_document(scope):
            scope[ERROR_PAGE] = sorry("This page cannot be shown")
        if scope["path"].startswith(workflow_page.RESERVED):
            reply = await workflow_page.serve(scope, receive, service_id, self._trust)
            await reply(scope, receive, send)
            return
        if _is_led_here(scope):
            reply = workflow_page.led_here(scope)
            await reply(scope, receive, send)
            return

        require_own_page(scope, origin)
        open_requests = self._parts.runtime.open_requests
        changed = open_requests.changed
        found = await self._session(scope, service_id)
        scope[CALLER] = found.caller
        admit(scope, _WEBSOCKET if scope["type"] == "websocket" else _RULE)
        async with open_requests.admit(found.caller, found.id, changed):
            await self._serve(scope, receive, send, service_id)

    async def _session(self, scope: Scope, service_id: str) -> SignedIn:
        token = page_token(scope)
        find = self._parts.runtime.sessions.find_page
        if token:
            found = await find(token, service_id, direct_peer(scope))
        else:
            found = None
        if found is None:
            # The same for workflows that there are not, so that nobody learns which there are.
            if _is_document(scope):
                scope[ERROR_PAGE] = workflow_page.sign_in_page(scope, service_id, self._trust)
            raise Unauthenticated(
                "This page of a workflow is for a person who opened it from the console.",
                hint="Open it from the console. Programs call /run/{service_id}/ of the runtime with a key.",
            )
        return found

    async def _serve(self, scope: Scope, receive: Receive, send: Send, service_id: str) -> None:
        if scope["type"] == "websocket":
            await receive()  # websocket.connect
            connection = ClientConnection(receive, scope["headers"], limit=0)
            await pass_websocket(scope, receive, send, _request(scope, connection, service_id))
            return

        limit = self._parts.settings.max_body
        async with ClientConnection(
            receive, scope["headers"], limit=limit, hang_ups=hang_ups_of(scope)
        ) as connection:
            response = await self._parts.runtime.runs.execute(_request(scope, connection, service_id))
            headers = [*on_own_origin(outward(response.headers)), *_ADDED]
            await pass_on(response, headers, connection, send)


def _request(scope: Scope, connection: ClientConnection, service_id: str) -> RunRequest:
    return RunRequest(
        service_id=service_id,
        method=scope.get("method", "GET"),
        path=encoded_path(scope),
        query=scope["query_string"],
        headers=[pair for pair in without_reserved(scope["headers"]) if not _steers(pair[0])],
        body=connection.chunks(),
        caller=scope[CALLER],
        own_origin=True,
    )


def _steers(name: bytes) -> bool:
    return name in _STEERING or name.startswith(b"codewords-")


def require_own_page(scope: Scope, origin: str) -> None:
    """Raise Forbidden for a request that a page of another origin caused, or of which the browser does not say."""
    headers: Headers = scope["headers"]
    origins = [value.decode("latin-1").lower() for name, value in headers if name == b"origin"]
    site = (first(headers, b"sec-fetch-site") or b"").decode("latin-1").lower()
    if scope["type"] == "websocket":
        # Browsers name the origin with each handshake.
        own = origins == [origin]
    elif scope["method"] in READING:
        # `none`: a person typed the address, or a program opened it.
        own = origins in ([], [origin]) and (
            site == "same-origin" or (site == "none" and _is_document(scope))
        )
    else:
        own = origins == [origin] and site == "same-origin"

    if own or not page_token(scope):
        # Without a session nothing is done in anybody's name; what comes next asks for one.
        return
    raise Forbidden(
        "This request was not sent from the workflow's own page, or the browser does not say so.",
        hint="Pages of other origins call a workflow with a key, at /run/{service_id}/ of the runtime.",
    )


def _is_document(scope: Scope) -> bool:
    """Whether a browser wants to show the answer in a tab."""
    return scope["type"] == "http" and (b"sec-fetch-dest", b"document") in scope["headers"]


def _is_led_here(scope: Scope) -> bool:
    """Whether a page of another site led a tab here: its person has to want that, since loading a page may do something."""
    site = first(scope["headers"], b"sec-fetch-site")
    return _is_document(scope) and scope["method"] in READING and site in {b"cross-site", b"same-site"}
