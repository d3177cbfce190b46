"""Signing a browser in by an OpenID Connect issuer."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from codewords_mcp.errors import NotFound, Unauthenticated
from codewords_mcp.http.middleware.session_cookies import (
    browser_of,
    cookie_name,
    direct_peer,
    only_value,
)
from codewords_mcp.http.openid import IssuerSignIn
from codewords_mcp.http.operations import HttpOperation, Parameter
from codewords_mcp.http.pages import HEADERS, sorry
from codewords_mcp.http.pages.sign_in import with_session
from codewords_mcp.http.state import ERROR_PAGE, SELF, app_state, runtime
from codewords_mcp.runtime.auth.page_access import checked_path

CALLBACK = "/oidc/callback"
_COOKIE = "codewords_sign_in"
_ATTEMPT_TTL = 600
"""Seconds in which a person has to come back from the issuer."""
_MAX_VALUE = 4096
_sorry = sorry("You are not signed in")


async def begin(request: Request) -> Response:
    """Lead the browser to the issuer."""
    scope = request.scope
    scope[ERROR_PAGE] = _sorry
    issuer = app_state(scope).issuer
    if not issuer.is_set:
        raise NotFound("Nobody signs in at an issuer here.", hint="CODEWORDS_OIDC_ISSUER names one.")
    # A path of this runtime only: else the link could lead a signed-in person anywhere.
    to = checked_path(request.query_params.get("to", "/console"))
    url, attempt = await issuer.begin(f"{scope[SELF]}{CALLBACK}", to)
    reply = RedirectResponse(url, 303, headers=HEADERS)
    _set_cookie(
        reply, scope, base64.urlsafe_b64encode(json.dumps(asdict(attempt)).encode()).decode(), _ATTEMPT_TTL
    )
    return reply


async def finish(request: Request) -> Response:
    """Take the issuer's answer, and sign the browser in as the member that it names."""
    scope = request.scope
    scope[ERROR_PAGE] = _sorry
    parts = app_state(scope)
    attempt = _attempt(scope)
    answer = {
        name: values[0]
        for name in ("state", "code", "iss", "error")
        # A parameter that comes twice is read differently by different programs, so it counts as
        # none.
        if len(values := request.query_params.getlist(name)) == 1 and len(values[0]) <= _MAX_VALUE
    }
    identity = await parts.issuer.finish(attempt, answer, f"{scope[SELF]}{CALLBACK}")
    token = await runtime(scope).members.sign_in(
        identity.subject, identity.name, identity.groups, direct_peer(scope), browser=browser_of(scope)
    )
    reply = await with_session(request, token, checked_path(attempt.to))
    _set_cookie(reply, scope, "", 0)
    return reply


def _attempt(scope: Scope) -> IssuerSignIn:
    """The attempt that this browser began. Raises Unauthenticated."""
    try:
        stored = json.loads(base64.urlsafe_b64decode(only_value(scope, cookie_name(scope[SELF], _COOKIE))))
        return IssuerSignIn(**{name: str(value) for name, value in stored.items()})
    except (ValueError, TypeError, AttributeError):
        raise Unauthenticated(
            "This browser has begun no sign-in, or it took longer than ten minutes.",
            hint="Begin it again from this runtime's page.",
        ) from None


def _set_cookie(reply: Response, scope: Scope, value: str, seconds: int) -> None:
    origin = scope[SELF]
    secure = "; Secure" if origin.startswith("https://") else ""
    # `Lax`: the issuer's page leads back here, which is another site.
    text = (
        f"{cookie_name(origin, _COOKIE)}={value}; HttpOnly; Max-Age={seconds}; Path=/; SameSite=Lax{secure}"
    )
    reply.raw_headers.append((b"set-cookie", text.encode("latin-1")))


_TAG = "sign-in"
OPERATIONS = [
    HttpOperation(
        "GET", "/oidc/sign-in", "Sign a browser in at the issuer", begin, tag=_TAG, media="text/html", status=303,
        parameters=(Parameter("to", "The path to go on at.", {"type": "string"}),),
    ),
    HttpOperation(
        "GET", CALLBACK, "The issuer's answer to that", finish, tag=_TAG, media="text/html", status=303,
        parameters=(
            Parameter("state", "Of the sign-in.", {"type": "string"}), Parameter("code", "Of the issuer.", {"type": "string"}),
            Parameter("iss", "The issuer.", {"type": "string"}), Parameter("error", "Why it refused.", {"type": "string"}),
        ),
    ),
]  # fmt: skip
