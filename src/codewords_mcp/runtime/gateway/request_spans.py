"""Spans of requests to the runtime, by OpenTelemetry's conventions for HTTP servers, and those of the MCP SDK below them."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from codewords_mcp import __version__
from codewords_mcp.runtime.recording.ambient_trace import ambient
from codewords_mcp.runtime.recording.trace_context import TraceContext

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

_CARRIED: Final = frozenset({b"traceparent", b"tracestate"})


class RequestSpan:
    """A span of a request that goes on."""

    def __init__(self, span: Span, method: str) -> None:
        self._span = span
        self._method = method

    def finish(self, route: str, status: int) -> None:
        """Name the span by its route, which is no address: paths can hold one-time tokens. `status` 0: none was sent."""
        from opentelemetry.trace import StatusCode

        if route:
            self._span.update_name(f"{self._method} {route}")
            self._span.set_attribute("http.route", route)
        if status:
            self._span.set_attribute("http.response.status_code", status)
        if not status or status >= 500:
            self._span.set_attribute("error.type", str(status or "interrupted"))
            self._span.set_status(StatusCode.ERROR)


class RequestSpans:
    """Makes spans of requests. Its provider becomes that of the process, so that spans of libraries are exported too."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry import trace

        self._tracer = provider.get_tracer("codewords_mcp.http", __version__)
        # The SDK of MCP asks for the provider of the process. One that somebody else set is theirs.
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            trace.set_tracer_provider(provider)

    @contextmanager
    def request(self, method: str, headers: Iterable[tuple[bytes, bytes]]) -> Generator[RequestSpan]:
        """Begin the span of a request, below the one that its headers name. Call `finish` before it ends."""
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind

        carried = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in headers if name in _CARRIED
        }
        attributes: dict[str, Any] = {"http.request.method": method}
        made = self._tracer.start_as_current_span(
            method,
            extract(carried) if carried else None,
            SpanKind.SERVER,
            attributes,
            record_exception=False,
            set_status_on_exception=False,
        )
        with made as span, ambient(context_of(span)):
            yield RequestSpan(span, method)


def context_of(span: Span) -> TraceContext:
    """The context of a span of the SDK."""
    found = span.get_span_context()
    return TraceContext(f"{found.trace_id:032x}", f"{found.span_id:016x}", found.trace_flags.sampled)


@contextmanager
def current_as_ambient() -> Generator[None]:
    """Let runs belong to the span that a library has made, such as the one of an MCP message."""
    from opentelemetry.trace import get_current_span

    span = get_current_span()
    if not span.get_span_context().is_valid:
        yield
        return
    with ambient(context_of(span)):
        yield
