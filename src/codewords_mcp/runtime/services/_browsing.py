"""What services that work in a browser share."""

from __future__ import annotations

from codewords_mcp.runtime.services.base import ServiceDependencies


async def without_browser(parts: ServiceDependencies, owner: str) -> str:
    """Why an owner's calls have no browser now, and what to do; "" where they have one."""
    status = await parts.browsers.status(owner)
    if status.ready:
        return ""
    return f"{status.sentence} {status.fix}".strip()
