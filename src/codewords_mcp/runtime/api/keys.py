"""API keys."""

from __future__ import annotations

from typing import Literal

from codewords_mcp.errors import Forbidden, InvalidInput
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.paging import check_limit, cut_page, parse_cursor
from codewords_mcp.runtime.auth.members import require_home
from codewords_mcp.runtime.auth.roles import is_owner, may_manage
from codewords_mcp.runtime.model.base import Page
from codewords_mcp.runtime.model.caller import HOME_OWNER, Caller, Scope, require_admin
from codewords_mcp.runtime.model.key import KeyInfo
from codewords_mcp.runtime.store.clock import to_micros


class KeyApi:
    """API keys."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def authenticate(self, key: str) -> Caller:
        """The caller behind a key. Raises Unauthenticated. A one-time key is spent by this call."""
        return await self._container.keyring.authenticate(key)

    async def create(
        self,
        caller: Caller,
        *,
        owner: str | None = None,
        kind: Literal["admin", "user"] = "user",
        one_time: bool = False,
        expires_in: float | None = None,
        models: list[str] | None = None,
        scopes: list[Scope] | None = None,
        toolsets: list[str] | None = None,
        member: str | None = None,
    ) -> tuple[str, KeyInfo]:
        """Make a key: (its text, shown once; its record). `models` are the only ones that it may ask, `scopes` all that it
        may do, `toolsets` all that it sees over MCP. `member` is the id or name of whom it belongs to; one that a member
        makes is that member's own. Admin only. Raises InvalidInput, NotFound, Forbidden.
        """
        require_admin(caller, "make keys")
        member_id = await self._member_of(caller, owner, kind, member)
        return await self._container.keyring.create(
            member=member_id,
            owner=owner or caller.owner,
            kind=kind,
            one_time=one_time,
            expires_in=expires_in,
            models=models,
            scopes=scopes,
            toolsets=toolsets,
        )

    async def _member_of(
        self, caller: Caller, owner: str | None, kind: str, member: str | None
    ) -> str | None:
        """The id of the member that a new key belongs to; None for a key that is no member's."""
        if owner not in {None, HOME_OWNER}:
            if member is not None:
                raise InvalidInput("Members are of the home's own owner.", hint="Leave `owner` out.")
            # It would outlive the member who made it, and see another owner's things.
            if not is_owner(caller) or (kind == "admin" and caller.member is not None):
                raise Forbidden(
                    "This needs an owner of the home, and is never an admin's key.",
                    hint="The home's own key makes such keys too.",
                )
            return None
        if member is None:
            return caller.member and caller.member.id

        require_home(caller)
        found = await self._container.members.get(member)
        if not may_manage(caller, found.role):
            raise Forbidden(f"You may not make a key with the role {found.role}.")
        return found.id

    async def revoke(self, caller: Caller, key_id: str) -> None:
        """End a key at once. Admin only. Raises NotFound."""
        require_admin(caller, "revoke keys")
        await self._container.keyring.revoke(key_id)

    async def list(self, caller: Caller) -> list[KeyInfo]:
        """Every key of the home. Admin only."""
        require_admin(caller, "list keys")
        return await self._container.keyring.list()

    async def page(self, caller: Caller, *, limit: int, cursor: str | None = None) -> Page[KeyInfo]:
        """A page of the same list, oldest first. Admin only. Raises InvalidInput."""
        require_admin(caller, "list keys")
        found = await self._container.keyring.list(limit=check_limit(limit) + 1, after=parse_cursor(cursor))
        return cut_page(found, limit, lambda key: f"{to_micros(key.created_at)}.{key.id}")
