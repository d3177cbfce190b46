"""What a library service is: JSON in, JSON out, under a name that workflows and people call like a workflow."""

from __future__ import annotations

from typing import Any, Protocol

from codewords_mcp.runtime.models import Caller


class Service(Protocol):
    """One library service. Its call is a run like any other: recorded, attributed, limited by nothing but its own rules."""

    name: str
    """Its service id."""

    async def answer(self, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
        """The answer to one call, JSON both ways. Raises CodewordsError, InvalidInput for what it does not understand."""
        ...
