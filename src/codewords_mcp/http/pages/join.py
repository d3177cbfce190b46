"""The page of an invitation: whoever follows it is signed in as the member that it is for."""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.errors import BodyTooLarge
from codewords_mcp.http.bodies import read_bytes
from codewords_mcp.http.middleware.session_cookies import browser_of, direct_peer
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.pages import page, sorry
from codewords_mcp.http.pages.sign_in import with_session
from codewords_mcp.http.state import ERROR_PAGE, PERSON, runtime
from codewords_mcp.runtime.auth.roles import ROLES

_MAX_FORM = 2048
_sorry = sorry("You have not joined")


async def show(request: Request) -> Response:
    """Show as whom the link signs in. Looking does not spend it: mail programs look too."""
    request.scope[ERROR_PAGE] = _sorry
    member = await runtime(request.scope).members.peek_invitation(_token(request))
    now = request.scope.get(PERSON)
    instead = f" This browser is signed in as <b>{escape(now.actor)}</b> now." if now else ""
    if member.joined_at is None:
        title, button = "Join this home", "Join"
    else:
        title, button = "Sign in to this home", "Sign in"
    return page(
        title,
        f"<h1>{title}</h1><p>As <b>{escape(member.name)}</b>, with the role <b>{member.role}</b>.{instead}</p>"
        f'<p class="dim">{escape(ROLES[member.role].description)}</p>'
        f'<form method="post"><button autofocus>{button}</button></form>'
        '<p class="dim last">The link works once, for whoever opens it. If it is not yours, close the page.</p>',
    )


async def join(request: Request) -> Response:
    """Sign this browser in."""
    request.scope[ERROR_PAGE] = _sorry
    await read_bytes(request, _MAX_FORM, _too_large)
    scope = request.scope
    token = await runtime(scope).members.join(_token(request), direct_peer(scope), browser=browser_of(scope))
    return await with_session(request, token, "/console")


def _too_large(_limit: int) -> BodyTooLarge:
    return BodyTooLarge("That is no answer of this page.", hint="Open the page again.")


def _token(request: Request) -> str:
    return str(request.path_params["token"])


OPERATIONS = [
    HttpOperation("GET", "/join/{token}", "The page of an invitation", show, tag="members", media="text/html"),
    HttpOperation(
        "POST", "/join/{token}", "Join by an invitation", join, tag="members", media="text/html",
        body_media="application/x-www-form-urlencoded", body={"type": "object"}, status=303,
    ),
]  # fmt: skip
