"""All services that have a stand-in, by the name that the stand-ins report."""

from __future__ import annotations

from codewords_testing.fidelity.operation import DescribedService
from codewords_testing.fidelity.services import apps, e2b, library, pipedream, providers

SERVICES: dict[str, DescribedService] = {
    service.name: service
    for service in (
        *providers.SERVICES,
        *apps.SERVICES,
        *library.SERVICES,
        *e2b.SERVICES,
        *pipedream.SERVICES,
    )
}
