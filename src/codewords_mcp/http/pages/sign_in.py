"""Signing a browser in: by a one-time address, or by a key that is typed."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from codewords_mcp.errors import (
    BodyTooLarge,
    CodewordsError,
    Forbidden,
    TooBusy,
    Unauthenticated,
)
from codewords_mcp.http.bodies import Body, read_body, read_bytes, read_form
from codewords_mcp.http.middleware.session_cookies import (
    browser_of,
    direct_peer,
    session_token,
    set_cookie,
)
from codewords_mcp.http.operations import HttpOperation, items_of
from codewords_mcp.http.pages import HEADERS, page, prose, sorry
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import (
    ERROR_PAGE,
    HAS_ISSUER,
    HAS_PASSKEYS,
    OPENS_PAGES,
    PERSON,
    SELF,
    SESSION,
    app_state,
    caller,
    runtime,
)
from codewords_mcp.runtime.auth.page_access import checked_path
from codewords_mcp.runtime.auth.sessions import SESSION_TTL
from codewords_mcp.runtime.model.caller import HOME_OWNER, Caller
from codewords_mcp.runtime.model.session import PageSession, WaitingPage

_MAX_FORM = 2048
_MAX_KEY = 512
_sorry = sorry("You are not signed in")


class SignInBody(Body):
    """`page`: the path that the address leads to, or the token of a page that waits; `/` without it."""

    page: str = ""


async def create(request: Request) -> Response:
    """A one-time address that signs the caller's browser in."""
    body = await read_body(request, SignInBody)
    return JsonReply(
        {"url": await runtime(request.scope).sessions.create_sign_in(caller(request.scope), body.page)}
    )


async def waiting(request: Request) -> Response:
    """List the pages that wait for the caller."""
    return JsonReply({"items": await runtime(request.scope).sessions.waiting_pages(caller(request.scope))})


async def list_sessions(request: Request) -> Response:
    """List the browsers that are signed in as the caller."""
    scope = request.scope
    return JsonReply({"items": await runtime(scope).sessions.list(caller(scope), scope.get(SESSION) or "")})


async def revoke_session(request: Request) -> Response:
    """Sign one of the caller's browsers out."""
    await runtime(request.scope).sessions.revoke(
        caller(request.scope), str(request.path_params["session_id"])
    )
    return Response(status_code=204)


async def follow(request: Request) -> Response:
    """Sign in at once where the person opened the address themselves; else show who would be signed in, and a button.

    A link on another page, or a browser that only looks ahead, signs nobody in.
    """
    request.scope[ERROR_PAGE] = _sorry
    found = await runtime(request.scope).sessions.peek_sign_in(_token(request))
    headers = request.headers
    # `none` means that the address was typed or opened by another program; a link on a page
    # sends its site. `Sec-Purpose` is of browsers that load pages ahead.
    opened_by_person = (
        request.method == "GET"
        and headers.get("sec-fetch-site") == "none"
        and headers.get("sec-fetch-dest") == "document"
        and "sec-purpose" not in headers
    )
    now: Caller | None = request.scope.get(PERSON)
    if opened_by_person and (now is None or is_same_person(now, found.caller)):
        return await _signed_in(request)

    if now:
        instead = f" This browser is signed in as <b>{escape(now.actor)}</b> now."
    else:
        instead = ""

    return page(
        "Sign in",
        f"<h1>Sign in to this runtime</h1><p>As <b>{escape(_named(found.caller))}</b>.{instead}</p>"
        '<form method="post"><button autofocus>Sign in</button></form>'
        '<p class="dim last">If you did not ask for this, close the page: nothing happens then.</p>',
    )


async def redeem(request: Request) -> Response:
    """The button of that page."""
    request.scope[ERROR_PAGE] = _sorry
    await read_bytes(request, _MAX_FORM, _too_large)
    return await _signed_in(request)


async def type_key(request: Request) -> Response:
    """Sign in by a key."""
    fields = await read_form(request, _MAX_FORM, _too_large)
    path = checked_path(fields.get("to", "/"))
    request.scope[ERROR_PAGE] = sign_in_page(request.scope, path)
    key = fields.get("key", "").strip()
    # What cannot be a key costs no look-up.
    if not 0 < len(key) <= _MAX_KEY or not key.isascii() or not key.isprintable():
        raise Unauthenticated("That is no API key.", hint="`codewords keys create` makes one.")

    # a proxy on this machine that says who its client is has been taken at its word
    if request.client:
        address = request.client.host
    else:
        address = ""

    scope = request.scope
    token = await runtime(scope).sessions.begin(
        key, direct_peer(scope), address=address, browser=browser_of(scope)
    )
    return await with_session(request, token, path)


async def open_here(request: Request) -> Response:
    """Let the runtime open the page in the browser of its own desktop, signed in."""
    fields = await read_form(request, _MAX_FORM, _too_large)
    path = checked_path(fields.get("to", "/"))
    request.scope[ERROR_PAGE] = sign_in_page(request.scope, path)
    if not await runtime(request.scope).sessions.open_page(HOME_OWNER, path):
        raise TooBusy(
            "The runtime cannot open a page now.",
            retry_after=5,
            hint="Run `codewords open` in a terminal instead.",
        )

    return page(
        "Opened",
        "<h1>The page was opened in your browser</h1><p>Look for its new tab or window.</p>"
        '<p class="dim last">Nothing there? Run <code>codewords open</code> in a terminal.</p>',
    )


async def sign_out(request: Request) -> Response:
    """End the session."""
    await read_bytes(request, _MAX_FORM, _too_large)
    if token := session_token(request.scope):
        await runtime(request.scope).sessions.end(token)
    elsewhere = ""
    # A session at the issuer would sign in anew without a question.
    if url := await app_state(request.scope).issuer.end_session_url():
        elsewhere = f'<p><a href="{escape(url)}">Sign out of your account as well</a></p>'
    reply = page(
        "Signed out", f'<h1>You are signed out</h1>{elsewhere}<p class="last">You can close this page.</p>'
    )
    _set_cookie(reply, request.scope, "", 0)
    return reply


def sign_in_page(scope: Scope, path: str = "") -> Callable[[CodewordsError], Response]:
    """Renders an error as the page on which a person signs in, and returns to the requested path."""
    to = path or scope["path"]

    def render(error: CodewordsError) -> Response:
        if isinstance(error, Unauthenticated) and not path and _came_by_a_link(scope):
            return _again(to)
        if not isinstance(error, (Unauthenticated, TooBusy, Forbidden)):
            return sorry("This was not done")(error)

        if path:
            alert = f'<p class="bad" role="alert">{prose(str(error))}</p>'
        else:
            alert = ""

        hidden = f'<input type="hidden" name="to" value="{escape(to)}">'
        here = ""
        if scope.get(OPENS_PAGES):
            here = (
                f'<form method="post" action="/sign-in/here">{hidden}<button>Open it in my browser</button></form>'
                "<p>The runtime opens this page again in the browser of its own desktop, signed in.</p>"
            )

        query = urlencode({"to": to})
        if scope.get(HAS_PASSKEYS):
            here = f'<p><a class="button" href="/sign-in/passkey?{escape(query)}">Sign in by a passkey</a></p>{here}'
        if scope.get(HAS_ISSUER):
            here = f'<p><a class="button" href="/oidc/sign-in?{escape(query)}">Sign in with your account</a></p>{here}'

        quiet = ' class="quiet"' if here else ""
        return page(
            "Sign in to codewords",
            f"<h1>Sign in to codewords</h1>{alert}"
            "<p>This page is for you, not for an assistant. Show that it is you, in one of these ways:</p>"
            f"{here}<p>Run <code>codewords open</code> in a terminal of the machine that the runtime is on. It opens what"
            " waits for you.</p>"
            f'<form method="post" action="/sign-in" autocomplete="off">{hidden}'
            '<label for="key">Or type an API key</label>'
            '<input id="key" name="key" type="password" autocomplete="off" autocapitalize="none" autocorrect="off"'
            f' spellcheck="false"><button{quiet}>Sign in</button></form>'
            '<p class="dim last">The key goes to this runtime only. This browser then stays signed in for 12 hours, or until'
            " you have not used it for two.</p>",
            status=error.status,
        )

    return render


def _came_by_a_link(scope: Scope) -> bool:
    """Whether a page of another site led here, in which case the browser has sent no cookie."""
    headers = scope["headers"]
    foreign = (b"sec-fetch-site", b"cross-site") in headers or (b"sec-fetch-site", b"same-site") in headers
    return scope["method"] == "GET" and foreign and (b"sec-fetch-dest", b"document") in headers


def _again(path: str) -> Response:
    """A page that loads its own address at once: that request is of this site, so it brings the cookie."""
    shown = page(
        "One moment",
        f'<h1>One moment</h1><p class="last"><a href="{escape(path)}">Go on</a></p>',
    )
    shown.headers["Refresh"] = "0"
    return shown


def is_same_person(one: Caller, other: Caller) -> bool:
    """Whether two callers are the same member, or keys of the same owner that are no member's."""
    members = [caller.member and caller.member.id for caller in (one, other)]
    return one.owner == other.owner and members[0] == members[1]


def _named(found: Caller) -> str:
    if found.member is not None:
        return f"{found.member.name} ({found.member.role})"
    if found.key_id:
        key = f"key {found.key_id}"
    else:
        key = "the home's own key"
    return f"{found.owner} ({key})"


async def _signed_in(request: Request) -> Response:
    token, found = await runtime(request.scope).sessions.redeem_sign_in(
        _token(request), direct_peer(request.scope), browser=browser_of(request.scope)
    )
    return await with_session(request, token, found.path)


async def with_session(request: Request, token: str, path: str) -> Response:
    """Redirect to the requested path, and end the session before it, so that nobody else's goes on."""
    # Ended, so that a session that somebody else planted here doesn't live on.
    if before := session_token(request.scope):
        await runtime(request.scope).sessions.end(before)
    reply = RedirectResponse(path, 303, headers=HEADERS)
    _set_cookie(reply, request.scope, token, int(SESSION_TTL))
    return reply


def _set_cookie(reply: Response, scope: Scope, token: str, seconds: int) -> None:
    reply.raw_headers.append((b"set-cookie", set_cookie(scope[SELF], token, seconds)))


def _too_large(_limit: int) -> BodyTooLarge:
    return BodyTooLarge("That is no answer of this page.", hint="Open the page again.")


def _token(request: Request) -> str:
    return str(request.path_params["token"])


_FORM = "application/x-www-form-urlencoded"
_TAG = "sign-in"
OPERATIONS = [
    HttpOperation(
        "GET", "/waiting", "List the pages that wait for a person", waiting, tag=_TAG, reply=items_of(WaitingPage)
    ),
    HttpOperation(
        "GET", "/sessions", "List the browsers that are signed in", list_sessions, tag=_TAG, reply=items_of(PageSession)
    ),
    HttpOperation(
        "DELETE", "/sessions/{session_id}", "Sign a browser out", revoke_session, tag=_TAG, status=204
    ),
    HttpOperation(
        "POST", "/sign-ins", "Make a one-time address that signs a browser in", create, tag=_TAG, body=SignInBody,
        reply={"type": "object", "properties": {"url": {"type": "string", "format": "uri"}}, "required": ["url"]},
        description="The address is for the person, never for an assistant: it signs in whoever opens it.",
    ),
    HttpOperation(
        "POST", "/sign-in", "Sign a browser in by a key", type_key, tag=_TAG, media="text/html",
        body_media=_FORM, status=303,
        body={"type": "object", "properties": {"key": {"type": "string"}, "to": {"type": "string"}}},
    ),
    HttpOperation(
        "POST", "/sign-in/here", "Open a page on the runtime's desktop, signed in", open_here, tag=_TAG,
        media="text/html", body_media=_FORM, body={"type": "object", "properties": {"to": {"type": "string"}}},
    ),
    HttpOperation(
        "GET", "/sign-in/{token}", "Sign a browser in by a one-time address", follow, tag=_TAG,
        media="text/html",
    ),
    HttpOperation(
        "POST", "/sign-in/{token}", "The button of that page", redeem, tag=_TAG, media="text/html",
        body_media=_FORM, body={"type": "object"}, status=303,
    ),
    HttpOperation(
        "POST", "/sign-out", "End a browser's session", sign_out, tag=_TAG, media="text/html",
        body_media=_FORM, body={"type": "object"},
    ),
]  # fmt: skip
