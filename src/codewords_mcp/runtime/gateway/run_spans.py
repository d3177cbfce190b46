"""Spans of runs for OpenTelemetry: the same that a run's trace shows, with the same ids.

Model calls that reached a provider are left out, since the gateway exports a span of each by the GenAI conventions. The runs
below a run export theirs themselves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Literal

from codewords_mcp.runtime.gateway.telemetry import ExportedSpan, Telemetry, exported_signals
from codewords_mcp.runtime.model.run import FINISHED
from codewords_mcp.runtime.model.trace import Span
from codewords_mcp.runtime.recording.trace import TraceSource, build_spans
from codewords_mcp.runtime.recording.trace_context import TraceContext, context_of_run, parse_trace_parent

if TYPE_CHECKING:
    from codewords_mcp.runtime.store.traces import TracedRun

_CALLS: Final = frozenset({"request", "model", "service", "workflow", "runtime", "connection"})
_NS_OF_MS: Final = 1_000_000
_NS_OF_US: Final = 1_000


def trace_exporter(
    telemetry: Callable[[], Awaitable[Telemetry | None]],
) -> Callable[[TraceSource], Awaitable[None]] | None:
    """Return what exports a run that has ended; None where spans are not exported."""
    # Decided once, so that runs cost nothing where nobody collects spans.
    if "traces" not in exported_signals():
        return None

    async def export(source: TraceSource) -> None:
        exporters = await telemetry()
        # A span is exported once, with its end: a run that will be tried again has none yet.
        if exporters is None or source.runs[0].status not in FINISHED:
            return
        for span in exported_spans(source):
            exporters.export(span)

    return export


def exported_spans(source: TraceSource) -> list[ExportedSpan]:
    """The spans of the first run of the source."""
    run = source.runs[0]
    context = context_of_run(run.id, run.trace_parent)
    caller = parse_trace_parent(run.trace_parent)
    return [
        _exported(span, run, context, caller)
        for span in build_spans(source).spans
        if span.kind != "model" or span.outcome != "sent"
    ]


def _exported(span: Span, run: TracedRun, context: TraceContext, caller: TraceContext | None) -> ExportedSpan:
    began = run.created_at * _NS_OF_US + round(span.start_ms * _NS_OF_MS)
    parent = caller
    if span.parent_id is not None:
        parent = TraceContext(context.trace_id, span.parent_id, context.sampled)

    kind: Literal["SERVER", "CLIENT", "INTERNAL"] = "INTERNAL"
    if span.kind == "run":
        kind = "SERVER"
    elif span.kind in _CALLS:
        kind = "CLIENT"
    attributes = _attributes(span)
    if span.kind == "run":
        attributes |= _of_run(run)
    return ExportedSpan(
        _name(span),
        TraceContext(context.trace_id, span.id, context.sampled),
        parent,
        kind,
        began,
        began + round((span.duration_ms or 0.0) * _NS_OF_MS),
        attributes,
        span.status == "error",
    )


def _name(span: Span) -> str:
    """The name without a path, so that it has few values."""
    if span.kind in {"request", "runtime", "service", "workflow"}:
        words = span.name.split("/", 1)[0].strip()
        return words or span.kind
    return span.name


def _attributes(span: Span) -> dict[str, str | int | float | bool]:
    found: dict[str, str | int | float | bool] = {"codewords.kind": span.kind}
    if span.kind == "request":
        method, _, target = span.name.partition(" ")
        address, slash, path = target.partition("/")
        host, _, port = address.partition(":")
        found |= {"http.request.method": method, "server.address": host, "url.path": slash + path}
        if port.isdecimal():
            found["server.port"] = int(port)
    elif span.kind == "connection":
        host, _, port = span.name.rpartition(":")
        found |= {"server.address": host, "server.port": int(port)}

    named = {
        "http.response.status_code": span.http_status,
        "http.request.body.size": span.sent_bytes,
        "http.response.body.size": span.received_bytes,
        "codewords.outcome": span.outcome,
        "codewords.run_id": span.run_id,
        "codewords.cost_usd": span.cost_usd,
    }
    return found | {name: value for name, value in named.items() if value is not None}


def _of_run(run: TracedRun) -> dict[str, str | int | float | bool]:
    named = {
        "codewords.owner": run.owner,
        "codewords.workflow_id": run.service_id,
        "codewords.workflow_version": run.version,
        "codewords.status": run.status,
        "codewords.mode": run.mode,
    }
    if run.status != "succeeded":
        named["error.type"] = str((run.error or {}).get("code") or run.status)
    return {name: value for name, value in named.items() if value is not None}
