"""The state that every route may read: the runtime, the settings and the caller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.types import Scope

from codewords_mcp.errors import Unauthenticated
from codewords_mcp.runtime.auth.access import Access, Rule
from codewords_mcp.runtime.model.audit import AuditedOperation
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.settings import Settings

if TYPE_CHECKING:
    from codewords_mcp.http.openid import OpenIdIssuer
    from codewords_mcp.runtime.api.runtime import Runtime

APP_STATE = "codewords.app_state"
CALLER = "codewords.caller"
REQUEST_ID = "codewords.request_id"
RUN_ID = "codewords.run_id"
ERROR_PAGE = "codewords.error_page"
PERSON = "codewords.person"
SESSION = "codewords.session"
ACCESS_RIGHT = "codewords.access_right"
OPENED = "codewords.opened"
SELF = "codewords.self"
OPENS_PAGES = "codewords.opens_pages"
HAS_ISSUER = "codewords.has_issuer"
HAS_PASSKEYS = "codewords.has_passkeys"
CHALLENGE = "codewords.challenge"
LISTENER = "codewords.listener"
SANDBOX = "sandbox"
OPERATION = "codewords.operation"
WORKFLOW_LABEL = "codewords.workflow_label"
"""Scope keys. `ERROR_PAGE` holds a callable from a CodewordsError to a Response, for routes that people look at;
`CHALLENGE` one from a path to what `WWW-Authenticate` says of it; `LISTENER` is "public" or "sandbox"; `SANDBOX`, in
the scope's `state`, the id of the sandbox that a connection comes from; `PERSON` the Caller
whose browser is signed in, of pages; `SESSION` the id of the session by which a page or the console asks; `ACCESS_RIGHT` the
TokenRight of a request with an access token; `OPENED` the
OpenRequest that ends with its right, None where nobody can take that away; `SELF` the origin
under which a browser reached this page; `OPENS_PAGES` whether the
runtime can open one on its desktop; `HAS_ISSUER` whether people sign in at an OpenID Connect issuer; `HAS_PASSKEYS` whether by
passkeys; `OPERATION` the AuditedOperation that the audit trail names; `WORKFLOW_LABEL` the name of the workflow whose own
origin this is, None on the runtime's."""


@dataclass(frozen=True, slots=True)
class AppState:
    """The arguments of `create_app`. `on_stop` asks the process to end and returns at once. `issuer` is where people sign in."""

    runtime: Runtime
    settings: Settings
    on_stop: Callable[[], None]
    issuer: OpenIdIssuer


def app_state(scope: Scope) -> AppState:
    """Return the application state of this request."""
    return scope[APP_STATE]


def runtime(scope: Scope) -> Runtime:
    """Return the runtime that serves this request."""
    return app_state(scope).runtime


def caller(scope: Scope) -> Caller:
    """Return the caller. Raises Unauthenticated where no guard set one, so that a hole in a guard lets nobody in."""
    found: Caller | None = scope.get(CALLER)
    if found is None:
        raise Unauthenticated("This request carries no key.")
    return found


def access(scope: Scope) -> Access:
    """Describe the access of this request: its caller, its listener, and whether a page session made it."""
    person: Caller | None = scope.get(PERSON)
    return Access(
        scope.get(CALLER),
        listener=scope.get(LISTENER, "public"),
        page_session=person is not None,
        # Pages have a session too. The guard of keys looks for none where a request has a key.
        console=scope.get(SESSION) is not None and person is None,
        person=person,
    )


def admit(scope: Scope, rule: Rule) -> None:
    """Check that this request may use an operation, and name the operation for the audit trail.

    Raises Unauthenticated, Forbidden, InsufficientScope.
    """
    operation: AuditedOperation | None = scope.get(OPERATION)
    if operation is not None:
        person = scope.get(PERSON)
        operation.name = rule.name
        operation.writes = rule.effect == "writes" and not rule.transport
        operation.caller = scope.get(CALLER) or person
        if scope.get(LISTENER) == "sandbox":
            operation.front_door = "sandbox"
        elif scope.get(SESSION) is not None:
            operation.front_door = "console" if person is None else "page"
    access(scope).require(rule)


def own_url(scope: Scope) -> str:
    """Return the URL by which this caller reached us, without a trailing slash: `http://127.0.0.1:8765`.

    Host was checked before.
    """
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    # The URL is for requests, also where the request came as a websocket.
    scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
    return f"{scheme}://{host.decode('latin-1')}"
