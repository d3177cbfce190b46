"""Checks shared by services that work in a browser."""

from __future__ import annotations

from codewords_mcp.runtime.services.base import ServiceDependencies, Unavailability


async def browser_unavailable(dependencies: ServiceDependencies, owner: str) -> Unavailability | None:
    """Return why an owner's calls have no browser now and what to do; None if they have one."""
    status = await dependencies.browsers.status(owner)
    if status.ready:
        return None
    return Unavailability(status.sentence, status.fix, status.remedy)
