"""Missing secrets of the services and models that a script calls."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from codewords_mcp.errors.remedies import set_secret
from codewords_mcp.runtime.model.service import ServiceInfo
from codewords_mcp.runtime.model.validation import Check


def check_services(services: Iterable[ServiceInfo], declared: Collection[str]) -> list[Check]:
    """A warning for each missing secret and each unavailable service.

    `declared`: the header's variables, which have a check of their own.
    """
    checks: dict[str, Check] = {}
    for service in services:
        for credential in service.lacking:
            # Several services may need the same secret, hence `setdefault`: one warning for it.
            if credential.name not in declared:
                checks.setdefault(
                    credential.name,
                    Check(
                        id="credentials",
                        status="warning",
                        message=f"{service.name} needs {credential.name}, which has no value yet. "
                        f"{credential.without or credential.how}",
                        fix=set_secret(credential.name).words,
                        remedy=set_secret(credential.name),
                    ),
                )

        if service.unavailable:
            checks.setdefault(
                service.name,
                Check(
                    id="credentials",
                    status="warning",
                    message=f"{service.name} cannot be used now: {service.unavailable}",
                    fix=service.fix or None,
                    remedy=service.remedy,
                ),
            )

    return list(checks.values())
