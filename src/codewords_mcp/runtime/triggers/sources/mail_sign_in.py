"""Signing in to a mail server: by a password, or by OAuth (XOAUTH2) with a refresh token that is a secret."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from codewords_mcp.common.bounded_json import parse_or_none
from codewords_mcp.common.json_parts import object_of
from codewords_mcp.errors import Forbidden, InvalidInput, UpstreamFailed
from codewords_mcp.errors.remedies import set_secret
from codewords_mcp.runtime.model.egress_policy import is_this_machine
from codewords_mcp.runtime.triggers.sources.base import SourceTools
from codewords_mcp.runtime.web.imap import CommandRefused, ImapSession

MAX_TOKENS = 1_000
"""Access tokens that are cached."""
MAX_ANSWER = 1 << 20
MARGIN_S = 60.0
"""Seconds before its end from which an access token is not used any more."""
DEFAULT_LIFE_S = 600.0
"""Seconds that a token without a stated life is used for."""


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """A registered client of an OAuth server. `client_secret` names a secret; None for a client without one."""

    token_url: str
    client_id: str
    client_secret: str | None = None


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token. `secret` names the one that it was got for, `until` is its end by the monotonic clock."""

    key: str
    secret: str
    text: str = field(repr=False)
    until: float


class AccessTokens:
    """Access tokens in memory, by the client and refresh token that got them. For one event loop."""

    def __init__(self) -> None:
        self._tokens: OrderedDict[str, AccessToken] = OrderedDict()

    async def token(self, client: OAuthClient, secret: str, tools: SourceTools) -> AccessToken:
        """Return an access token for the refresh token in `secret`. Raises Forbidden, InvalidInput, UpstreamFailed."""
        host = _host_of(client.token_url)
        refresh_token = await tools.secret(secret, host)
        key = hashlib.sha256(f"{client.token_url}\n{client.client_id}\n{refresh_token}".encode()).hexdigest()
        token = self._tokens.get(key)
        if token is None or token.until <= time.monotonic():
            text, life = await _refresh(client, refresh_token, host, secret, tools)
            token = self._tokens[key] = AccessToken(key, secret, text, time.monotonic() + life - MARGIN_S)
            while len(self._tokens) > MAX_TOKENS:
                self._tokens.popitem(last=False)
        return token

    async def sign_in(self, session: ImapSession, user: str, token: AccessToken) -> None:
        """Sign in to a mail server. Raises Forbidden, and gets another token the next time."""
        try:
            await session.authenticate_token(user, token.text)
        except CommandRefused:
            # It may have been revoked before its end.
            self._tokens.pop(token.key, None)
            raise Forbidden(
                f"The mail server refused the access token that {token.secret} gave for this user.",
                hint="Check `user`, and that the token was asked for with the scope of IMAP.",
                remedy=set_secret(token.secret),
            ) from None


async def _refresh(
    client: OAuthClient, refresh_token: str, host: str, secret: str, tools: SourceTools
) -> tuple[str, float]:
    """Get (an access token, its life in seconds). Raises Forbidden for a refresh token that is refused, UpstreamFailed."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": client.client_id}
    if client.client_secret is not None:
        form["client_secret"] = await tools.secret(client.client_secret, host)
    response = await tools.web.fetch(
        client.token_url,
        method="POST",
        content=urlencode(form),
        headers={"content-type": "application/x-www-form-urlencoded", "accept": "application/json"},
        max_bytes=MAX_ANSWER,
        # The refresh token goes to this address only.
        max_redirects=0,
    )
    if response.status in {400, 401, 403}:
        raise Forbidden(
            f"The token endpoint refused {secret}: its sign-in may have ended.",
            hint="Sign in again there, and store the new refresh token.",
            remedy=set_secret(secret),
        )

    read = parse_or_none(response.body) if response.status == 200 else None
    answer = object_of(read)
    text, life = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(text, str) or not text or len(text) > MAX_ANSWER:
        raise UpstreamFailed(
            "The token endpoint gave no access token.",
            upstream_status=response.status,
            hint="Check `token_url`.",
        )
    if isinstance(life, bool) or not isinstance(life, int | float):
        life = DEFAULT_LIFE_S
    return text, float(life)


def _host_of(url: str) -> str:
    """The host and port of a token endpoint. Raises InvalidInput for one that is not https, but on this machine."""
    try:
        target = urlsplit(url)
        host, port = target.hostname or "", target.port
    except ValueError:
        raise InvalidInput("`token_url` is no address.") from None
    if target.scheme != "https" and not (target.scheme == "http" and is_this_machine(host)):
        raise InvalidInput(
            "A refresh token is sent over https only.", hint="Give a `token_url` that begins with https."
        )
    return f"{host}:{port or (443 if target.scheme == 'https' else 80)}"
