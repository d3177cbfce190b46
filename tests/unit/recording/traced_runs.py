"""Runs and attempts for tests of traces. Times are milliseconds since the first run was accepted."""

from __future__ import annotations

from typing import Any

from codewords_mcp.runtime.model.run_columns import AttemptEntry, FinalStatus
from codewords_mcp.runtime.recording.attempt_trace import AttemptTrace, CallTrace
from codewords_mcp.runtime.store.traces import TracedRun

BASE = 1_764_000_000_000_000
RUN = "0af76519-16cd-43dd-8448-eb211c80319c"
PHASES = {"queued": 2.0, "sandbox": 10.0, "ready": 30.0, "answer": 200.0, "total": 252.0}


def at(ms: float) -> int:
    return BASE + round(ms * 1000)


def attempt(
    number: int, start: float, end: float | None, outcome: FinalStatus | None = "succeeded"
) -> AttemptEntry:
    return {
        "number": number,
        "started_at": at(start),
        "ended_at": None if end is None else at(end),
        "outcome": None if end is None else outcome,
    }


def run(run_id: str = RUN, **changes: Any) -> TracedRun:
    """A run that waited 2 ms and took 250."""
    usual = TracedRun(
        id=run_id,
        owner="ada",
        parent_id=None,
        service_id="report_1a2b3c4d",
        version=3,
        status="succeeded",
        mode=None,
        trace_parent=None,
        created_at=at(0),
        completed_at=at(252),
        executor="here",
        response_status=200,
        error=None,
        attempts=[attempt(1, 2, 252)],
        steps=[],
        timings=PHASES,
        usage={},
    )
    return usual._replace(**changes)


def call(number: int, target: str, start: float, end: float | None, **changes: Any) -> CallTrace:
    """A `GET` by the sandbox's network; `start` and `end` in milliseconds."""
    fields: dict[str, Any] = {
        "channel": "egress",
        "method": "GET",
        "outcome": "sent",
        "status": 200,
        "sent": 0,
    }
    fields |= changes
    ended = None if end is None else end / 1000
    return CallTrace(number=number, target=target, started=start / 1000, ended=ended, **fields)


def traced(*calls: CallTrace, number: int = 1, began: float = 0, **changes: Any) -> AttemptTrace:
    return AttemptTrace(number, at(began), changes.pop("timings", PHASES), calls, **changes)
