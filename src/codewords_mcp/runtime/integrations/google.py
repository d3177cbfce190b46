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
_HOUR = 3600
_EARLY = 120


class GoogleTokens:
    """Tokens in memory, each until two minutes before its end."""

    def __init__(self, web: Web, base: str) -> None:
        self._web = web
        self._base = base
        self._kept: dict[tuple[str, str], tuple[str, float]] = {}

    async def token(self, account: str, scope: str) -> str:
        """For the text of a service account's key file. Raises InvalidInput, AppNotConnected, UpstreamFailed."""
        of = (hashlib.sha256(account.encode()).hexdigest(), scope)
        kept = self._kept.get(of)
        if kept is not None and kept[1] > time.time():
            return kept[0]

        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": assertion(account, scope),
        }
        reply = await self._web.api(self._base, "/token", method="POST", form=form)
        if reply.status in {400, 401}:
            raise AppNotConnected(
                "Google does not accept the service account.",
                app="google",
                state="unhealthy",
                hint="Make a new key, then `codewords secrets set GOOGLE_SERVICE_ACCOUNT`.",
            )

        told: Any = reply.json()
        if reply.status >= 400 or not isinstance(told, dict) or "access_token" not in told:
            raise UpstreamFailed("Google gave no token.", upstream_status=reply.status)

        answer = cast("dict[str, Any]", told)
        lasts = float(answer.get("expires_in") or _HOUR)
        self._kept[of] = (str(answer["access_token"]), time.time() + lasts - _EARLY)

        return self._kept[of][0]


def assertion(account: str, scope: str) -> str:
    """The signed JWT. Raises InvalidInput for what is no key file."""
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
            hint="Store the whole JSON file, as Google gave it.",
        ) from None

    now = int(time.time())
    head = {"alg": "RS256", "typ": "JWT"} | (
        {"kid": key["private_key_id"]} if key.get("private_key_id") else {}
    )
    claims = {"iss": address, "scope": scope, "aud": _AUDIENCE, "iat": now, "exp": now + _HOUR}
    signed = f"{_part(head)}.{_part(claims)}"
    signature = private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())

    return f"{signed}.{_bare(signature)}"


def _part(value: dict[str, Any]) -> str:
    return _bare(json.dumps(value, separators=(",", ":")).encode())


def _bare(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
