"""The facade's part about library services: what there are."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.callers import HOME_OWNER
from codewords_mcp.runtime.house import House
from codewords_mcp.runtime.models import Caller
from codewords_mcp.runtime.service_info import ServiceInfo
from codewords_mcp.runtime.services.base import Service
from codewords_mcp.runtime.services.describe import describe


class Library:
    """What `Runtime` offers beside workflows, runs, secrets and files. Services are called by `Runtime.run`."""

    _house: House

    async def list_services(self, caller: Caller) -> list[ServiceInfo]:
        """Every library service, with which of its credentials this caller's calls have."""
        return await self._described(caller, self._house.services.all())

    async def services_named(self, caller: Caller, names: Collection[str]) -> list[ServiceInfo]:
        """Those of these names that there are, as `list_services` tells them."""
        return await self._described(caller, [one for one in self._house.services.all() if one.name in names])

    async def get_service(self, caller: Caller, name: str) -> ServiceInfo:
        """One. Raises NotFound."""
        service = self._house.services.find(name)
        if service is None:
            raise NotFound(
                "There is no library service of this name.", hint="`codewords services` shows them."
            )
        return (await self._described(caller, [service]))[0]

    async def _described(self, caller: Caller, services: Sequence[Service]) -> list[ServiceInfo]:
        wanted = [one for service in services for one in service.credentials]
        given = self._house.secrets.given
        of_home = await given(HOME_OWNER, [one.name for one in wanted if one.home])
        of_owner = await given(caller.owner, [one.name for one in wanted if not one.home])
        present = {one.name for one in wanted if one.name in (of_home if one.home else of_owner)}
        parts = self._house.parts
        return [
            describe(
                service,
                present,
                "" if service.unavailable is None else await service.unavailable(parts, caller.owner),
            )
            for service in services
        ]
