"""Library services."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote

from codewords_mcp.errors import NotFound
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.model.call_questions import of_service
from codewords_mcp.runtime.model.caller import HOME_OWNER, Caller
from codewords_mcp.runtime.model.questions import Question
from codewords_mcp.runtime.model.service import CallPreview, ServiceInfo
from codewords_mcp.runtime.services.base import Service
from codewords_mcp.runtime.services.describe import describe
from codewords_mcp.runtime.services.service_input import parse_input


class ServiceApi:
    """Library services: descriptions and previews. `runs` calls them."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def get(self, caller: Caller, name: str) -> ServiceInfo:
        """Describe one service. Raises NotFound."""
        service = self._container.services.find(name)
        if service is None:
            raise _no_service()
        return (await self._describe(caller, [service]))[0]

    def question(self, caller: Caller, service_id: str, path: str, data: Any) -> Question | None:
        """Make the question for a person before a model calls a library service itself.

        None for a call that only reads, for a workflow, and for the key of a run, whose manifest was agreed to.

        Raises NotFound for an operation that the service lacks, InvalidInput for an input that does not fit.
        """
        name, _, rest = service_id.strip("/ ").partition("/")
        # The owner agreed to the run's manifest, so nobody is asked again.
        if caller.kind == "run":
            service = None
        else:
            service = self._container.services.find(name)

        if service is None:
            return None

        route, _, query = f"{rest}/{path}".partition("?")
        operation = service.find(unquote(route))
        # A GET with its input in the query must be judged like a POST with the same body.
        arguments: Any = dict(parse_qsl(query, keep_blank_values=True)) if data is None else data
        parsed = parse_input(operation.input, arguments)
        if operation.effect_of(parsed) == "reads":
            return None

        return of_service(caller.owner, name, operation.path or route.strip("/"), arguments)

    def preview(self, caller: Caller, name: str, path: str, data: Any) -> CallPreview:
        """Preview a call without making it. Raises as `question`, and NotFound for an unknown service."""
        if self._container.services.find(name) is None:
            raise _no_service()
        question = self.question(caller, name, path, data)
        return CallPreview(writes=question is not None, asks=question.lines if question else [])

    async def named(self, caller: Caller, names: Collection[str]) -> list[ServiceInfo]:
        """Describe the services that have one of these names, as `list` does; unknown names are left out."""
        return await self._describe(
            caller, [service for service in self._container.services.all() if service.name in names]
        )

    async def missing_credentials(self, caller: Caller, names: Collection[str]) -> dict[str, list[str]]:
        """Names of essential credentials that this caller's calls lack, by service; unknown services are left out."""
        # No descriptions: the schemas of all operations take a tenth of a second.
        services = [service for name in sorted(names) if (service := self._container.services.find(name))]
        present = await self._present(caller, services)
        return {
            service.name: [
                credential.name
                for credential in service.credentials
                if (credential.essential or not credential.without) and credential.name not in present
            ]
            for service in services
        }

    async def list(self, caller: Caller) -> list[ServiceInfo]:
        """Every library service, with which of its credentials this caller's calls have."""
        return await self._describe(caller, self._container.services.all())

    async def _describe(self, caller: Caller, services: Sequence[Service]) -> list[ServiceInfo]:
        present = await self._present(caller, services)
        parts = self._container.service_dependencies

        return [
            describe(
                service,
                present,
                None if service.unavailable is None else await service.unavailable(parts, caller.owner),
            )
            for service in services
        ]

    async def _present(self, caller: Caller, services: Sequence[Service]) -> set[str]:
        """Names of the services' credentials that have a value for this caller's calls."""
        credentials = [credential for service in services for credential in service.credentials]
        resolve = self._container.secrets.resolve
        # Some credentials are the home's own, such as a mail server's. Everybody uses those.
        of_home = await resolve(
            HOME_OWNER, [credential.name for credential in credentials if credential.home]
        )
        of_owner = await resolve(
            caller.owner, [credential.name for credential in credentials if not credential.home]
        )

        return {
            credential.name
            for credential in credentials
            if credential.name in (of_home if credential.home else of_owner)
        }


def _no_service() -> NotFound:
    return NotFound("There is no library service of this name.", remedy=Remedy(RemedyAction.LIST_SERVICES))
