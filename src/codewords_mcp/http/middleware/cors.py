"""Headers that let a browser's page of another origin call this runtime (the Fetch standard's CORS protocol).

Only origins that the Host and Origin check trusts are told anything; the key is asked for as ever. This is the
outermost layer, so that such a page can read our errors too.
"""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codewords_mcp.http.middleware.headers import Headers, first
from codewords_mcp.http.middleware.hosts import Trust

_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_EXPOSED = b"X-Request-Id, Error-Origin, Retry-After, Content-Disposition, Mcp-Session-Id"
_LAST = b"600"
_HEADER_LIST = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,2000}")


class Cors:
    """Answers preflights of trusted origins, which carry no key, and marks answers as readable for them."""

    def __init__(self, app: ASGIApp, trust: Trust) -> None:
        self.app = app
        self._trust = trust

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            origin = first(scope["headers"], b"origin")
        else:
            origin = None

        if origin is None or not self._trust.is_foreign_but_trusted(origin.decode("latin-1").lower()):
            await self.app(scope, receive, send)
        elif scope["method"] == "OPTIONS" and first(scope["headers"], b"access-control-request-method"):
            await send(
                {
                    "type": "http.response.start",
                    "status": 204,
                    "headers": _preflight(origin, scope["headers"]),
                }
            )
            await send({"type": "http.response.body", "body": b""})
        else:
            await self.app(scope, receive, _marking(send, origin))


def _preflight(origin: bytes, headers: Headers) -> Headers:
    answer = [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-max-age", _LAST),
        (b"vary", b"Origin, Access-Control-Request-Headers"),
    ]
    requested_headers = first(headers, b"access-control-request-headers")
    if requested_headers and _HEADER_LIST.fullmatch(requested_headers):
        answer.append((b"access-control-allow-headers", requested_headers))
    if first(headers, b"access-control-request-private-network") == b"true":
        # A page on the internet that asks loopback needs this too (Private Network Access).
        answer.append((b"access-control-allow-private-network", b"true"))

    return answer


def _marking(send: Send, origin: bytes) -> Send:
    async def marking(message: Message) -> None:
        # A workflow that speaks CORS itself has the last word on its own answers.
        if message["type"] == "http.response.start" and not first(
            message["headers"], b"access-control-allow-origin"
        ):
            marks = [
                (b"access-control-allow-origin", origin),
                (b"access-control-expose-headers", _EXPOSED),
                (b"vary", b"Origin"),
            ]
            message = {**message, "headers": [*message["headers"], *marks]}
        await send(message)

    return marking
