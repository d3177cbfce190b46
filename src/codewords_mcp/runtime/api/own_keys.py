"""Keys that members make for themselves, with at most the rights of their role."""

from __future__ import annotations

from codewords_mcp.errors import Forbidden, NotFound
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.auth.own_account import person_of, require_unlimited
from codewords_mcp.runtime.auth.roles import ROLES
from codewords_mcp.runtime.model.caller import HOME_OWNER, Caller, Scope
from codewords_mcp.runtime.model.key import KeyInfo


class OwnKeyApi:
    """Keys of the member who asks. All methods raise Forbidden for a caller who is no person's."""

    def __init__(self, container: Container) -> None:
        self._keyring = container.keyring

    async def create(
        self, caller: Caller, *, scopes: list[Scope] | None = None, expires_in: float | None = None
    ) -> tuple[str, KeyInfo]:
        """Make a key: (its text, shown once; its record). Without `scopes` it may do what the role allows, at each use.

        Raises Forbidden for a scope that the role lacks, and for a key with limits of its own; InvalidInput.
        """
        member = person_of(caller)
        await require_unlimited(self._keyring, caller)
        lacking = [scope for scope in scopes or () if not caller.can(scope)]
        if lacking:
            raise Forbidden(f"The role {member.role} has no scope {lacking[0]}.")
        return await self._keyring.create(
            owner=HOME_OWNER,
            kind=ROLES[member.role].kind if scopes is None else "user",
            one_time=False,
            expires_in=expires_in,
            scopes=scopes,
            member=member.id,
        )

    async def list(self, caller: Caller) -> list[KeyInfo]:
        """The member's own keys, oldest first."""
        return await self._keyring.list(member=person_of(caller).id)

    async def revoke(self, caller: Caller, key_id: str) -> None:
        """End one of the member's own keys at once. Raises NotFound, Forbidden."""
        member = person_of(caller)
        await require_unlimited(self._keyring, caller)
        found = await self._keyring.find(key_id)
        if found is None or found.member != member.id:
            raise NotFound("You have no key of that id.", remedy=Remedy(RemedyAction.LIST_KEYS))
        await self._keyring.revoke(key_id)
