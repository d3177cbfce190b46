"""Access tokens of Google's service accounts, by RFC 7523: a signed assertion for an hour's token."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from typing import Any, cast

from codewords_mcp.bounded_json import parse
from codewords_mcp.errors import InvalidInput, UpstreamFailed
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
        key = (hashlib.sha256(account.encode()).hexdigest(), scope)
        cached = self._tokens.get(key)
        if cached is not None and cached[1] > time.time():
            return cached[0]

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
                hint="Make a new key, then `codewords secrets set GOOGLE_SERVICE_ACCOUNT`.",
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
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    try:
        key = parse(account)
        private = serialization.load_pem_private_key(key["private_key"].encode(), None)
        assert isinstance(private, rsa.RSAPrivateKey)  # noqa: S101
        address = str(key["client_email"])
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError):
        raise InvalidInput(
            "GOOGLE_SERVICE_ACCOUNT is not the text of a service account's key file.",
            hint="Store the whole JSON file, as downloaded from Google.",
        ) from None

    now = int(time.time())
    head = {"alg": "RS256", "typ": "JWT"} | (
        {"kid": key["private_key_id"]} if key.get("private_key_id") else {}
    )
    claims = {"iss": address, "scope": scope, "aud": _AUDIENCE, "iat": now, "exp": now + _TTL_S}
    signed = f"{_encoded_part(head)}.{_encoded_part(claims)}"
    signature = private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())

    return f"{signed}.{_base64url(signature)}"


def _encoded_part(value: dict[str, Any]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
