"""API keys."""

from __future__ import annotations

from typing import Literal

from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.paging import check_limit, cut_page, parse_cursor
from codewords_mcp.runtime.model.base import Page
from codewords_mcp.runtime.model.caller import Caller, Scope, require_admin
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
    ) -> tuple[str, KeyInfo]:
        """Make a key: (its text, shown once; its record). `models` are the only ones that it may ask, `scopes` all that it
        may do, `toolsets` all that it sees over MCP. Admin only. Raises InvalidInput.
        """
        require_admin(caller, "make keys")
        return await self._container.keyring.create(
            owner=owner or caller.owner,
            kind=kind,
            one_time=one_time,
            expires_in=expires_in,
            models=models,
            scopes=scopes,
            toolsets=toolsets,
        )

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
