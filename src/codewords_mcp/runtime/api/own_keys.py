"""Keys that members make for themselves, with at most the rights of their role."""

from __future__ import annotations

from codewords_mcp.errors import Forbidden, NotFound
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.auth.roles import ROLES
from codewords_mcp.runtime.model.caller import HOME_OWNER, Caller, HomeMember, Scope
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
        member = _person(caller)
        await self._require_unlimited(caller, member)
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
        return await self._keyring.list(member=_person(caller).id)

    async def revoke(self, caller: Caller, key_id: str) -> None:
        """End one of the member's own keys at once. Raises NotFound."""
        member = _person(caller)
        found = await self._keyring.find(key_id)
        if found is None or found.member != member.id:
            raise NotFound("You have no key of that id.", remedy=Remedy(RemedyAction.LIST_KEYS))
        await self._keyring.revoke(key_id)

    async def _require_unlimited(self, caller: Caller, member: HomeMember) -> None:
        """Raise Forbidden for a key that may do less than its member, or not for long: it must not make one that may more."""
        if caller.key_id == member.id:
            return
        key = await self._keyring.find(caller.key_id or "")
        is_whole = key is not None and (key.kind, key.one_time) == (ROLES[member.role].kind, False)
        limits = key and (key.scopes, key.toolsets, key.models, key.expires_at)
        if not is_whole or any(limit is not None for limit in limits or ()):
            raise Forbidden(
                "A key with limits of its own makes no other keys.", hint="Make it in the console, signed in."
            )


def _person(caller: Caller) -> HomeMember:
    if caller.member is None or caller.member.kind != "person":
        raise Forbidden(
            "Only people who are members of the home have keys of their own account.",
            hint="An admin makes other keys: `codewords keys create`.",
        )
    return caller.member
