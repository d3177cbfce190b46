"""Passkeys, for homes whose members sign in at no issuer."""

from __future__ import annotations

from typing import Any

from codewords_mcp.errors import Conflict, Forbidden
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.auth.own_account import person_of, require_unlimited
from codewords_mcp.runtime.auth.passkey_ceremonies import Credential, Site, is_installed, site_of
from codewords_mcp.runtime.auth.peers import Peer, uid_of
from codewords_mcp.runtime.model.caller import HOME_OWNER, Caller, HomeMember
from codewords_mcp.runtime.model.passkey import PasskeyInfo


class PasskeyApi:
    """Passkeys of members. `origin` is the one under which the browser reached this runtime.

    Where people sign in at an issuer there are none: the issuer could not take them away.
    """

    def __init__(self, container: Container) -> None:
        self._container = container
        self._passkeys = container.passkeys
        self._are_possible = is_installed() and container.settings.oidc_issuer is None

    async def are_offered(self) -> bool:
        """Return whether the page to sign in names passkeys: they are possible here, and somebody has one."""
        return self._are_possible and await self._passkeys.exist()

    async def list(self, caller: Caller) -> list[PasskeyInfo]:
        """The caller's own, and for an admin of the home all. Raises Forbidden for who is neither."""
        if caller.kind == "admin" and caller.owner == HOME_OWNER:
            return await self._passkeys.list(None)
        return await self._passkeys.list(person_of(caller).id)

    async def begin(self, caller: Caller, origin: str, session_id: str) -> dict[str, Any]:
        """Options for the browser of this session to make a passkey. Raises Forbidden, Conflict, ServiceNotAvailable."""
        member = await self._whole(caller)
        return await self._passkeys.begin(member, self._site(origin), session_id)

    async def add(
        self, caller: Caller, origin: str, session_id: str, name: str, credential: Credential
    ) -> PasskeyInfo:
        """Keep the passkey that this session's browser made. Raises InvalidInput, Unauthenticated, Forbidden, Conflict."""
        member = await self._whole(caller)
        return await self._passkeys.add(member, self._site(origin), session_id, name, credential)

    async def rename(self, caller: Caller, passkey_id: str, name: str) -> PasskeyInfo:
        """See `Passkeys.rename`."""
        await self._require_home(caller)
        return await self._passkeys.rename(caller, passkey_id, name)

    async def revoke(self, caller: Caller, passkey_id: str) -> None:
        """See `Passkeys.revoke`."""
        await self._require_home(caller)
        await self._passkeys.revoke(caller, passkey_id)

    def begin_sign_in(self, origin: str, secret: str) -> dict[str, Any]:
        """Options for a browser with this secret in a cookie to sign in. Raises Conflict, ServiceNotAvailable."""
        return self._passkeys.begin_sign_in(self._site(origin), secret)

    async def sign_in(
        self, origin: str, secret: str, credential: Credential, peer: Peer | None, *, browser: str = ""
    ) -> str:
        """Sign in the member whose passkey a browser shows: the token of the new session. Raises Unauthenticated, Forbidden."""
        caller = await self._passkeys.sign_in(self._site(origin), secret, credential)
        return await self._container.page_sessions.begin_member(
            caller, peer and uid_of(peer), browser=browser
        )

    async def _whole(self, caller: Caller) -> HomeMember:
        """The member who asks with all of the own rights. Raises Forbidden."""
        await require_unlimited(self._container.keyring, caller)
        return person_of(caller)

    async def _require_home(self, caller: Caller) -> None:
        if caller.owner != HOME_OWNER:
            raise Forbidden("Passkeys are of members of the home.")
        await require_unlimited(self._container.keyring, caller)

    def _site(self, origin: str) -> Site:
        if self._container.settings.oidc_issuer is not None:
            raise Conflict(
                "People sign in at an issuer here, which decides who may.",
                hint="Sign in with your account; the issuer may have passkeys of its own.",
            )
        return site_of(origin, self._container.settings.public_url)
