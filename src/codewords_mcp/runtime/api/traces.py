"""Traces of runs."""

from __future__ import annotations

from typing import Final

from codewords_mcp.errors import NotFound
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.run import LogLine, Run
from codewords_mcp.runtime.model.trace import RunTrace, TraceLine
from codewords_mcp.runtime.recording.attempt_spans import rounded
from codewords_mcp.runtime.recording.trace import RunSpans, build_spans
from codewords_mcp.runtime.recording.trace_context import context_of_run
from codewords_mcp.runtime.runs.run_traces import MAX_RUNS, FoundTrace
from codewords_mcp.runtime.store.clock import from_text, now

DEFAULT_DEPTH: Final = 3
"""Calls below a run that its trace follows."""
MAX_DEPTH: Final = 8
DEFAULT_LINES: Final = 100
MAX_LINES: Final = 2000
"""Log lines in a trace, the last ones."""


class TraceApi:
    """Traces of runs, finished or not."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def get(
        self, caller: Caller, run_id: str, *, depth: int = DEFAULT_DEPTH, log_lines: int = DEFAULT_LINES
    ) -> RunTrace:
        """Return the timeline of a run, of the runs below it to a depth, and its last log lines.

        A run's key reads the trace of that run and of its descendants. Raises NotFound.
        """
        dispatcher = self._container.dispatcher
        run = await dispatcher.get(caller, run_id)
        found = await dispatcher.traces.find(run.owner, run.id, depth=min(max(depth, 0), MAX_DEPTH))
        if found is None:
            raise NotFound("The run was deleted meanwhile.", remedy=Remedy(RemedyAction.LIST_RUNS))

        lines = await dispatcher.tail(caller, run.id, min(max(log_lines, 0), MAX_LINES))
        run = (await self._container.gateway.ledger.with_costs([run]))[0]
        return _trace(run, found, lines)


def _trace(run: Run, found: FoundTrace, lines: list[LogLine]) -> RunTrace:
    built = build_spans(found.source)
    base = found.source.runs[0].created_at
    incomplete = list(built.incomplete)
    if found.cut:
        incomplete.append(f"it started more runs than the {MAX_RUNS} that are shown")

    logs = [
        TraceLine(
            at_ms=_line_at(from_text(line.created_at), built, base),
            stream=line.stream,
            message=line.message,
        )
        for line in lines
    ]
    return RunTrace(
        run_id=run.id,
        workflow_id=run.service_id,
        version=run.version,
        status=run.status,
        mode=run.mode,
        created_at=run.created_at,
        duration_ms=_duration(run, built, base),
        trace_id=context_of_run(run.id, found.source.runs[0].trace_parent).trace_id,
        cost_usd=run.usage.get("cost"),
        spans=built.spans,
        logs=logs,
        log_lines=max(found.log_lines, len(logs)),
        incomplete=incomplete,
    )


def _line_at(micros: int, built: RunSpans, base: int) -> float:
    """The time of a log line, within its attempt where the clock was set."""
    for window in built.windows:
        if window.clock_set:
            return rounded(window.within(micros))
    return rounded(max((micros - base) / 1000, 0.0))


def _duration(run: Run, built: RunSpans, base: int) -> float:
    if run.completed_at is None:
        return rounded(max((now() - base) / 1000, built.end_ms))
    return rounded(built.spans[0].duration_ms or 0.0)
