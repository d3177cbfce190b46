"""The cookies of browser sessions, and the peer that they are bound to."""

from __future__ import annotations

import time

from starlette.types import Message, Scope, Send

from codewords_mcp.common.user_agent import browser_name
from codewords_mcp.http.middleware.headers import Headers, first
from codewords_mcp.http.middleware.protocol import SOCKET_ENDS
from codewords_mcp.http.state import SELF
from codewords_mcp.runtime.auth.peers import Peer
from codewords_mcp.runtime.auth.sessions import SignedIn

_COOKIE = "codewords_session"
_PAGE_COOKIE = "codewords_page"
_ATTEMPT_COOKIE = "codewords_passkey"
_TIMELY = 30.0
"""Seconds in which an answer may begin that brings the next token: a later one could bring one that is spent."""


def direct_peer(scope: Scope) -> Peer | None:
    """Find the peer of the connection itself, whatever the headers say; None where the socket is unknown."""
    remote, own = scope.get("state", {}).get(SOCKET_ENDS, (None, None))
    if not remote or not own or own[1] is None:
        return None
    return Peer((remote[0], remote[1]), (own[0], own[1]))


def cookie_name(origin: str, cookie: str = _COOKIE) -> str:
    """Name the session's cookie at this origin. The ports of a host share cookies, so the port is in the name."""
    if origin.startswith("https://"):
        # Browsers take a `__Host-` cookie only from this very host over https, so that a
        # neighbouring subdomain can't set it.
        return f"__Host-{cookie}"
    port = origin.rpartition(":")[2]
    return f"{cookie}_{port if port.isdecimal() else 80}"


def browser_of(scope: Scope) -> str:
    """Name the browser that sends a request."""
    return browser_name((first(scope["headers"], b"user-agent") or b"").decode("latin-1"))


def set_cookie(origin: str, token: str, seconds: int) -> bytes:
    """The value of a `Set-Cookie` header for a session at this origin; without seconds it takes the cookie away."""
    return _header(cookie_name(origin), origin, token, seconds)


def set_page_cookie(origin: str, token: str, seconds: int) -> bytes:
    """The same for a workflow's own page, at its origin."""
    return _header(cookie_name(origin, _PAGE_COOKIE), origin, token, seconds)


def set_attempt_cookie(origin: str, secret: str, seconds: int) -> bytes:
    """The same for a browser that signs in by a passkey, until it has."""
    return _header(cookie_name(origin, _ATTEMPT_COOKIE), origin, secret, seconds)


def attempt_secret(scope: Scope) -> str:
    """The secret of the sign-in by a passkey that a browser has begun; "" likewise."""
    return only_value(scope, cookie_name(scope[SELF], _ATTEMPT_COOKIE))


def _header(name: str, origin: str, token: str, seconds: int) -> bytes:
    secure = "; Secure" if origin.startswith("https://") else ""
    # `Strict`: no page of another site makes the browser send it, not even by a link (`sign_in` mends that).
    text = f"{name}={token}; HttpOnly; Max-Age={seconds}; Path=/; SameSite=Strict{secure}"
    return text.encode("latin-1")


def renewing(scope: Scope, send: Send, found: SignedIn | None) -> Send:
    """Return a `send` that brings the session's next token with the head of the answer, where one is due."""
    if found is None or not found.renewed:
        return send

    began = time.monotonic()
    cookie = (b"set-cookie", set_cookie(scope[SELF], found.renewed, found.seconds_left))

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and time.monotonic() - began < _TIMELY:
            headers: Headers = list(message.get("headers", []))
            # Signing in or out has the last word on the cookie.
            if not any(name == b"set-cookie" for name, _ in headers):
                message = {**message, "headers": [*headers, cookie]}
        await send(message)

    return sending


def session_token(scope: Scope) -> str:
    """The token of the session that a browser sends; "" for none, or for several, of which another site may have set one."""
    return only_value(scope, cookie_name(scope[SELF]))


def page_token(scope: Scope) -> str:
    """The token of the session by which a browser uses a workflow's own page, on its origin; "" likewise."""
    return only_value(scope, cookie_name(scope[SELF], _PAGE_COOKIE))


def only_value(scope: Scope, name: str) -> str:
    """The value of a cookie; "" for none, or for several of this name, of which another site may have set one."""
    found: set[str] = set()

    for header, value in scope["headers"]:
        if header == b"cookie":
            for part in value.decode("latin-1").split(";"):
                key, _, token = part.strip().partition("=")
                if key == name:
                    found.add(token)

    if len(found) == 1:
        return found.pop()

    return ""
