"""Traces: the timeline of a run."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.run import ExecutionMode

SpanKind = Literal[
    "run",
    "attempt",
    "queue",
    "sandbox",
    "readiness",
    "program",
    "response",
    "step",
    "request",
    "model",
    "service",
    "workflow",
    "runtime",
    "connection",
]
"""`readiness`: the program starts and listens; `program`: it works until the head of its response; `response`: the rest
of its response; `request`: to a host; `runtime`: to another route of the runtime; `connection`: one that was not read.
"""
SpanStatus = Literal["ok", "error", "open"]
SpanOutcome = Literal["sent", "answered", "held", "blocked", "unsent"]


class Span(Model):
    """One thing in a trace.

    Times are milliseconds since the run was accepted; `duration_ms` is None while it goes on. `outcome` is what became of a
    request: sent, answered from a recording, held by a dry run, blocked, or unsent as its host was not reached. `run_id` is
    the run that a call started, and `note` the reason of a failure or of what is missing.
    """

    id: str
    parent_id: str | None = None
    kind: SpanKind
    name: str
    start_ms: float
    duration_ms: float | None = None
    status: SpanStatus = "ok"
    outcome: SpanOutcome | None = None
    http_status: int | None = None
    sent_bytes: int | None = None
    received_bytes: int | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    cached: bool | None = None
    run_id: str | None = None
    note: str | None = None


class TraceLine(Model):
    """A log line of the run, at milliseconds since the run was accepted."""

    at_ms: float
    stream: Literal["stdout", "stderr", "platform"]
    message: str


class RunTrace(Model):
    """The spans of a run and of the runs below it, each behind its parent, and its last log lines.

    `log_lines` counts all lines. `incomplete` says what the trace lacks, and why.
    """

    run_id: str
    workflow_id: str | None = None
    version: int | None = None
    status: str
    mode: ExecutionMode | None = None
    created_at: datetime
    duration_ms: float
    trace_id: str
    cost_usd: float | None = None
    spans: list[Span] = Field(default_factory=list[Span])
    logs: list[TraceLine] = Field(default_factory=list[TraceLine])
    log_lines: int = 0
    incomplete: list[str] = Field(default_factory=list[str])
