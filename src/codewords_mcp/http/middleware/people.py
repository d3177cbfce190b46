"""Pages of people: one layer before them all, which wants a person's session and refuses forms of other pages; and the
console, whose requests of the API need the same session.

A browser says where a form comes from, in `Origin` and `Sec-Fetch-Site`; a form that does not say so is refused. It sends
`Sec-Fetch-Site` to https and loopback addresses only, so pages work there and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from starlette.types import ASGIApp, Receive, Scope, Send

from codewords_mcp.errors import Forbidden, Unauthenticated
from codewords_mcp.http.middleware.headers import Headers
from codewords_mcp.http.middleware.hosts import Trust
from codewords_mcp.http.middleware.session_cookies import direct_peer, renewing, session_token
from codewords_mcp.http.pages import sorry
from codewords_mcp.http.state import (
    CALLER,
    ERROR_PAGE,
    HAS_ISSUER,
    HAS_PASSKEYS,
    OPENS_PAGES,
    PERSON,
    SELF,
    SESSION,
)
from codewords_mcp.runtime.auth.sessions import SignedIn
from codewords_mcp.runtime.model.caller import Caller

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime

SESSION_PREFIXES = ("/consents/", "/approvals/", "/secrets/enter/", "/connect/", "/browser/pair/")
"""Paths of pages where a person agrees, types a secret or connects an account."""
FORM_PREFIXES = (*SESSION_PREFIXES, "/login/", "/sign-in/", "/answer/", "/join/", "/oidc/")
"""All pages with forms. `/login/`, `/answer/` and `/join/` are for people whom the runtime does not know."""
FORM_PATHS = frozenset({"/sign-in", "/sign-out"})
CONSOLE_HEADER = b"x-codewords-console"
"""Sent by the console with each request of the API, whatever its value. Pages of other origins may not send it."""
READING = frozenset({"GET", "HEAD"})


class PageGuard:
    """Puts the person of a page's session into the scope. Refuses forms of other origins, whatever the page."""

    def __init__(self, app: ASGIApp, runtime: Runtime, trust: Trust) -> None:
        self.app = app
        self._runtime = runtime
        self._trust = trust

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises Forbidden for a form of another page, Unauthenticated where nobody is signed in."""
        if scope["type"] == "http" and is_form_page(scope["path"]):
            scope[SELF] = origin = self._trust.own_origin(scope)
            await _name_sign_ins(scope, self._runtime)
            # A person looks at these routes, so errors are pages too, before a route sets its
            # own.
            scope.setdefault(ERROR_PAGE, sorry("This was not done"))
            found = await session_of(scope, self._runtime)
            scope[PERSON] = found and found.caller
            send = renewing(scope, send, found)
            # Before the form's check: somebody who isn't signed in learns nothing about the
            # form.
            if scope["path"].startswith(SESSION_PREFIXES):
                require_signed_in(scope)
            if scope["method"] not in READING:
                require_same_origin(scope["headers"], origin)

        await self.app(scope, receive, send)


class PageSessionGuard:
    """Lets a signed-in person read the pages that a key opens too. It comes before the search for a key."""

    def __init__(self, runtime: Runtime, trust: Trust) -> None:
        self._runtime = runtime
        self._trust = trust

    async def admit(self, scope: Scope) -> SignedIn:
        """Put the person of the session into the scope as the caller. Raises Unauthenticated, to a browser as the page to sign
        in on.
        """
        scope[SELF] = self._trust.own_origin(scope)
        await _name_sign_ins(scope, self._runtime)

        if scope["method"] in READING:
            found = await session_of(scope, self._runtime)
        else:
            found = None

        if found is None:
            # A program gets the error for programs; only a browser's navigation gets the page.
            if (b"sec-fetch-dest", b"document") in scope["headers"]:
                raise _signed_out(scope)
            raise _no_key()

        scope[PERSON] = scope[CALLER] = found.caller
        return found

    async def admit_console(self, scope: Scope) -> SignedIn:
        """Put the person of the session into the scope as the caller of the API, where the console itself asks.

        A page of another origin can't: it may not send `CONSOLE_HEADER` (the preflight refuses it), and the browser names
        its site. Raises Forbidden for a request of another page, Unauthenticated where nobody is signed in.
        """
        scope[SELF] = origin = self._trust.own_origin(scope)
        if not session_token(scope) and not is_console_call(scope["headers"]):
            raise _no_key()

        require_console(scope["headers"], origin, reading=scope["method"] in READING)
        found = await session_of(scope, self._runtime)
        if found is None:
            raise Unauthenticated(
                "You are not signed in any more.", hint="Sign in in another tab; this page then goes on."
            )

        scope[CALLER] = found.caller
        return found


async def _name_sign_ins(scope: Scope, runtime: Runtime) -> None:
    """Put the ways to sign in here into the scope, for the page that asks for one."""
    scope[OPENS_PAGES] = runtime.sessions.opens_pages
    scope[HAS_ISSUER] = runtime.settings.oidc_issuer is not None
    scope[HAS_PASSKEYS] = await runtime.passkeys.are_offered()


async def session_of(scope: Scope, runtime: Runtime) -> SignedIn | None:
    """Find the session of a request, and put its id into the scope."""
    token = session_token(scope)
    if token:
        found = await runtime.sessions.find(token, direct_peer(scope))
    else:
        found = None
    scope[SESSION] = found and found.id
    return found


def _no_key() -> Unauthenticated:
    return Unauthenticated(
        "This request carries no key.",
        hint="Send it as `Authorization: Bearer <key>` or `X-API-Key`; `codewords keys create` makes one.",
    )


def is_console_call(headers: Headers) -> bool:
    """Whether a request says that the console sends it."""
    return any(name == CONSOLE_HEADER for name, _ in headers)


def require_console(headers: Headers, origin: str, *, reading: bool) -> None:
    """Raise Forbidden for a request that is not known to come from the console's own page."""
    origins = [value.decode("latin-1").lower() for name, value in headers if name == b"origin"]
    sites = [value.decode("latin-1").lower() for name, value in headers if name == b"sec-fetch-site"]
    # Browsers send no Origin with a GET to their own origin, and one with everything that changes something.
    own = origins == [origin] or (reading and not origins)
    if not own or sites != ["same-origin"]:
        raise Forbidden(
            "This request was not sent from the console's own page, or the browser does not say so.",
            hint="Open the console at https or at 127.0.0.1. Programs send a key: `Authorization: Bearer <key>`.",
        )


def is_form_page(path: str) -> bool:
    """Whether this path is a page with a form, or the target of such a form."""
    return path in FORM_PATHS or path.startswith(FORM_PREFIXES)


def require_same_origin(headers: Headers, origin: str) -> None:
    """Raise Forbidden for a form that is not known to come from a page of this very origin."""
    origins = [value.decode("latin-1").lower() for name, value in headers if name == b"origin"]
    sites = [value.decode("latin-1").lower() for name, value in headers if name == b"sec-fetch-site"]
    # Both are required and exact. A missing header is refused: old browsers, and requests over
    # plain http from other machines, don't send it.
    if origins != [origin] or sites != ["same-origin"]:
        raise Forbidden(
            "This form was not sent from its own page, or the browser does not say so.",
            hint="Open the page itself, at https or at 127.0.0.1, and answer there.",
        )


def require_signed_in(scope: Scope) -> None:
    """Raise Unauthenticated where the request has no session; the error is shown as the page to sign in on."""
    if scope.get(PERSON) is None:
        raise _signed_out(scope)


def _signed_out(scope: Scope) -> Unauthenticated:
    from codewords_mcp.http.pages.sign_in import sign_in_page

    scope[ERROR_PAGE] = sign_in_page(scope)
    return Unauthenticated(
        "This page is for a person who is signed in.", hint="Run `codewords open`, or type a key on it."
    )


def person(scope: Scope) -> Caller:
    """Return the person who is signed in. Raises Unauthenticated."""
    require_signed_in(scope)
    return cast("Caller", scope[PERSON])
