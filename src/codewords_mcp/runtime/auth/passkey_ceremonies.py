"""The two ceremonies of WebAuthn, registration and sign-in: what a browser is asked, and what its answer proves.

A challenge is a signed text that says for which ceremony and which browser it was made, so that nothing is stored for
whoever only asks. `webauthn` checks the answers; it is an extra, since a home with an issuer or with one person needs none.
"""

from __future__ import annotations

import hashlib
import importlib.util
import ipaddress
import secrets
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

from itsdangerous import BadSignature, URLSafeTimedSerializer

from codewords_mcp.errors import Conflict, ServiceNotAvailable, Unauthenticated
from codewords_mcp.errors.remedies import add_package

CHALLENGE_TTL: Final = 300
"""Seconds that a challenge is good for."""
_NAME: Final = "codewords"
Purpose = Literal["register", "sign-in"]
Credential = dict[str, Any]
"""A browser's answer, as its `toJSON()` gives it."""


@dataclass(frozen=True, slots=True)
class Site:
    """The address at which a browser is. `rp_id` is the name that its passkeys are for."""

    rp_id: str
    origin: str


@dataclass(frozen=True, slots=True)
class NewCredential:
    """A credential that a browser made. `nonce` is of the challenge, which counts once."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    nonce: str


@dataclass(frozen=True, slots=True)
class Assertion:
    """A sign-in that the key of a credential has signed. `user` is the member that the authenticator keeps it for."""

    sign_count: int
    user: str
    nonce: str


def is_installed() -> bool:
    """Whether passkeys can be checked here."""
    return importlib.util.find_spec("webauthn") is not None


def site_of(origin: str, public_url: str | None) -> Site:
    """The site of a request's own origin, whose host was checked. Raises Conflict where browsers keep no passkeys."""
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if host == "localhost" or (parts.scheme == "https" and not _is_address(host)):
        return Site(host, origin)

    hint = "Open the console by its name over https; CODEWORDS_PUBLIC_URL says which that is."
    if public_url is not None:
        hint = f"Open the console at {public_url} instead."
    elif _is_address(host) and ipaddress.ip_address(host).is_loopback:
        hint = f"Open http://localhost:{parts.port or 80}/console instead, and sign in there."
    raise Conflict("Browsers keep passkeys for names only, over https or at localhost.", hint=hint)


def credential_id_of(credential: Credential) -> bytes:
    """The id of the credential that an answer is of. Raises Unauthenticated."""
    with _refusing():
        from webauthn.helpers import base64url_to_bytes

        return base64url_to_bytes(credential["id"])


class Ceremonies:
    """Challenges, and the checks of what answers them. `signing_key` is the same for all replicas; `ttl` is in seconds.

    All methods raise ServiceNotAvailable without the package. `browser` is what a challenge is bound to: the id of the
    session, or the secret of a cookie.
    """

    def __init__(self, signing_key: str, *, ttl: int = CHALLENGE_TTL) -> None:
        self._ttl = ttl
        self._signer = URLSafeTimedSerializer(signing_key, salt="passkeys")

    def registration_options(
        self, site: Site, member_id: str, name: str, known: Sequence[bytes], browser: str
    ) -> dict[str, Any]:
        """Options of `navigator.credentials.create` as JSON. An authenticator that has one of the `known` makes no other."""
        _require_library()
        from webauthn import generate_registration_options
        from webauthn.helpers import options_to_json_dict
        from webauthn.helpers.structs import (
            AuthenticatorSelectionCriteria,
            PublicKeyCredentialDescriptor,
            ResidentKeyRequirement,
            UserVerificationRequirement,
        )

        options = generate_registration_options(
            rp_id=site.rp_id,
            rp_name=_NAME,
            user_id=member_id.encode(),
            user_name=name,
            challenge=self._challenge("register", browser),
            timeout=self._ttl * 1000,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in known],
        )
        return options_to_json_dict(options)

    def sign_in_options(self, site: Site, browser: str) -> dict[str, Any]:
        """Options of `navigator.credentials.get` as JSON, for any passkey of this site."""
        _require_library()
        from webauthn import generate_authentication_options
        from webauthn.helpers import options_to_json_dict
        from webauthn.helpers.structs import UserVerificationRequirement

        options = generate_authentication_options(
            rp_id=site.rp_id,
            challenge=self._challenge("sign-in", browser),
            timeout=self._ttl * 1000,
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return options_to_json_dict(options)

    def check_registration(self, site: Site, credential: Credential, browser: str) -> NewCredential:
        """Check the answer to `registration_options`. Raises Unauthenticated for any other."""
        _require_library()
        with _refusing():
            from webauthn import verify_registration_response

            challenge, nonce, _user = self._read(credential, "register", browser)
            found = verify_registration_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=site.rp_id,
                expected_origin=site.origin,
                require_user_verification=True,
            )
        return NewCredential(found.credential_id, found.credential_public_key, found.sign_count, nonce)

    def check_sign_in(self, site: Site, credential: Credential, browser: str, public_key: bytes) -> Assertion:
        """Check the answer to `sign_in_options`. Raises Unauthenticated for any other. Its counter is the caller's to compare."""
        _require_library()
        with _refusing():
            from webauthn import verify_authentication_response

            challenge, nonce, user = self._read(credential, "sign-in", browser)
            found = verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=site.rp_id,
                expected_origin=site.origin,
                credential_public_key=public_key,
                # Compared by the store, where two at once can't both pass.
                credential_current_sign_count=0,
                require_user_verification=True,
            )
        return Assertion(found.new_sign_count, user, nonce)

    def _challenge(self, purpose: Purpose, browser: str) -> bytes:
        return str(self._signer.dumps([purpose, _digest(browser), secrets.token_urlsafe(16)])).encode()

    def _read(self, credential: Credential, purpose: Purpose, browser: str) -> tuple[bytes, str, str]:
        """(challenge, its nonce, the user) of an answer. Raises Unauthenticated for a challenge that is none of ours."""
        from webauthn.helpers import base64url_to_bytes, parse_client_data_json

        response = credential["response"]
        client = parse_client_data_json(base64url_to_bytes(response["clientDataJSON"]))
        # A page of another site may have asked for it in a frame.
        if client.cross_origin:
            raise _refused()
        try:
            made_for, browser_digest, nonce = self._signer.loads(
                client.challenge.decode("ascii"), max_age=self._ttl
            )
        except BadSignature:
            raise _refused() from None
        if made_for != purpose or browser_digest != _digest(browser):
            raise _refused()
        user = base64url_to_bytes(response.get("userHandle") or "").decode()
        return client.challenge, cast("str", nonce), user


@contextmanager
def _refusing() -> Generator[None]:
    """Raise Unauthenticated for an answer that is malformed or proves nothing, whatever is wrong with it."""
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        yield
    except (WebAuthnException, LookupError, TypeError, ValueError, AttributeError, OverflowError):
        # The reason may quote the answer, which anybody can send.
        raise _refused() from None


def _refused() -> Unauthenticated:
    return Unauthenticated(
        "This answer of a passkey does not count: it is not for this page, is too old, was used, or is not signed by its key.",
        hint="Begin again from this runtime's own page.",
    )


def _require_library() -> None:
    if not is_installed():
        raise ServiceNotAvailable(
            "Passkeys take the package webauthn.", remedy=add_package("webauthn>=3,<4", "passkeys")
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
