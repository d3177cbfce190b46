"""Checks shared by services that work in a browser."""

from __future__ import annotations

from codewords_mcp.runtime.services.base import ServiceDependencies


async def browser_unavailable(dependencies: ServiceDependencies, owner: str) -> str:
    """Return why an owner's calls have no browser now and what to do; "" if they have one."""
    status = await dependencies.browsers.status(owner)
    if status.ready:
        return ""
    return f"{status.sentence} {status.fix}".strip()
