"""Traces, the audit trail and the numbers of a runtime without a store."""

from __future__ import annotations

from codewords_mcp.runtime.api.audit import AuditApi
from codewords_mcp.runtime.api.metrics import MetricsApi
from codewords_mcp.runtime.api.traces import TraceApi
from codewords_mcp.runtime.api.tracing import TracingApi
from codewords_mcp.runtime.model.audit import AuditedOperation, AuditOutcome
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.measures import Measures
from codewords_mcp.runtime.model.run import Run
from codewords_mcp.runtime.model.trace import RunTrace


class FakeTraceApi(TraceApi):
    """The trace of each run is empty."""

    def __init__(self, recorded: dict[str, Run]) -> None:
        self._recorded = recorded

    async def get(self, caller: Caller, run_id: str, *, depth: int = 3, log_lines: int = 100) -> RunTrace:
        """See `TraceApi`."""
        run = self._recorded[run_id]
        return RunTrace(
            run_id=run.id, status=run.status, created_at=run.created_at, duration_ms=0, trace_id="0" * 32
        )


class FakeAuditApi(AuditApi):
    """Records nothing."""

    def __init__(self) -> None:
        pass

    def record(self, operation: AuditedOperation, outcome: AuditOutcome, error: str = "") -> None:
        """See `AuditApi`."""


class FakeMetricsApi(MetricsApi):
    """Counts, and has no page."""

    def __init__(self) -> None:
        self._measures = Measures()

    @property
    def measures(self) -> Measures:
        """See `MetricsApi`."""
        return self._measures


class FakeTracingApi(TracingApi):
    """Exports nothing."""

    def __init__(self) -> None:
        self.enabled = False
