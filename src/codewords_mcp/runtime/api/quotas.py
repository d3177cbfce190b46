"""Quotas of the owners of one database."""

from __future__ import annotations

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.auth.roles import is_owner
from codewords_mcp.runtime.model.caller import HOME_OWNER, Caller, refuse_run
from codewords_mcp.runtime.model.quota import OwnerQuota, QuotaLimits, StoredBytes


class QuotaApi:
    """Quotas of owners. Owners of the home set them; others see their own."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def list(self, caller: Caller) -> list[OwnerQuota]:
        """All quotas for an owner of the home, with what is used of them; else the one that holds for the caller."""
        refuse_run(caller, "see quotas")
        quotas = self._container.quotas
        if caller.owner == HOME_OWNER and is_owner(caller):
            return await quotas.list()
        await quotas.refresh()
        used = await quotas.used(caller.owner)
        return [OwnerQuota(owner=caller.owner, limits=quotas.of(caller.owner), used=used)]

    async def stored(self, caller: Caller) -> StoredBytes:
        """Bytes that the caller's owner stores, as they were last measured."""
        return await self._container.stored_data.of(caller.owner)

    async def set(self, owner: str, limits: QuotaLimits) -> OwnerQuota:
        """Set or replace the quota of an owner, `EACH` for all that have none but the home's. It holds from the next run on.

        Raises InvalidInput.
        """
        if not owner.isprintable() or not 0 < len(owner) <= 64:
            raise InvalidInput("An owner is 1 to 64 printable characters.", hint="* is each other owner.")
        if limits == QuotaLimits():
            raise InvalidInput(
                "This quota limits nothing.", hint="Name at least one limit, or delete the quota."
            )
        least = self._container.settings.memory_limit
        if limits.memory is not None and limits.memory < least:
            raise InvalidInput(
                f"One run may take {least} bytes of memory, so a smaller quota would refuse every run.",
                hint="Raise it, or lower CODEWORDS_MEMORY_LIMIT.",
            )
        await self._container.quotas.set(owner, limits)
        return OwnerQuota(owner=owner, limits=limits)

    async def remove(self, owner: str) -> None:
        """Remove the quota of an owner. Raises NotFound."""
        if not await self._container.quotas.remove(owner):
            raise NotFound("This owner has no quota.", hint="The list of quotas names those who have.")
