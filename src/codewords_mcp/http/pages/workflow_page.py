"""The runtime's few pages on a workflow's origin: opening it by a one-time address, and what is shown without a session."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope

from codewords_mcp.errors import BodyTooLarge, CodewordsError, MethodNotAllowed, NotFound, Unauthenticated
from codewords_mcp.http.bodies import read_bytes
from codewords_mcp.http.middleware.headers import first
from codewords_mcp.http.middleware.people import require_same_origin
from codewords_mcp.http.middleware.session_cookies import browser_of, direct_peer, set_page_cookie
from codewords_mcp.http.pages import page, sorry
from codewords_mcp.http.state import ERROR_PAGE, SELF, runtime
from codewords_mcp.runtime.auth.sessions import SESSION_TTL

if TYPE_CHECKING:
    from codewords_mcp.http.middleware.hosts import Trust

RESERVED = "/.codewords/"
"""The only paths of a workflow's origin that are not the workflow's."""
OPEN = f"{RESERVED}open/"
_MAX_FORM = 2048
_sorry = sorry("This page was not opened")


async def serve(scope: Scope, receive: Receive, service_id: str, trust: Trust) -> Response:
    """`/.codewords/open/{token}`: give this browser a session for this workflow, and lead to its page.

    At once where the console or the person themselves opened the address; else by a button, since a link on any page could
    make somebody use a workflow as another owner. Raises NotFound, MethodNotAllowed, Forbidden.
    """
    scope[ERROR_PAGE] = _sorry
    if not scope["path"].startswith(OPEN) or scope["type"] != "http":
        raise NotFound("There is no such page.", hint="Open the workflow's page from the console.")
    token = scope["path"].removeprefix(OPEN)
    sessions = runtime(scope).sessions
    opening = await sessions.peek_opening(token, service_id)

    if scope["method"] == "POST":
        require_same_origin(scope["headers"], scope[SELF])
        await read_bytes(Request(scope, receive), _MAX_FORM, _too_large)
    elif scope["method"] != "GET":
        raise MethodNotAllowed("This page takes no such method.", allow=["GET", "POST"])
    elif not _by_person(scope, trust):
        return page(
            "Open a workflow's page",
            f"<h1>Open a page of this workflow</h1><p>As <b>{escape(opening.caller.owner)}</b>, in this browser.</p>"
            '<form method="post"><button autofocus>Open it</button></form>'
            '<p class="dim last">If you did not ask for this, close the page: nothing happens then.</p>',
        )

    secret, _ = await sessions.redeem_opening(
        token, service_id, direct_peer(scope), browser=browser_of(scope)
    )
    # The cookie is strict: a redirect would still count as led here from the console, this page's own reload does not.
    reply = page(
        "One moment", f'<h1>One moment</h1><p class="last"><a href="{escape(opening.path)}">Go on</a></p>'
    )
    reply.headers["Refresh"] = f"0; url={opening.path}"
    reply.headers["Referrer-Policy"] = "no-referrer"
    reply.raw_headers.append((b"set-cookie", set_page_cookie(scope[SELF], secret, int(SESSION_TTL))))
    return reply


def sign_in_page(scope: Scope, service_id: str, trust: Trust) -> Callable[[CodewordsError], Response]:
    """Renders an error as the page that leads to the console, where this page is opened."""
    console = _console(scope, service_id, trust)

    def render(error: CodewordsError) -> Response:
        if not isinstance(error, Unauthenticated):
            return sorry("This page cannot be shown")(error)
        return page(
            "Open this page from the console",
            "<h1>Open this page from the console</h1>"
            "<p>This is a page of a workflow. It acts for the person who looks at it, so it wants to know that it is you.</p>"
            f'<p><a class="button" href="{escape(console)}">Go to the console</a></p>'
            '<p class="dim last">There, press “Open its page”; it leads back here.</p>',
            status=error.status,
        )

    return render


def led_here(scope: Scope) -> Response:
    """The page for a tab that another site led here."""
    target = _target(scope)
    return page(
        "Go on to this page?",
        "<h1>Another site led here</h1><p>This is a page of a workflow, and opening it may do something.</p>"
        f'<p><a class="button" href="{escape(target)}">Go on</a></p>'
        '<p class="dim last">If you did not expect this, close the page: nothing happens then.</p>',
    )


def _by_person(scope: Scope, trust: Trust) -> bool:
    """Whether the person opened the address themselves, or the console did for them."""
    headers = scope["headers"]
    if first(headers, b"sec-fetch-dest") != b"document" or first(headers, b"sec-purpose") is not None:
        return False
    if first(headers, b"sec-fetch-site") == b"none":
        return True
    # The console's link sends its origin; no page can send that of another.
    parts = urlsplit((first(headers, b"referer") or b"").decode("latin-1").lower())
    return trust.is_console(f"{parts.scheme}://{parts.netloc}", scope)


def _console(scope: Scope, service_id: str, trust: Trust) -> str:
    """The address of the workflow's page in the console, with the path to lead back to."""
    base = trust.console_url(scope)
    if not service_id:
        return f"{base}/console/workflows"
    return f"{base}/console/workflows/{service_id}?page={quote(_target(scope), safe='/')}"


def _target(scope: Scope) -> str:
    """Path and query of this request, for a link: with one first slash, since two would name another host."""
    query = scope["query_string"].decode("latin-1")
    path = "/" + quote(scope["path"], safe="/%:@!$&'()*+,;=~-._").lstrip("/")
    return f"{path}?{query}" if query else path


def _too_large(_limit: int) -> BodyTooLarge:
    return BodyTooLarge("That is no answer of this page.", hint="Open the page again.")
