"""A run's trace in few lines for a model: where the time went, and what was called."""

from __future__ import annotations

from codewords_mcp.mcp_server.text import one_line
from codewords_mcp.runtime.model.trace import RunTrace, Span

_MAX_CALLS = 6
_PHASES = ("queue", "sandbox", "readiness", "program", "response")
_CALLS = frozenset({"request", "model", "service", "workflow", "runtime", "connection"})
_SHOWN_MS = 1.0
"""Milliseconds below which a phase is not worth a word."""


def trace_lines(trace: RunTrace) -> list[str]:
    """The phases on one line, then the calls, those of one kind together, the longest first."""
    if not trace.spans:
        return []

    own = {trace.spans[0].id, *(span.id for span in trace.spans if span.kind == "attempt")}
    spans = [span for span in trace.spans if span.parent_id in own]
    groups: dict[tuple[str, str], list[Span]] = {}
    for span in spans:
        if span.kind in _CALLS:
            groups.setdefault((span.kind, span.name), []).append(span)

    longest = sorted(groups.values(), key=_total, reverse=True)
    lines = [_call_line(group) for group in longest[:_MAX_CALLS]]
    if len(longest) > _MAX_CALLS:
        lines.append(f"{len(longest) - _MAX_CALLS} others")
    if phases := _phases(spans):
        lines.insert(0, phases)
    return lines + [f"not complete: {one_line(why, 200)}" for why in trace.incomplete[:2]]


def _phases(spans: list[Span]) -> str:
    lasted = {
        phase: sum(span.duration_ms or 0.0 for span in spans if span.kind == phase) for phase in _PHASES
    }
    return ", ".join(f"{phase} {ms:.0f} ms" for phase, ms in lasted.items() if ms >= _SHOWN_MS)


def _call_line(group: list[Span]) -> str:
    first = group[0]
    times = f"{len(group)} x " if len(group) > 1 else ""
    facts: list[str] = [f"{_total(group):.0f} ms"]
    facts += dict.fromkeys(str(span.http_status) for span in group if span.http_status)
    facts += dict.fromkeys(_outcome(span) for span in group if span.outcome and span.outcome != "sent")
    tokens = sum((span.input_tokens or 0) + (span.output_tokens or 0) for span in group)
    cost = sum(span.cost_usd or 0.0 for span in group)
    if tokens:
        facts.append(f"{tokens} tokens")
    if cost:
        facts.append(f"{cost:.4g} USD")
    if any(span.status == "open" for span in group):
        facts.append("goes on")
    return f"{times}{first.kind} {one_line(first.name, 100)}: {', '.join(facts)}"


def _outcome(span: Span) -> str:
    """The outcome of a call that was not sent, with the reason where one is known."""
    if span.note and span.outcome in {"blocked", "unsent"}:
        return f"{span.outcome} ({one_line(span.note, 80)})"
    return str(span.outcome)


def _total(group: list[Span]) -> float:
    return sum(span.duration_ms or 0.0 for span in group)
