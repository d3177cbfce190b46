"""The span of the request or message that goes on, where spans are exported.

Runs and model calls that it makes belong to it. Nothing is set where nothing is exported, and nothing of OpenTelemetry
is loaded then.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Final

from codewords_mcp.runtime.recording.trace_context import TraceContext

AMBIENT: ContextVar[TraceContext | None] = ContextVar("trace", default=None)
_SCOPE: Final = "codewords_mcp.deploys"


@contextmanager
def ambient(context: TraceContext) -> Generator[None]:
    """Let runs and calls that are made meanwhile belong to this span."""
    token = AMBIENT.set(context)
    try:
        yield
    finally:
        AMBIENT.reset(token)


@contextmanager
def part_span(name: str) -> Generator[None]:
    """A span of a part of the current request's work, below the request's own; nothing where none is exported."""
    if AMBIENT.get() is None:
        yield
        return
    from opentelemetry.trace import StatusCode, get_tracer

    # Not the SDK's own record of an error: its message can hold words of a workflow.
    with (
        get_tracer(_SCOPE).start_as_current_span(
            name, record_exception=False, set_status_on_exception=False
        ) as span,
        ExitStack() as failed,
    ):
        failed.callback(span.set_status, StatusCode.ERROR)
        yield
        failed.pop_all()
