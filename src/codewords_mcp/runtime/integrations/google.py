"""Access tokens of Google's service accounts, by RFC 7523: a signed assertion for an hour's token."""

from __future__ import annotations

import hashlib
import time
from typing import Any, cast

from codewords_mcp.common.bounded_json import parse
from codewords_mcp.errors import InvalidInput, UpstreamFailed
from codewords_mcp.errors.remedies import set_secret
from codewords_mcp.runtime.integrations.errors import AppNotConnected
from codewords_mcp.runtime.web.client import Web

_AUDIENCE = "https://oauth2.googleapis.com/token"
_TTL_S = 3600
_MARGIN_S = 120


class GoogleTokens:
    """Tokens in memory, each used until two minutes before its expiry."""

    def __init__(self, web: Web, base: str) -> None:
        self._web = web
        self._base = base
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}

    async def token(self, account: str, scope: str) -> str:
        """Return a token for the text of a key file. Raises InvalidInput, AppNotConnected,
        UpstreamFailed.
        """
        # The key file is a secret, which the cache need not know.
        key = (hashlib.sha256(account.encode()).hexdigest(), scope)
        cached = self._tokens.get(key)
        if cached is not None and cached[1] > time.time():
            return cached[0]

        # A token of an hour is used until shortly before its end.
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": assertion(account, scope),
        }
        response = await self._web.api(self._base, "/token", method="POST", form=form)
        if response.status in {400, 401}:
            raise AppNotConnected(
                "Google refused the service account.",
                app="google",
                state="unhealthy",
                hint="Make a new key.",
                remedy=set_secret("GOOGLE_SERVICE_ACCOUNT"),
            )

        body: Any = response.json()
        if response.status >= 400 or not isinstance(body, dict) or "access_token" not in body:
            raise UpstreamFailed("Google returned no token.", upstream_status=response.status)

        fields = cast("dict[str, Any]", body)
        expires_in = float(fields.get("expires_in") or _TTL_S)
        self._tokens[key] = (str(fields["access_token"]), time.time() + expires_in - _MARGIN_S)

        return self._tokens[key][0]


def assertion(account: str, scope: str) -> str:
    """Return the signed JWT. Raises InvalidInput for an invalid key file."""
    import jwt

    now = int(time.time())

    try:
        key = parse(account)
        claims = {
            "iss": str(key["client_email"]),
            "scope": scope,
            "aud": _AUDIENCE,
            "iat": now,
            "exp": now + _TTL_S,
        }
        if key.get("private_key_id"):
            key_id = {"kid": key["private_key_id"]}
        else:
            key_id = {}
        return jwt.encode(claims, key["private_key"], algorithm="RS256", headers=key_id)
    except (ValueError, LookupError, TypeError, AttributeError, jwt.PyJWTError):
        # Without its cause, whose text may have parts of the key.
        raise InvalidInput(
            "GOOGLE_SERVICE_ACCOUNT is not the text of a service account's key file.",
            hint="Store the whole JSON file, as downloaded from Google.",
        ) from None
