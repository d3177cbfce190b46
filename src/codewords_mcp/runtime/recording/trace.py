"""Builds the spans of a run from its record, the calls of its attempts, and the runs below it. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from codewords_mcp.runtime.model.run import FINISHED
from codewords_mcp.runtime.model.trace import Span
from codewords_mcp.runtime.recording.attempt_spans import (
    AttemptWindow,
    call_span,
    connection_spans,
    duration_of,
    phase_spans,
    rounded,
    starts_in_background,
    status_of,
    step_spans,
    window_of,
)
from codewords_mcp.runtime.recording.attempt_trace import AttemptTrace, CallTrace
from codewords_mcp.runtime.recording.trace_context import RUN_SPAN, span_id
from codewords_mcp.runtime.store.traces import TracedRun

_MS: Final = 1000.0
_GONE: Final = "the run that it started is deeper than this trace goes, or not on record any more"


@dataclass(frozen=True, slots=True)
class TraceSource:
    """The run, then the runs below it, and what the attempts of each did. `live`: runs that go on in this process."""

    runs: Sequence[TracedRun]
    attempts: Mapping[str, Sequence[AttemptTrace]]
    live: frozenset[str] = frozenset()


@dataclass(slots=True)
class RunSpans:
    """The spans of a run, each behind its parent, and the reasons why some are missing."""

    spans: list[Span] = field(default_factory=list[Span])
    incomplete: list[str] = field(default_factory=list[str])
    windows: list[AttemptWindow] = field(default_factory=list[AttemptWindow])
    """The attempts of the run itself."""

    @property
    def end_ms(self) -> float:
        """The time of the last thing that happened."""
        return max((span.start_ms + (span.duration_ms or 0.0) for span in self.spans), default=0.0)


def build_spans(source: TraceSource) -> RunSpans:
    """The spans of the first run of the source, with those of the others below the calls that started them."""
    builder = _Builder(source)
    builder.emit(builder.run(source.runs[0], None))
    return builder.built


class _Draft(NamedTuple):
    """A span with the spans below it, before they are put in order."""

    span: Span
    below: list[_Draft]


class _Builder:
    def __init__(self, source: TraceSource) -> None:
        self.built = RunSpans()
        self._source = source
        self._base = source.runs[0].created_at
        self._by_id = {run.id: run for run in source.runs}
        self._children: dict[str, list[TracedRun]] = {}
        for run in source.runs[1:]:
            self._children.setdefault(run.parent_id or "", []).append(run)
        self._placed: set[str] = set()

    def emit(self, draft: _Draft) -> None:
        """Add a span, and what is below it by time."""
        self.built.spans.append(draft.span)
        for below in sorted(draft.below, key=_start):
            self.emit(below)

    def run(self, run: TracedRun, parent: str | None) -> _Draft:
        """A run's span, with everything below it."""
        own = span_id(run.id, RUN_SPAN)
        below, end = self._contents(run, own)
        start = self._at(run.created_at)
        if run.status not in FINISHED:
            end = None
        elif end is None:
            end = self._at(run.completed_at or run.created_at)

        span = Span(
            id=own,
            parent_id=parent,
            kind="run",
            name=run.service_id or "run",
            start_ms=rounded(start),
            duration_ms=duration_of(start, end),
            status=status_of(failed=run.status != "succeeded", is_open=run.status not in FINISHED),
            http_status=run.response_status,
            run_id=run.id,
            note=_error(run),
        )
        return _Draft(span, below)

    def _contents(self, run: TracedRun, parent: str) -> tuple[list[_Draft], float | None]:
        """(everything below a run's span, the end of its last attempt)."""
        self._placed.add(run.id)
        traces = {trace.number: trace for trace in self._source.attempts.get(run.id, ())}
        # A call of a library service has no version, no queue and no sandbox.
        is_service = run.version is None
        drafts: list[_Draft] = []
        free_from = self._at(run.created_at)
        end: float | None = None

        for entry in run.attempts:
            window = window_of(run, entry, traces.get(entry["number"]), self._base)
            if not is_service:
                drafts.append(_queue(run, entry["number"], parent, free_from, window.start))
            drafts += self._attempt(window, parent, several=len(run.attempts) > 1)
            end = window.end
            free_from = window.start if end is None else end
            self._note_lacks(window)

        if run.status == "queued":
            drafts.append(_queue(run, len(run.attempts) + 1, parent, free_from, None))
        elif not run.attempts and not is_service:
            drafts.append(_queue(run, 1, parent, free_from, self._at(run.completed_at or run.created_at)))
        if not any(trace.recorded for trace in traces.values()):
            self._note_unrecorded(run)

        drafts += [self.run(child, parent) for child in self._unplaced(run)]
        return drafts, end

    def _at(self, micros: int) -> float:
        return max((micros - self._base) / _MS, 0.0)

    def _unplaced(self, run: TracedRun) -> Iterable[TracedRun]:
        """Runs that this one started by no recorded call."""
        # Asked one by one: a run may be placed below another meanwhile.
        return (child for child in self._children.get(run.id, ()) if child.id not in self._placed)

    def _attempt(self, window: AttemptWindow, parent: str, *, several: bool) -> list[_Draft]:
        """The contents of an attempt, below a span of its own where there are several."""
        above = window.span_id("attempt") if several else parent
        spans = [
            *phase_spans(window, above),
            *step_spans(window, above),
            *connection_spans(window, above),
        ]
        below = [_Draft(span, []) for span in spans]
        if window.trace is not None:
            below += [self._call(window, call, above) for call in window.trace.calls]
        if not several:
            return below

        outcome = window.entry["outcome"]
        span = Span(
            id=above,
            parent_id=parent,
            kind="attempt",
            name=f"attempt {window.number}",
            start_ms=rounded(window.start),
            duration_ms=duration_of(window.start, window.end),
            status=status_of(failed=outcome != "succeeded", is_open=window.end is None),
            note=outcome,
        )
        return [_Draft(span, below)]

    def _call(self, window: AttemptWindow, call: CallTrace, parent: str) -> _Draft:
        """A call, with the run that it started."""
        span = call_span(window, call, parent)
        child = self._by_id.get(call.run_id)
        if child is None:
            if call.run_id and span.kind in {"service", "workflow"} and span.note is None:
                span = span.model_copy(update={"note": _GONE})
            return _Draft(span, [])
        if child.id in self._placed:
            # A repeated call got the response of the first one.
            return _Draft(span, [])

        changes: dict[str, object] = {"kind": "service" if child.version is None else "workflow"}
        if starts_in_background(call):
            below = [self.run(child, span.id)]
        else:
            # The call and the run are one span: both have the same times.
            below, _ = self._contents(child, span.id)
            changes["note"] = span.note or _error(child)
        return _Draft(span.model_copy(update=changes), below)

    def _note_lacks(self, window: AttemptWindow) -> None:
        run = window.run
        if run is self._source.runs[0]:
            self.built.windows.append(window)
        if window.clock_set:
            self._lacks(run, "the clock was set during it, so its steps and log lines are placed roughly")
        if window.trace is not None and window.trace.truncated:
            self._lacks(run, f"the requests that are shown end early: {window.trace.truncated}")

    def _note_unrecorded(self, run: TracedRun) -> None:
        if run.status not in FINISHED and run.attempts and run.id not in self._source.live:
            self._lacks(run, "what it sends is seen once it has ended: another process carries it out")
        egress = run.usage.get("egress")
        if isinstance(egress, dict) and egress.get("reached"):
            self._lacks(run, "what it sent was not recorded")

    def _lacks(self, run: TracedRun, why: str) -> None:
        if run is not self._source.runs[0]:
            why = f"run {run.id}: {why}"
        if why not in self.built.incomplete:
            self.built.incomplete.append(why)


def _start(draft: _Draft) -> float:
    return draft.span.start_ms


def _queue(run: TracedRun, number: int, parent: str, since: float, until: float | None) -> _Draft:
    span = Span(
        id=span_id(run.id, f"queue {number}"),
        parent_id=parent,
        kind="queue",
        name="queue" if number == 1 else f"queue, attempt {number}",
        start_ms=rounded(since),
        duration_ms=duration_of(since, until),
        status=status_of(failed=False, is_open=until is None),
    )
    return _Draft(span, [])


def _error(run: TracedRun) -> str | None:
    code = run.error and run.error.get("code")
    if isinstance(code, str) and code:
        return code
    return None
