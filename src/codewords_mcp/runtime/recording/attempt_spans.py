"""Spans of one attempt: its phases, its steps, its calls and its unread connections.

An attempt is timed by the monotonic clock from its own begin on, so that a clock that is set meanwhile moves nothing within
it. Steps have the wall clock's time, and are kept within their attempt then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from codewords_mcp.runtime.model.run_columns import AttemptEntry
from codewords_mcp.runtime.model.service_table import SERVICES
from codewords_mcp.runtime.model.trace import Span, SpanKind, SpanStatus
from codewords_mcp.runtime.recording.attempt_trace import AttemptTrace, CallTrace
from codewords_mcp.runtime.recording.trace_context import span_id
from codewords_mcp.runtime.store.traces import TracedRun

PHASES: Final[tuple[tuple[str, SpanKind], ...]] = (
    ("sandbox", "sandbox"),
    ("ready", "readiness"),
    ("answer", "program"),
)
"""The timings of an attempt, in their order, and the spans that they are."""
CLOCK_TOLERANCE_MS: Final = 100.0
"""Both clocks may differ by this much over an attempt before the wall clock counts as set."""
_MS: Final = 1000.0
"""µs of a millisecond, and milliseconds of a second."""
_BROKEN: Final = frozenset({"failed", "timed_out", "cancelled", "interrupted"})


@dataclass(frozen=True, slots=True)
class AttemptWindow:
    """An attempt, and its place in the trace, in milliseconds. `end` is None while it goes on.

    `base` is the time that the trace begins at, in µs since 1970. `clock_set`: the wall clock was set during the attempt.
    """

    run: TracedRun
    entry: AttemptEntry
    trace: AttemptTrace | None
    timings: Mapping[str, float]
    base: int
    start: float
    end: float | None
    clock_set: bool = False

    @property
    def number(self) -> int:
        """The number of the attempt, from 1."""
        return self.entry["number"]

    @property
    def failed(self) -> bool:
        """Whether it ended without an answer."""
        return self.entry["outcome"] in _BROKEN

    def within(self, micros: int) -> float:
        """A time of the wall clock as milliseconds of the trace."""
        at = max((micros - self.base) / _MS, 0.0)
        if self.clock_set and self.end is not None:
            return min(max(at, self.start), self.end)
        return at

    def span_id(self, name: str) -> str:
        """The id of a span of this attempt."""
        return span_id(self.run.id, f"{self.number} {name}")


def window_of(run: TracedRun, entry: AttemptEntry, trace: AttemptTrace | None, base: int) -> AttemptWindow:
    """The place of an attempt in a trace."""
    start = max((entry["started_at"] - base) / _MS, 0.0)
    timings: Mapping[str, float] = {}
    if trace is not None:
        timings = trace.timings
    elif entry["number"] == run.attempts[-1]["number"]:
        # The record has those of the last one.
        timings = run.timings

    ended_at = entry["ended_at"]
    if ended_at is None:
        return AttemptWindow(run, entry, trace, timings, base, start, None)

    by_wall = (ended_at - entry["started_at"]) / _MS
    if "total" not in timings:
        return AttemptWindow(run, entry, trace, timings, base, start, start + max(by_wall, 0.0))
    # Its time in the queue lies before the attempt.
    lasted = max(timings["total"] - timings.get("queued", 0.0), 0.0)
    clock_set = abs(by_wall - lasted) > CLOCK_TOLERANCE_MS
    return AttemptWindow(run, entry, trace, timings, base, start, start + lasted, clock_set)


def rounded(value: float) -> float:
    """Milliseconds as a trace has them."""
    return round(value, 2)


def duration_of(start: float, end: float | None) -> float | None:
    """The time between two moments; None without an end."""
    if end is None:
        return None
    return rounded(max(end - start, 0.0))


def status_of(*, failed: bool, is_open: bool) -> SpanStatus:
    """The status of a span."""
    if is_open:
        return "open"
    if failed:
        return "error"
    return "ok"


def phase_spans(window: AttemptWindow, parent: str) -> list[Span]:
    """The sandbox, the program's readiness, its work and its response."""
    spans: list[Span] = []
    at = window.start

    def add(kind: SpanKind, end: float | None, status: SpanStatus) -> None:
        span = Span(
            id=window.span_id(kind),
            parent_id=parent,
            kind=kind,
            name=kind,
            start_ms=rounded(at),
            duration_ms=duration_of(at, end),
            status=status,
        )
        spans.append(span)

    if not window.timings:
        return []
    for name, kind in PHASES:
        if name not in window.timings:
            # The attempt ended in this phase, or is in it now.
            add(kind, window.end, status_of(failed=window.failed, is_open=window.end is None))
            return spans
        lasted = max(window.timings[name], 0.0)
        add(kind, at + lasted, "ok")
        at += lasted

    # After its answer a program may still send its body, and is ended.
    if window.end is None or window.end > at:
        add("response", window.end, status_of(failed=window.failed, is_open=window.end is None))
    return spans


def step_spans(window: AttemptWindow, parent: str) -> list[Span]:
    """The steps that the program announced. Each lasts until the next one, the last until the end."""
    run, entry = window.run, window.entry
    later = [other["started_at"] for other in run.attempts if other["number"] > entry["number"]]
    until = min(later, default=None)
    steps = [
        (index, step)
        for index, step in enumerate(run.steps)
        # The first attempt takes all earlier steps: a clock that was put back may have timed one before its
        # begin.
        if (entry["number"] == 1 or step["at"] >= entry["started_at"])
        and (until is None or step["at"] < until)
    ]
    starts = [window.within(step["at"]) for _, step in steps]
    spans: list[Span] = []

    for place, (index, step) in enumerate(steps):
        is_last = place == len(steps) - 1
        end = window.end if is_last else starts[place + 1]
        span = Span(
            id=span_id(run.id, f"step {index}"),
            parent_id=parent,
            kind="step",
            name=step["id"],
            start_ms=rounded(starts[place]),
            duration_ms=duration_of(starts[place], end),
            status=status_of(failed=is_last and window.failed, is_open=end is None),
        )
        spans.append(span)
    return spans


def connection_spans(window: AttemptWindow, parent: str) -> list[Span]:
    """The connections of which only bytes were counted."""
    if window.trace is None:
        return []
    offset = (window.trace.began - window.base) / _MS
    spans: list[Span] = []

    for index, connection in enumerate(window.trace.connections):
        started, end = _times(connection.started, connection.ended, offset, window)
        span = Span(
            id=window.span_id(f"connection {index}"),
            parent_id=parent,
            kind="connection",
            name=f"{connection.host}:{connection.port}",
            start_ms=rounded(started),
            duration_ms=duration_of(started, end),
            status=status_of(failed=False, is_open=end is None),
            sent_bytes=connection.sent,
            received_bytes=connection.received,
            note=f"not recorded: {connection.why}",
        )
        spans.append(span)
    return spans


def call_span(window: AttemptWindow, call: CallTrace, parent: str) -> Span:
    """One request of the program."""
    if window.trace is not None:
        offset = (window.trace.began - window.base) / _MS
    else:
        offset = 0.0
    kind, name = _kind_and_name(call)
    started, end = _times(call.started, call.ended, offset, window)
    note = call.note or None
    if call.started < 0:
        note = note or "sent while the sandbox was prepared, before the run"
    return Span(
        id=window.span_id(f"call {call.number}"),
        parent_id=parent,
        kind=kind,
        name=name,
        start_ms=rounded(started),
        duration_ms=duration_of(started, end),
        status=_call_status(call, is_open=end is None),
        outcome=call.outcome,
        http_status=call.status or None,
        sent_bytes=call.sent,
        received_bytes=call.received,
        run_id=call.run_id or None,
        note=note,
        **_usage(call),
    )


def _times(
    started: float, ended: float | None, offset: float, window: AttemptWindow
) -> tuple[float, float | None]:
    """The begin and the end of a request, as milliseconds of the trace."""
    start = offset + started * _MS
    # A sandbox ends with its requests.
    end = window.end if ended is None else offset + ended * _MS
    # A prepared sandbox may have sent it before there was a run.
    early = max(-start, 0.0)
    if end is None:
        return start + early, None
    return start + early, end + early


def starts_in_background(call: CallTrace) -> bool:
    """Whether the call's response comes before the end of the run that it starts."""
    return call.channel == "call" and call.target.partition("/")[2].startswith("run_async/")


def _kind_and_name(call: CallTrace) -> tuple[SpanKind, str]:
    if call.channel == "gateway":
        if call.usage is not None and call.usage.model:
            return "model", call.usage.model
        return "model", call.target
    if call.channel == "egress":
        return "request", f"{call.method} {call.target}"

    path = call.target.partition("/")[2]
    route, _, rest = path.partition("/")
    called, _, below = rest.partition("/")
    if route not in {"run", "run_async"} or not called:
        return "runtime", f"{call.method} /{path}"

    name = unquote(called)
    shown = f"{name} /{below}" if below else name
    if name in SERVICES:
        return "service", shown
    return "workflow", shown


def _call_status(call: CallTrace, *, is_open: bool) -> SpanStatus:
    failed = call.outcome in {"blocked", "unsent"} or call.status >= 400 or call.ended is None
    return status_of(failed=failed, is_open=is_open)


def _usage(call: CallTrace) -> dict[str, Any]:
    used = call.usage
    if used is None:
        return {}
    return {
        "model": used.model or None,
        "input_tokens": used.tokens.get("input_tokens"),
        "output_tokens": used.tokens.get("output_tokens"),
        "cost_usd": used.cost,
        "cached": used.cached or None,
    }
