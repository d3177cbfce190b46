"""Spans and metrics of model calls by OpenTelemetry's GenAI conventions, and spans of runs, exported
by OTLP over HTTP.

Off unless the standard OTEL_* variables name an endpoint and the extra `otel` is installed;
imported only then. Prompts and replies are included only if a workflow's header (`trace_content`)
or the variable of GenAI instrumentations enables them. All calls of a run, and of the runs that it
started, are one trace unless a caller names another. The conventions are still in development, so
their names are written here, not imported:
https://github.com/open-telemetry/semantic-conventions-genai
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol
from urllib.parse import urlsplit

import structlog

from codewords_mcp import __version__
from codewords_mcp.common.json_parts import object_of
from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.content import content_of, finish_reasons
from codewords_mcp.runtime.gateway.named_providers import PRESETS
from codewords_mcp.runtime.gateway.providers import Flavor
from codewords_mcp.runtime.gateway.reading import Reading
from codewords_mcp.runtime.gateway.request_spans import RequestSpans
from codewords_mcp.runtime.model.provider import Provider
from codewords_mcp.runtime.recording.ambient_trace import AMBIENT
from codewords_mcp.runtime.recording.trace_context import TraceContext

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

    from codewords_mcp.runtime.gateway.exchange import ProviderCall

log = structlog.get_logger(__name__)
CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""Variable that tells GenAI instrumentations to include prompts and replies."""
_ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_{}_ENDPOINT")
_SYSTEMS: dict[Provider, str] = {"gemini": "gcp.gemini"} | {
    preset.name: preset.system for preset in PRESETS.values() if preset.system
}
"""Names by the conventions, where they differ from ours."""
_OPERATIONS: dict[Flavor, str] = {
    "chat": "chat", "responses": "chat", "messages": "chat", "completions": "text_completion",
    "generate": "generate_content", "embeddings": "embeddings", "embed": "embeddings",
}  # fmt: skip
_REQUEST_ATTRIBUTES = {
    "max_tokens": "gen_ai.request.max_tokens", "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens", "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p", "top_k": "gen_ai.request.top_k", "seed": "gen_ai.request.seed",
    "frequency_penalty": "gen_ai.request.frequency_penalty", "presence_penalty": "gen_ai.request.presence_penalty",
    "maxOutputTokens": "gen_ai.request.max_tokens", "topP": "gen_ai.request.top_p", "topK": "gen_ai.request.top_k",
}  # fmt: skip
_USAGE_ATTRIBUTES = {
    "input_tokens": "gen_ai.usage.input_tokens", "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "output_reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}  # fmt: skip
# As the conventions advise: powers of four, and of two.
_TOKEN_BUCKETS = [4**n for n in range(14)]
_SECOND_BUCKETS = [0.01 * 2**n for n in range(14)]
# Milliseconds that closing waits for pending exports.
_CLOSING = 5_000


class TraceIds(Protocol):
    """Generator of ids. `next_trace` and `next_span` are those of the next trace and span; 0 for random ones."""

    next_trace: int
    next_span: int


@dataclass(frozen=True, slots=True)
class ExportedSpan:
    """A span of a run as it is exported. Times are nanoseconds since 1970."""

    name: str
    context: TraceContext
    parent: TraceContext | None
    kind: Literal["SERVER", "CLIENT", "INTERNAL"]
    began: int
    ended: int
    attributes: dict[str, str | int | float | bool]
    failed: bool


class TracedCall:
    """A `CallObserver` that turns its call into a span and metrics."""

    def __init__(self, telemetry: Telemetry, context: Any, *, captures_content: bool) -> None:
        self._telemetry = telemetry
        self.captures_content = captures_content
        self.context = context
        self._began = time.time_ns()
        self._first = 0

    def on_first_chunk(self) -> None:
        """See `CallObserver`."""
        self._first = time.time_ns()

    def on_end(self, call: ProviderCall, reading: Reading) -> None:
        """See `CallObserver`."""
        self._telemetry.record_call(call, reading, self, (self._began, self._first, time.time_ns()))


class Telemetry:
    """Exporters of spans and metrics. Construction blocks; `close` blocks for up to `_CLOSING`."""

    def __init__(self, signals: tuple[str, ...], bases: Mapping[Provider, str]) -> None:
        from opentelemetry.propagate import extract
        from opentelemetry.sdk.resources import Resource

        # The SDK reads the variable itself, and an attribute that is given here would count more.
        if os.environ.get("OTEL_SERVICE_NAME"):
            named = {}
        else:
            named = {"service.name": "codewords-mcp"}

        resource = Resource.create(named | {"service.version": __version__})
        self._extract: Callable[[Mapping[str, str]], Any] = extract
        self._servers = {provider: _server(base) for provider, base in bases.items()}
        self._content = os.environ.get(CONTENT, "").strip().lower() in {"true", "span_only", "span_and_event"}
        self._ids = _trace_ids()
        self._spans: TracerProvider | None = _spans(resource, self._ids) if "traces" in signals else None
        self._metrics: MeterProvider | None = _metrics(resource) if "metrics" in signals else None
        self.requests: RequestSpans | None = None
        """Spans of requests to the runtime; None where no spans are exported."""
        if self._spans is not None:
            self.requests = RequestSpans(self._spans)
            self._tracer = self._spans.get_tracer("codewords_mcp.gateway", __version__)
            self._run_tracer = self._spans.get_tracer("codewords_mcp.runs", __version__)
        if self._metrics is not None:
            meter = self._metrics.get_meter("codewords_mcp.gateway", __version__)
            self._tokens = meter.create_histogram(
                "gen_ai.client.token.usage", "{token}", explicit_bucket_boundaries_advisory=_TOKEN_BUCKETS
            )
            self._duration = meter.create_histogram(
                "gen_ai.client.operation.duration", "s", explicit_bucket_boundaries_advisory=_SECOND_BUCKETS
            )
            self._first_chunk = meter.create_histogram(
                "gen_ai.client.operation.time_to_first_chunk",
                "s",
                explicit_bucket_boundaries_advisory=_SECOND_BUCKETS,
            )

    def observe(self, headers: list[tuple[bytes, bytes]], origin: CallAttribution) -> TracedCall:
        """Begin a call.

        Its span belongs to that of the request, to the span of the caller's `traceparent`, else to its run's.
        """
        carried = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in headers
            if name in {b"traceparent", b"tracestate"}
        }
        request = AMBIENT.get()
        if request is not None and not origin.runs:
            # The request's own span is below the one that its header names.
            carried["traceparent"] = request.header
        elif "traceparent" not in carried and origin.trace is not None:
            carried = {"traceparent": origin.trace.header}
        requested = origin.rules.trace_content
        context = self._extract(carried) if carried else None
        return TracedCall(self, context, captures_content=self._content if requested is None else requested)

    def record_call(
        self, call: ProviderCall, reading: Reading, observer: TracedCall, times: tuple[int, int, int]
    ) -> None:
        """Export a call that has ended.

        `times` are nanoseconds since 1970: its start, its first chunk (0 for none), its end.
        """
        began, first, ended = times
        common = _common(call, reading) | self._servers.get(call.route.provider, {})
        if self._metrics is not None:
            self._measure(call, common, times)
        if self._spans is None:
            return

        from opentelemetry.trace import SpanKind, Status, StatusCode

        name = f"{common['gen_ai.operation.name']} {call.model}".strip()
        self._ids.next_trace = _trace_of(call.origin)
        span = self._tracer.start_span(name, observer.context, SpanKind.CLIENT, start_time=began)
        # Reset at once: the generator is shared, and there is no await between both assignments.
        self._ids.next_trace = 0
        span.set_attributes(common | _details(call, reading))
        if observer.captures_content and call.facts is not None and call.status < 300:
            span.set_attributes(content_of(call.route.flavor, call.facts.parsed, reading.body))
        if first and _is_stream(call):
            span.set_attribute("gen_ai.response.time_to_first_chunk", (first - began) / 1e9)
        if "error.type" in common:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)

    def export(self, span: ExportedSpan) -> None:
        """Export a span of a run, with the ids that it has."""
        if self._spans is None:
            return

        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, Status, StatusCode

        context = Context()
        if span.parent is not None:
            context = self._extract({"traceparent": span.parent.header})

        self._ids.next_trace = int(span.context.trace_id, 16)
        self._ids.next_span = int(span.context.span_id, 16)
        exported = self._run_tracer.start_span(
            span.name, context, SpanKind[span.kind], span.attributes, start_time=span.began
        )
        # Reset at once, as above.
        self._ids.next_trace = self._ids.next_span = 0
        if span.failed:
            exported.set_status(Status(StatusCode.ERROR))
        exported.end(span.ended)

    def _measure(self, call: ProviderCall, common: dict[str, Any], times: tuple[int, int, int]) -> None:
        began, first, ended = times
        self._duration.record((ended - began) / 1e9, common)
        if first and _is_stream(call):
            self._first_chunk.record((first - began) / 1e9, common)
        if call.used is not None and not call.used.cached:
            for kind in ("input", "output"):
                count = call.used.tokens.get(f"{kind}_tokens", 0)
                self._tokens.record(count, common | {"gen_ai.token.type": kind})

    def close(self) -> None:
        """Export pending spans and metrics."""
        if self._spans is not None:
            self._spans.force_flush(_CLOSING)
            self._spans.shutdown()
        if self._metrics is not None:
            self._metrics.shutdown(_CLOSING)


def open_telemetry(bases: Mapping[Provider, str]) -> Telemetry | None:
    """Telemetry as the environment configures it; None if it is off.

    A wrong configuration is logged.
    """
    signals = exported_signals()
    if not signals:
        return None

    try:
        return Telemetry(signals, bases)
    except ImportError:
        log.warning(
            "telemetry not installed",
            hint="OTEL_* variables are set: install the extra `otel` of codewords-mcp",
        )
    except ValueError as error:
        # Model calls must not fail for a wrong variable.
        log.warning("telemetry off: invalid OTEL_* variable", reason=str(error))

    return None


def exported_signals() -> tuple[str, ...]:
    """The signals (traces, metrics) that have an exporter, by the standard variables."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    enabled: list[str] = []
    for signal in ("traces", "metrics"):
        chosen = os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower()
        named = any(os.environ.get(name.format(signal.upper())) for name in _ENDPOINT_VARIABLES)
        # The SDK's own default is to export; without a receiver that would only make errors.
        if "otlp" in chosen.split(",") or (named and not chosen):
            enabled.append(signal)
    return tuple(enabled)


def _trace_ids() -> TraceIds:
    """Generator of the ids in `next_trace`, for spans without a parent, and `next_span`, where they are not 0."""
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class RunTraceIds(RandomIdGenerator):
        next_trace = next_span = 0

        def generate_span_id(self) -> int:
            return self.next_span or super().generate_span_id()

        def generate_trace_id(self) -> int:
            return self.next_trace or super().generate_trace_id()

    return RunTraceIds()


def _trace_of(origin: CallAttribution) -> int:
    """Id of the chain's first run, as long and as random as a trace id; 0 for a call outside runs."""
    try:
        if origin.runs:
            return uuid.UUID(origin.runs[-1]).int
        return 0
    except ValueError:
        return 0


def _server(base: str) -> dict[str, Any]:
    parts = urlsplit(base)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname or "", "server.port": port}


def _spans(resource: Any, ids: Any) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # `close` ends it, in the runtime's own order.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False, id_generator=ids)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _metrics(resource: Any) -> MeterProvider:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    return MeterProvider([reader], resource, shutdown_on_exit=False)


def _common(call: ProviderCall, reading: Reading) -> dict[str, Any]:
    """Attributes of both spans and metrics, each of few distinct values."""
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": _OPERATIONS.get(call.route.flavor, call.route.flavor or "other"),
        "gen_ai.provider.name": _SYSTEMS.get(call.route.provider, call.route.provider),
    }
    if call.model:
        attributes["gen_ai.request.model"] = call.instead_of or call.model
    if reading.model or call.instead_of:
        attributes["gen_ai.response.model"] = reading.model or call.model
    if call.failure or call.status >= 400:
        attributes["error.type"] = call.failure or str(call.status)
    return attributes


def _details(call: ProviderCall, reading: Reading) -> dict[str, Any]:
    """Further attributes of spans: parameters, usage, finish reason, attribution."""
    attributes: dict[str, Any] = {"codewords.owner": call.origin.owner}
    if call.facts is not None:
        parameters = call.facts.parsed | object_of(call.facts.parsed.get("generationConfig"))
        for name, attribute in _REQUEST_ATTRIBUTES.items():
            value: Any = parameters.get(name)
            # Not isinstance: True is an int too.
            if type(value) in {int, float}:
                attributes[attribute] = value

    if reasons := finish_reasons(reading.response):
        attributes["gen_ai.response.finish_reasons"] = reasons
    name = reading.response.get("id") or reading.response.get("responseId")
    if isinstance(name, str):
        attributes["gen_ai.response.id"] = name
    if _is_stream(call):
        attributes["gen_ai.request.stream"] = True
    if call.origin.runs:
        attributes["codewords.run_id"] = call.origin.runs[0]
    if call.origin.services:
        attributes["gen_ai.workflow.name"] = call.origin.services[0]
    if call.retries:
        attributes["codewords.retries"] = call.retries
    used = call.used
    if used is not None:
        attributes |= {
            attribute: used.tokens[name]
            for name, attribute in _USAGE_ATTRIBUTES.items()
            if name in used.tokens
        }
        attributes |= {"codewords.estimated": used.estimated, "codewords.cached": used.cached}
        if used.cost is not None:
            attributes["codewords.cost_usd"] = used.cost

    return attributes


def _is_stream(call: ProviderCall) -> bool:
    return call.facts is not None and (
        call.facts.parsed.get("stream") is True or "stream" in call.route.path.rpartition(":")[2]
    )
