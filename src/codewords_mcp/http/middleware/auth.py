"""Keys: who asks, found once per request and put into the scope. Every route needs one but those of `is_open`.

This is the guard of the public listener; `sandboxes.py` has that of the internal one, where keys of runs are valid.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from codewords_mcp.errors import Unauthenticated
from codewords_mcp.http.middleware.headers import Headers
from codewords_mcp.http.middleware.people import PageSessionGuard, is_console_call
from codewords_mcp.http.middleware.session_cookies import renewing
from codewords_mcp.http.paths import NAMED_PREFIX, PROVIDER_PREFIXES, looks_like_token
from codewords_mcp.http.state import ACCESS_RIGHT, CALLER, CHALLENGE, LISTENER, OPENED, SESSION
from codewords_mcp.runtime.auth.access_table import HTTP

if TYPE_CHECKING:
    from codewords_mcp.http.middleware.tokens import Tokens
    from codewords_mcp.runtime.api.runtime import Runtime

_OPEN = [rule.name.partition(" ")[2] for rule in HTTP if rule.level in {"open", "page"}]
OPEN_PATHS = frozenset(path for path in _OPEN if "{" not in path)
OPEN_PREFIXES = tuple(sorted({path.partition("{")[0] for path in _OPEN if "{" in path}))
"""Paths that need no key, by the access table: the secret is in the path, the body's signature, or the first message."""

PAGES = frozenset({"/", "/docs", "/openapi.json", "/postman.json", "/console"})
"""Pages that a person opens in a browser, which can send a key only as the password of Basic authentication."""
CONSOLE = "/console/"
EVENTS = "/events"
"""Asked by the console without its header: a browser's EventSource sends none. It only reads."""

_KEY_HEADERS = frozenset({b"authorization", b"x-api-key", b"x-codewords-api-key"})
GEMINI_PATHS = ("/gemini/", "/run/gemini/")
TICKET = b"gw_ticket="

_MAX_KEY, _MAX_TOKEN = 512, 16_384
_AWS_KEY = re.compile(r"Credential=([^/,\s]+)/")
_HINT = "Send it as `Authorization: Bearer <key>` or `X-API-Key`; `codewords keys create` makes one."


def is_open(path: str) -> bool:
    """Whether a path needs no key."""
    if path in OPEN_PATHS:
        return True
    return path.startswith(OPEN_PREFIXES) and path not in OPEN_PREFIXES


class KeyGuard:
    """Finds the caller. The key is looked up once, since looking spends a one-time key."""

    def __init__(
        self, app: ASGIApp, runtime: Runtime, tokens: Tokens, people: PageSessionGuard | None = None
    ) -> None:
        self.app = app
        self._people = people
        self._runtime = runtime
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises Unauthenticated, also where the right to it ends meanwhile."""
        scope[LISTENER] = "public"
        if scope["type"] == "lifespan" or is_open(scope["path"]):
            await self.app(scope, receive, send)
            return

        # Set before the search: an error of it must name the authorization server.
        scope[CHALLENGE] = self._tokens.challenge
        open_requests = self._runtime.open_requests
        changed = open_requests.changed
        if self._people is None or scope["type"] != "http" or has_key(scope["headers"]):
            await self._find(scope)
        elif is_console_call(scope["headers"]) or scope["path"] == EVENTS:
            send = renewing(scope, send, await self._people.admit_console(scope))
        elif is_page(scope["path"]):
            send = renewing(scope, send, await self._people.admit(scope))
        else:
            await self._find(scope)

        opening = open_requests.admit(
            scope[CALLER], scope.get(SESSION), changed, token=scope.get(ACCESS_RIGHT)
        )
        async with opening as scope[OPENED]:
            await self.app(scope, receive, send)

    async def _find(self, scope: Scope) -> None:
        path, query = scope["path"], scope["query_string"]
        if TICKET in query and path.startswith(GEMINI_PATHS):
            # The second leg of an upload: Google's SDK sends it without a key.
            caller = self._runtime.models.upload_caller(path, query)
            if caller.kind == "run":
                raise Unauthenticated(
                    "This upload belongs to a run, and goes on only inside that run's sandbox."
                )
            scope[CALLER] = caller
            return

        key = find_key(scope["headers"], path, query)
        if looks_like_token(key):
            scope[CALLER], scope[ACCESS_RIGHT] = await self._tokens.verify(key)
        else:
            scope[CALLER] = await self._runtime.keys.authenticate(key)


def is_page(path: str) -> bool:
    """Whether a person's session opens this path by itself."""
    return path in PAGES or path.startswith(CONSOLE)


def has_key(headers: Headers) -> bool:
    """Whether a request sends a key, in whichever header."""
    return not _KEY_HEADERS.isdisjoint([name for name, _ in headers])


def find_key(headers: Headers, path: str, query: bytes = b"") -> str:
    """The one key of a request, by whichever of its headers; for Gemini also by `?key=`. Raises Unauthenticated."""
    # A set: SDKs send one key in several headers, which is fine as long as it is the same.
    keys: set[str] = set()
    if b"key=" in query and path.startswith(GEMINI_PATHS):
        keys.update(value for name, value in parse_qsl(query.decode("latin-1")) if name == "key")
    for name, value in headers:
        if name == b"authorization":
            keys.add(_of_authorization(value.decode("latin-1").strip(), path))
        elif (
            name in {b"x-api-key", b"x-codewords-api-key"}
            or (name == b"x-goog-api-key" and path.startswith((*PROVIDER_PREFIXES, NAMED_PREFIX)))
            or (name == b"api-key" and path.startswith(NAMED_PREFIX))
        ):
            keys.add(value.decode("latin-1").strip())

    keys.discard("")
    if not keys:
        raise Unauthenticated("This request carries no key.", hint=_HINT)
    # Which of two identities is meant must not depend on the order of headers.
    if len(keys) > 1:
        raise Unauthenticated("This request carries two different keys.", hint="Send one key, in one header.")

    key = keys.pop()
    if (
        # Bounded before it is hashed, and printable before it can get into a log.
        len(key) > (_MAX_TOKEN if looks_like_token(key) else _MAX_KEY)
        or not key.isascii()
        or not key.isprintable()
        or " " in key
    ):
        raise Unauthenticated("What this request carries as its key is not one.", hint=_HINT)

    return key


def _of_authorization(value: str, path: str) -> str:
    scheme, _, rest = value.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic" and path in PAGES:
        return _password(rest.strip())
    if scheme == "AWS4-HMAC-SHA256" and path.startswith(NAMED_PREFIX):
        # Clients of AWS sign; the access key id is the key, and the signature proves nothing more.
        found = _AWS_KEY.search(rest)
        return found[1] if found else ""
    # A key without a scheme: the public clients send it so.
    return value


def _password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
