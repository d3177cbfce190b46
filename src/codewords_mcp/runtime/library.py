"""The facade's part about library services: what there are."""

from __future__ import annotations

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.house import House
from codewords_mcp.runtime.models import Caller
from codewords_mcp.runtime.secrets.access import HOME_OWNER
from codewords_mcp.runtime.service_info import ServiceInfo
from codewords_mcp.runtime.services.base import Service
from codewords_mcp.runtime.services.describe import describe


class Library:
    """What `Runtime` offers beside workflows, runs, secrets and files. Services are called by `Runtime.run`."""

    _house: House

    async def list_services(self, caller: Caller) -> list[ServiceInfo]:
        """Every library service, with which of its credentials this caller's calls have."""
        return [await self._described(caller, service) for service in self._house.services.all()]

    async def get_service(self, caller: Caller, name: str) -> ServiceInfo:
        """One. Raises NotFound."""
        service = self._house.services.find(name)
        if service is None:
            raise NotFound(
                "There is no library service of this name.", hint="`codewords services` shows them."
            )
        return await self._described(caller, service)

    async def _described(self, caller: Caller, service: Service) -> ServiceInfo:
        book = self._house.secrets
        found: set[str] = set()
        for one in service.credentials:
            found |= set(await book.given(HOME_OWNER if one.home else caller.owner, [one.name]))
        return describe(service, found)
