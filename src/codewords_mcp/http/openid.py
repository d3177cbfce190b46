"""Sign-in of people at an OpenID Connect issuer: the code flow with PKCE, state and nonce.

The issuer says who somebody is, and which groups they are in. Roles are the home's.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlencode, urlsplit

import structlog

from codewords_mcp.errors import InvalidInput, ServiceNotAvailable, Unauthenticated
from codewords_mcp.http.middleware.issuer_urls import client_credentials, is_protected
from codewords_mcp.http.middleware.tokens import ALGORITHMS, LEEWAY, digest_of_subject
from codewords_mcp.settings import Settings

if TYPE_CHECKING:
    from jwt import PyJWK

    from codewords_mcp.http.middleware.issuer_keys import IssuerKeys

_TIMEOUT: Final = 10.0
_METADATA_TTL: Final = 3600.0
"""Seconds after which the issuer's metadata is read anew."""
_MAX_GROUPS: Final = 1000
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class IssuerSignIn:
    """A sign-in that has begun, as the browser keeps it until the issuer leads it back. `to` is a path of this runtime."""

    state: str
    nonce: str
    verifier: str
    to: str


@dataclass(frozen=True, slots=True)
class Identity:
    """A person as the issuer vouches for them. `subject` is a digest of issuer and subject."""

    subject: str
    name: str
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class _IssuerMetadata:
    authorization: str
    token: str
    keys: str
    userinfo: str | None
    end_session: str | None
    names_itself: bool
    """Whether each answer has to name the issuer (RFC 9207)."""


class OpenIdIssuer:
    """The issuer of the settings. Raises InvalidInput for settings that can't work."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._issuer = settings.oidc_issuer or ""
        self._client = settings.oidc_client_id or ""
        self._read: tuple[float, _IssuerMetadata, IssuerKeys] | None = None
        self._reading = asyncio.Lock()
        if self._issuer and not is_protected(self._issuer):
            raise InvalidInput("CODEWORDS_OIDC_ISSUER must be an https URL; http is for loopback only.")
        if self._issuer and not self._client:
            raise InvalidInput("CODEWORDS_OIDC_ISSUER needs CODEWORDS_OIDC_CLIENT_ID.")

    @property
    def is_set(self) -> bool:
        """Whether people sign in at an issuer."""
        return bool(self._issuer)

    async def begin(self, redirect_uri: str, to: str) -> tuple[str, IssuerSignIn]:
        """Begin a sign-in: (the issuer's address to go to, what the browser keeps). Raises ServiceNotAvailable."""
        metadata, _ = await self._metadata()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        attempt = IssuerSignIn(state, nonce, verifier, to)
        challenge = hashlib.sha256(attempt.verifier.encode()).digest()
        query = {
            "response_type": "code", "client_id": self._client, "redirect_uri": redirect_uri,
            "scope": self._settings.oidc_scopes, "state": attempt.state, "nonce": attempt.nonce,
            "code_challenge": base64.urlsafe_b64encode(challenge).decode().rstrip("="), "code_challenge_method": "S256",
        }  # fmt: skip
        glue = "&" if urlsplit(metadata.authorization).query else "?"
        return f"{metadata.authorization}{glue}{urlencode(query)}", attempt

    async def finish(self, attempt: IssuerSignIn, answer: dict[str, str], redirect_uri: str) -> Identity:
        """Take the issuer's answer to an attempt. Raises Unauthenticated for one that is not right, ServiceNotAvailable."""
        metadata, keys = await self._metadata()
        # In constant time, and before anything of the answer is used.
        if not hmac.compare_digest(answer.get("state", "").encode(), attempt.state.encode()):
            raise _refused("the answer belongs to another sign-in")
        named = answer.get("iss")
        if named != self._issuer and (named is not None or metadata.names_itself):
            raise _refused("the answer is another issuer's")
        if "code" not in answer:
            raise _refused("the issuer did not agree")

        tokens = await self._exchange(metadata, answer["code"], attempt, redirect_uri)
        claims = await self._verify(keys, str(tokens.get("id_token", "")), attempt.nonce)
        if self._settings.oidc_groups_claim not in claims and metadata.userinfo and "access_token" in tokens:
            claims = {
                **claims,
                **await self._userinfo(metadata.userinfo, str(tokens["access_token"]), claims["sub"]),
            }
        return self._identity(claims)

    async def end_session_url(self) -> str | None:
        """The address at which a person signs out of the issuer too; None where it has none or can't be reached."""
        if not self._issuer:
            return None
        try:
            metadata, _ = await self._metadata()
        except ServiceNotAvailable:
            return None
        if metadata.end_session is None:
            return None
        glue = "&" if urlsplit(metadata.end_session).query else "?"
        return f"{metadata.end_session}{glue}{urlencode({'client_id': self._client})}"

    async def _metadata(self) -> tuple[_IssuerMetadata, IssuerKeys]:
        """The issuer's metadata and keys, read once an hour."""
        at = asyncio.get_running_loop().time()
        async with self._reading:
            if self._read is None or at - self._read[0] > _METADATA_TTL:
                from codewords_mcp.http.middleware.issuer_keys import IssuerKeys

                url = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
                found = _metadata_of(await _request("GET", url), self._issuer)
                self._read = at, found, IssuerKeys(self._issuer, found.keys)
            return self._read[1], self._read[2]

    async def _exchange(
        self, metadata: _IssuerMetadata, code: str, attempt: IssuerSignIn, redirect_uri: str
    ) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri,
            "client_id": self._client, "code_verifier": attempt.verifier,
        }  # fmt: skip
        headers: dict[str, str] = {}
        if self._settings.oidc_client_secret is not None:
            headers["Authorization"] = client_credentials(self._client, self._settings.oidc_client_secret)
            del form["client_id"]
        return await _request("POST", metadata.token, form=form, headers=headers)

    async def _verify(self, keys: IssuerKeys, token: str, nonce: str) -> dict[str, Any]:
        """The claims of an ID token that is for us, of this issuer, of this sign-in and in its time."""
        import jwt

        try:
            head = jwt.get_unverified_header(token)
            # Never `none`, and no symmetric algorithm: with those the public key would be the secret.
            if head.get("alg") not in ALGORITHMS:
                raise _refused("its algorithm is none that is taken here")
            key = await self._key(keys, head.get("kid"))
            claims = jwt.decode(
                token, key.key, algorithms=[cast("str", head["alg"])], issuer=self._issuer, audience=self._client,
                leeway=LEEWAY, options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )  # fmt: skip
        except jwt.PyJWTError as error:
            raise _refused(type(error).__name__) from error

        audience = claims["aud"]
        # Made for several: then it says who asked for it.
        if (
            isinstance(audience, list)
            and len(cast("list[Any]", audience)) > 1
            and claims.get("azp") != self._client
        ):
            raise _refused("it was made for another client")
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise _refused("it belongs to another sign-in")
        return claims

    async def _key(self, keys: IssuerKeys, key_id: str | None) -> PyJWK:
        from jwt.exceptions import PyJWKClientConnectionError

        try:
            return keys.cached_key(key_id) or await asyncio.to_thread(keys.get_signing_key, key_id)
        except PyJWKClientConnectionError as error:
            raise _unavailable() from error

    async def _userinfo(self, url: str, access_token: str, subject: object) -> dict[str, Any]:
        found = await _request("GET", url, headers={"Authorization": f"Bearer {access_token}"})
        # OpenID Connect Core 5.3.2: else it could be another person's.
        if found.get("sub") != subject:
            raise _refused("its claims are another person's")
        return {
            name: value for name, value in found.items() if name not in {"iss", "aud", "sub", "nonce", "exp"}
        }

    def _identity(self, claims: dict[str, Any]) -> Identity:
        listed: Any = claims.get(self._settings.oidc_groups_claim)
        groups = [listed] if isinstance(listed, str) else listed
        if not isinstance(groups, list):
            groups = []
        names = frozenset(
            str(group) for group in cast("list[Any]", groups)[:_MAX_GROUPS] if isinstance(group, str)
        )
        subject = digest_of_subject(self._issuer, str(claims["sub"]))
        name = claims.get("preferred_username") or claims.get("email") or claims["sub"]
        return Identity(subject, str(name), names)


def _metadata_of(document: dict[str, Any], issuer: str) -> _IssuerMetadata:
    def url(name: str) -> str | None:
        value = document.get(name)
        return value if isinstance(value, str) and is_protected(value) else None

    authorization, token, keys = url("authorization_endpoint"), url("token_endpoint"), url("jwks_uri")
    # Discovery 4.3: otherwise one issuer could speak for another.
    if document.get("issuer") != issuer or authorization is None or token is None or keys is None:
        log.warning("the metadata of the issuer is not right")
        raise _unavailable()
    return _IssuerMetadata(
        authorization, token, keys, url("userinfo_endpoint"), url("end_session_endpoint"),
        document.get("authorization_response_iss_parameter_supported") is True,
    )  # fmt: skip


async def _request(
    method: str, url: str, *, form: dict[str, str] | None = None, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """Ask the issuer, without redirects. Raises Unauthenticated where it refuses, ServiceNotAvailable."""
    import httpx2

    from codewords_mcp.http.middleware.issuer_keys import read_document

    try:
        async with (
            # A redirect would take the code and the client's secret to another place.
            httpx2.AsyncClient(timeout=_TIMEOUT, follow_redirects=False) as http,
            http.stream(method, url, data=form, headers=headers) as response,
        ):
            if response.status_code != 200:
                log.warning("the issuer refused a request", status=response.status_code)
                # These are about the sign-in that was tried; everything else is about the issuer.
                if 400 <= response.status_code < 500:
                    raise _refused("the issuer refused the code")
                raise _unavailable()
            return await read_document(response)
    except (httpx2.HTTPError, ValueError) as error:
        log.warning("the issuer cannot be reached", reason=type(error).__name__)
        raise _unavailable() from error


def _refused(reason: str) -> Unauthenticated:
    # The reason is for the operator: whoever forges an answer learns nothing of what was wrong.
    log.info("sign-in at the issuer refused", reason=reason)
    return Unauthenticated(
        "The sign-in at the issuer did not end well.", hint="Begin it again from this runtime's page."
    )


def _unavailable() -> ServiceNotAvailable:
    return ServiceNotAvailable(
        "The issuer at which people sign in cannot be asked now.",
        hint="Try again soon, or run `codewords open`.",
    )
