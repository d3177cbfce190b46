"""Triggers of a runtime that has none."""

from __future__ import annotations

from codewords_mcp.runtime.api.triggers import TriggerApi
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.trigger import Trigger


class FakeTriggerApi(TriggerApi):
    """Nothing starts a workflow by itself."""

    def __init__(self) -> None:
        pass

    async def list(self, caller: Caller, *, service_id: str | None = None) -> list[Trigger]:
        """See `TriggerApi`."""
        return []
