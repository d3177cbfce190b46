"""Access tokens of one authorization server, whichever that is.

A token (a JWT, RFC 9068) must be signed by it, for us, and alive. Nothing of a token is ever passed on, but to its issuer,
where that is asked whether the token was revoked.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

import structlog

from codewords_mcp.errors import InvalidInput, InvalidToken, ServiceNotAvailable
from codewords_mcp.http.middleware.introspection import ANSWER_TTL, Introspection
from codewords_mcp.http.middleware.issuer_urls import is_protected
from codewords_mcp.runtime.auth.roles import limit_to_role
from codewords_mcp.runtime.model.caller import HOME_OWNER, Caller
from codewords_mcp.settings import Settings

if TYPE_CHECKING:
    from jwt import PyJWK

    from codewords_mcp.http.middleware.issuer_keys import IssuerKeys
    from codewords_mcp.runtime.api.runtime import Runtime

GRANTED = ("read", "run", "write")
"""Scopes that a token may give. Keys are administered with an admin's key only."""
DOCUMENT = "/.well-known/oauth-protected-resource"
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Algorithms of signatures that are taken: asymmetric ones."""
LEEWAY: Final = 30
"""Seconds that the issuer's clock may differ."""
_MAX_REMEMBERED: Final = 10_000
log = structlog.get_logger(__name__)


class AcceptedToken:
    """A token that was verified; see `TokenRight`."""

    def __init__(self, tokens: Tokens, text: str, caller: Caller, subject: str, ends_at: float) -> None:
        self.caller = caller
        self.ends_at = ends_at
        self._tokens = tokens
        self._text = text
        self._subject = subject
        self._is_revoked = False
        self._answered_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def admit(self) -> Caller:
        """The caller now. Raises InvalidToken for a revoked token, ServiceNotAvailable where that can't be found out."""
        async with self._lock:
            if self._is_stale():
                await self._ask()
        if self._is_revoked:
            raise InvalidToken("The access token was revoked by its issuer.", hint="Sign in again.")
        return await self._tokens.of_member(self.caller, self._subject)

    async def present(self) -> Caller | None:
        """See `TokenRight`."""
        if self._is_revoked or time.time() >= self.ends_at:
            return None
        if self._is_stale() and self._asking is None:
            # The look at what is open must not wait for an issuer: its answer brings about the next one.
            self._asking = asyncio.create_task(self._ask_again())
        return await self._tokens.of_member(self.caller, self._subject)

    def _is_stale(self) -> bool:
        at = asyncio.get_running_loop().time()
        return self._tokens.introspection.is_set and at - self._answered_at >= ANSWER_TTL

    async def _ask(self) -> None:
        self._is_revoked = not await self._tokens.introspection.is_active(self._text)
        self._answered_at = asyncio.get_running_loop().time()

    async def _ask_again(self) -> None:
        try:
            await self._ask()
        except ServiceNotAvailable:
            # An issuer that is down puts nobody out. The token's own time still ends it.
            return
        finally:
            self._asking = None
        if self._is_revoked:
            log.info("an access token was revoked", actor=self.caller.actor)
            self._tokens.wake()


def digest_of_subject(issuer: str, subject: str) -> str:
    """Make the digest by which a member who signs in at an issuer is known: two issuers may use the same subject."""
    return _digest(issuer, subject)


def resource_of(settings: Settings, runtime: Runtime) -> str:
    """Return the audience that a token must have: the URL of /mcp as clients reach it."""
    return settings.oauth_audience or f"{settings.public_url or runtime.base_url}/mcp"


class Tokens:
    """Find the caller that a token names. Raises InvalidInput for an issuer that is no URL."""

    def __init__(self, settings: Settings, runtime: Runtime) -> None:
        self._settings = settings
        self._runtime = runtime
        self._issuer = settings.oauth_issuer or ""
        self.introspection = Introspection(settings)
        self._accepted: dict[str, AcceptedToken] = {}
        # Members sign in there as well, and a token of theirs is theirs.
        self._has_members = bool(self._issuer) and self._issuer == settings.oidc_issuer
        self._keys: IssuerKeys | None = None
        self._fetching = asyncio.Lock()
        if self._issuer:
            _check_url(self._issuer, "CODEWORDS_OAUTH_ISSUER")
        if settings.oauth_jwks_url:
            _check_url(settings.oauth_jwks_url, "CODEWORDS_OAUTH_JWKS_URL")

    def challenge(self, path: str) -> str:
        """`WWW-Authenticate` for a request without a good key: where a client finds the authorization server."""
        if not self._issuer:
            return "Bearer"
        root, _, suffix = resource_of(self._settings, self._runtime).partition("/mcp")
        if path.startswith("/mcp"):
            where = f"/{path.strip('/')}"
        else:
            where = f"/mcp{suffix}"
        return f'Bearer resource_metadata="{root}{DOCUMENT}{where}"'

    async def verify(self, token: str) -> tuple[Caller, AcceptedToken]:
        """The caller that a token names, and its right. Raises InvalidToken, ServiceNotAvailable where the issuer can't
        be reached.
        """
        import jwt

        if not self._issuer:
            raise InvalidToken(
                "This runtime takes no access tokens.", hint="Send a key of `codewords keys create`."
            )

        try:
            head = jwt.get_unverified_header(token)
            # Never `none`, and no symmetric algorithm: with those the public key would be the
            # secret.
            if head.get("alg") not in ALGORITHMS:
                raise InvalidToken("The access token is not signed in a way that is taken here.")

            key = await self._key(head.get("kid"))
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[cast("str", head["alg"])],
                issuer=self._issuer,
                leeway=LEEWAY,
                # The audience is checked in `_caller`, which also takes one of a toolset.
                options={"require": ["exp", "iss", "aud", "sub"], "verify_aud": False},
            )
        except jwt.PyJWTError as error:
            log.info("access token refused", reason=type(error).__name__)
            raise InvalidToken(
                "The access token is not valid here: its signature, issuer or time is not right.",
                hint="Sign in again.",
            ) from error

        accepted = self._remembered(token, claims)
        return await accepted.admit(), accepted

    async def of_member(self, caller: Caller, subject: str) -> Caller:
        """The caller of a token, with the role of the member of the home whose subject it names, if there is one."""
        # A mapping to another owner is the operator's own word.
        if not self._has_members or self._settings.oauth_owners.get(subject, HOME_OWNER) != HOME_OWNER:
            return caller
        digest = digest_of_subject(self._issuer, subject)
        member = await self._runtime.members.by_subject(digest)
        if member is None:
            return caller
        return limit_to_role(replace(caller, owner=HOME_OWNER), member)

    def wake(self) -> None:
        """Have the rights of all that is open looked at: a token was revoked."""
        self._runtime.open_requests.wake()

    def _remembered(self, token: str, claims: dict[str, Any]) -> AcceptedToken:
        digest = _digest(token)
        accepted = self._accepted.get(digest)
        if accepted is None:
            # Dropped as a whole: it is refilled by one question for each token, and needs no order of use.
            if len(self._accepted) >= _MAX_REMEMBERED:
                self._accepted.clear()
            # The text only where it is asked about again.
            text = token if self.introspection.is_set else ""
            ends_at = float(claims["exp"]) + LEEWAY
            accepted = AcceptedToken(self, text, self._caller(claims), str(claims["sub"]), ends_at)
            self._accepted[digest] = accepted
        return accepted

    def _caller(self, claims: dict[str, Any]) -> Caller:
        audience = resource_of(self._settings, self._runtime)
        aud: Any = claims["aud"]
        made_for = [
            str(value).rstrip("/") for value in (cast("list[Any]", aud) if isinstance(aud, list) else [aud])
        ]
        narrowed = [
            # A token for `…/mcp/runs` is narrowed to that toolset (RFC 8707).
            value.removeprefix(f"{audience}/")
            for value in made_for
            if value.startswith(f"{audience}/")
        ]
        if audience not in made_for and not narrowed:
            raise InvalidToken(
                "The access token was made for another server.", hint=f"Ask for one for {audience}."
            )

        subject = str(claims["sub"])
        scope_claim = claims.get("scope", claims.get("scp", ""))
        if isinstance(scope_claim, str):
            scopes = scope_claim.split()
        else:
            scopes = [str(value) for value in cast("list[Any]", scope_claim)]

        client = str(claims.get("client_id", claims.get("azp", "")))
        return Caller(
            # Without a mapping each subject is an owner of its own, named by issuer and subject
            # together, since two issuers may use the same subject.
            self._settings.oauth_owners.get(subject) or f"oauth-{_digest(self._issuer, subject)[:40]}",
            "user",
            key_id=f"oauth-{_digest(self._issuer, subject, client)[:24]}",
            # A token never administers, whatever its issuer grants.
            scopes=frozenset(scopes) & frozenset(GRANTED),
            toolsets=None if audience in made_for else frozenset(narrowed),
            by_token=True,
        )

    async def _key(self, key_id: str | None) -> PyJWK:
        from jwt.exceptions import PyJWKClientConnectionError, PyJWKClientError

        keys = self._issuer_keys()
        try:
            found = keys.cached_key(key_id)
            if found is None:
                # One thread waits for the issuer, however many tokens wait for the key.
                async with self._fetching:
                    found = await asyncio.to_thread(keys.get_signing_key, key_id)
        except PyJWKClientConnectionError as error:
            raise ServiceNotAvailable(
                "The authorization server's keys cannot be read now.",
                hint="Try again soon; a key of `codewords keys create` works meanwhile.",
            ) from error
        except PyJWKClientError as error:
            raise InvalidToken(
                "The access token is signed by a key that its issuer does not publish."
            ) from error
        return found

    def _issuer_keys(self) -> IssuerKeys:
        if self._keys is None:
            from codewords_mcp.http.middleware.issuer_keys import IssuerKeys

            self._keys = IssuerKeys(self._issuer, self._settings.oauth_jwks_url)
        return self._keys


def _check_url(url: str, name: str) -> None:
    if not is_protected(url):
        raise InvalidInput(f"{name} must be an https URL; http is for loopback only.")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
