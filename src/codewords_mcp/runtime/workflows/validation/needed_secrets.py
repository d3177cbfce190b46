"""Secrets of the services and models that a script calls, which are not set yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from codewords_mcp.runtime.model.service import ServiceInfo
from codewords_mcp.runtime.model.validation import Check


def check_services(services: Iterable[ServiceInfo], declared: Collection[str]) -> list[Check]:
    """A warning for each secret that is missing, and for each service that is not there. `declared`: the header's variables,
    which have a check of their own.
    """
    checks: dict[str, Check] = {}
    for service in services:
        for one in service.lacking:
            if one.name not in declared:
                checks.setdefault(
                    one.name,
                    Check(
                        id="credentials",
                        status="warning",
                        message=f"{service.name} needs {one.name}, which has no value yet. {one.without or one.how}",
                        fix=f"codewords secrets set {one.name}",
                    ),
                )

        if service.unavailable:
            message = f"{service.name} cannot be used now: {service.unavailable}"
            checks.setdefault(service.name, Check(id="credentials", status="warning", message=message))

    return list(checks.values())
