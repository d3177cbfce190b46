"""Spans of requests and messages, for the front doors."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.gateway.request_spans import RequestSpans, current_as_ambient
from codewords_mcp.runtime.gateway.telemetry import exported_signals

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class TracingApi:
    """Spans of what the runtime is asked, where the variables of OpenTelemetry name an exporter."""

    def __init__(self, container: Container) -> None:
        self._container = container
        # Decided once, so that requests cost nothing where nobody collects spans.
        self.enabled = "traces" in exported_signals()

    async def request_spans(self) -> RequestSpans | None:
        """Make spans of requests; None where none is exported."""
        if not self.enabled:
            return None
        telemetry = await self._container.gateway.telemetry()
        return None if telemetry is None else telemetry.requests

    def message(self) -> AbstractContextManager[None]:
        """Let what an MCP message starts belong to the SDK's span of the message."""
        return current_as_ambient() if self.enabled else nullcontext()
