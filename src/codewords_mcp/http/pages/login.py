"""The page behind a sign-in link: it spends the link only when the person says so, since mail programs look at links."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.errors import BodyTooLarge
from codewords_mcp.http.bodies import read_bytes
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.pages import page, sorry
from codewords_mcp.http.state import ERROR_PAGE, runtime

_MAX_FORM = 1024
_sorry = sorry("You are not signed in")


async def show(request: Request) -> Response:
    """Show the account and the service of a sign-in link, with a button. Showing does not spend the link."""
    request.scope[ERROR_PAGE] = _sorry
    title, address = await runtime(request.scope).sessions.peek_login(_link(request))
    return page(
        f"Sign in to {title}",
        f"<h1>Sign in to {escape(title)}</h1><p>as <b>{escape(address)}</b></p>"
        '<form method="post"><button autofocus>Sign in</button></form>'
        '<p class="dim last">If you did not ask to sign in, close this page: nothing happens then.</p>',
    )


async def follow(request: Request) -> Response:
    """Spend the link, and lead on. Not by a redirect: a form may lead to this runtime only, a link anywhere."""
    request.scope[ERROR_PAGE] = _sorry
    await read_bytes(request, _MAX_FORM, _too_large)
    # an address as a header may have it, whatever it is made of
    target = quote(
        await runtime(request.scope).sessions.follow_login(_link(request)), safe="%/:?#[]@!$&()*+,;=~-._"
    )
    reply = page(
        "You are signed in",
        '<h1 class="good">You are signed in</h1>'
        f'<p><a href="{escape(target)}" rel="noreferrer">Go on</a>, if the page does not by itself.</p>',
    )
    # Not a redirect: the policy's `form-action` holds for redirects after a form as well, and
    # the target may be anywhere.
    reply.headers["Refresh"] = f"0; url={target}"

    return reply


def _too_large(_limit: int) -> BodyTooLarge:
    return BodyTooLarge("That is no answer of this page.", hint="Open the link again.")


def _link(request: Request) -> str:
    return str(request.path_params["link"])


OPERATIONS = [
    HttpOperation(
        "GET", "/login/{link}", "The page behind a sign-in link", show, tag="sign-in", media="text/html"
    ),
    HttpOperation(
        "POST", "/login/{link}", "Sign in by the link", follow, tag="sign-in", media="text/html",
        body_media="application/x-www-form-urlencoded", body={"type": "object"},
    ),
]  # fmt: skip
