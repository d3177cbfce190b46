"""Spans and metrics of model calls by OpenTelemetry's GenAI conventions, exported by OTLP over HTTP.

Off unless the standard OTEL_* variables name where to, and the extra `otel` is installed; imported only then. Prompts and
replies are in it only where a workflow's header (`trace_content`) or the variable of GenAI instrumentations asks for them.
All calls of a run, and of the runs that it started, are one trace unless a caller names another. The conventions are still in
development, so their names are written here, not imported:
https://github.com/open-telemetry/semantic-conventions-genai
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import structlog

from codewords_mcp import __version__
from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.content import content_of, finish_reasons
from codewords_mcp.runtime.gateway.providers import Flavor
from codewords_mcp.runtime.gateway.tap import Reading
from codewords_mcp.runtime.gateway.usage import Json
from codewords_mcp.runtime.model.provider import Provider

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

    from codewords_mcp.runtime.gateway.exchange import ProviderCall

log = structlog.get_logger(__name__)
CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""The variable by which instrumentations of GenAI are told to tell prompts and replies."""
_WHERE = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_{}_ENDPOINT")
_SYSTEMS: dict[Provider, str] = {"openai": "openai", "anthropic": "anthropic", "gemini": "gcp.gemini"}
_OPERATIONS: dict[Flavor, str] = {
    "chat": "chat", "responses": "chat", "messages": "chat", "completions": "text_completion",
    "generate": "generate_content", "embeddings": "embeddings", "embed": "embeddings",
}  # fmt: skip
_ASKED = {
    "max_tokens": "gen_ai.request.max_tokens", "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens", "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p", "top_k": "gen_ai.request.top_k", "seed": "gen_ai.request.seed",
    "frequency_penalty": "gen_ai.request.frequency_penalty", "presence_penalty": "gen_ai.request.presence_penalty",
    "maxOutputTokens": "gen_ai.request.max_tokens", "topP": "gen_ai.request.top_p", "topK": "gen_ai.request.top_k",
}  # fmt: skip
_USED = {
    "input_tokens": "gen_ai.usage.input_tokens", "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "output_reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}  # fmt: skip
# As the conventions advise: powers of four, and of two.
_TOKEN_BUCKETS = [4**n for n in range(14)]
_SECOND_BUCKETS = [0.01 * 2**n for n in range(14)]
_CLOSING = 5_000
"""Milliseconds that the end of the runtime waits for what is not exported yet."""


class TracedCall:
    """One call as it is watched: a `Watcher` whose call becomes a span and counts in the metrics."""

    def __init__(self, telemetry: Telemetry, context: Any, *, content: bool) -> None:
        self._telemetry = telemetry
        self.content = content
        self.context = context
        self._began = time.time_ns()
        self._first = 0

    def answering(self) -> None:
        """The first piece has come."""
        self._first = time.time_ns()

    def ended(self, call: ProviderCall, reading: Reading) -> None:
        """It is settled."""
        self._telemetry.tell(call, reading, self, (self._began, self._first, time.time_ns()))


class Telemetry:
    """Where spans and metrics go. Blocking to make; `close` blocks too, for a while."""

    def __init__(self, signals: tuple[str, ...], bases: Mapping[Provider, str]) -> None:
        from opentelemetry.propagate import extract
        from opentelemetry.sdk.resources import Resource

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
        if self._spans is not None:
            self._tracer = self._spans.get_tracer("codewords_mcp.gateway", __version__)
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

    def watch(self, headers: list[tuple[bytes, bytes]], origin: CallAttribution) -> TracedCall:
        """A call begins; its span belongs to the trace that the caller's `traceparent` names, else to its run's."""
        carried = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in headers
            if name in {b"traceparent", b"tracestate"}
        }
        wish = origin.rules.trace_content
        context = self._extract(carried) if carried else None
        return TracedCall(self, context, content=self._content if wish is None else wish)

    def tell(
        self, call: ProviderCall, reading: Reading, watched: TracedCall, times: tuple[int, int, int]
    ) -> None:
        """A call has ended. `times` are nanoseconds since 1970: its begin, its first piece (0 for none), its end."""
        began, first, ended = times
        common = _common(call, reading) | self._servers.get(call.route.provider, {})
        if self._metrics is not None:
            self._measure(call, common, times)
        if self._spans is None:
            return

        from opentelemetry.trace import SpanKind, Status, StatusCode

        name = f"{common['gen_ai.operation.name']} {call.model}".strip()
        self._ids.next_trace = _trace_of(call.origin)
        span = self._tracer.start_span(name, watched.context, SpanKind.CLIENT, start_time=began)
        self._ids.next_trace = 0
        span.set_attributes(common | _details(call, reading))
        if watched.content and call.asked is not None and call.status < 300:
            span.set_attributes(content_of(call.route.flavor, call.asked.parsed, reading.body))
        if first and _is_stream(call):
            span.set_attribute("gen_ai.response.time_to_first_chunk", (first - began) / 1e9)
        if "error.type" in common:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)

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
        """Export what is left."""
        if self._spans is not None:
            self._spans.force_flush(_CLOSING)
            self._spans.shutdown()
        if self._metrics is not None:
            self._metrics.shutdown(_CLOSING)


def open_telemetry(bases: Mapping[Provider, str]) -> Telemetry | None:
    """What the environment asks for; None, with a word in the log where that is why, when nothing is to be exported."""
    signals = _signals()
    if not signals:
        return None

    try:
        return Telemetry(signals, bases)
    except ImportError:
        log.warning(
            "OTEL_* variables are set, but telemetry is not installed: from the clone or wheel, pip install '.[otel]'"
        )
    except ValueError as error:  # of a variable: calls of models must not fail for it
        log.warning("an OTEL_* variable is wrong, so there is no telemetry", reason=str(error))

    return None


def _signals() -> tuple[str, ...]:
    """Which of traces and metrics have an exporter, by the standard variables."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    wanted: list[str] = []
    for signal in ("traces", "metrics"):
        chosen = os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower()
        named = any(os.environ.get(name.format(signal.upper())) for name in _WHERE)
        if "otlp" in chosen.split(",") or (named and not chosen):
            wanted.append(signal)
    return tuple(wanted)


def _trace_ids() -> Any:
    """Gives spans without a parent the id in `next_trace`, where that is not 0."""
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class TraceIds(RandomIdGenerator):
        next_trace = 0

        def generate_trace_id(self) -> int:
            return self.next_trace or super().generate_trace_id()

    return TraceIds()


def _trace_of(origin: CallAttribution) -> int:
    """The id of the first run of the chain, which is as long and as random as a trace's; 0 for a call of no run."""
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
    """What spans and metrics both say: of few values each."""
    told: dict[str, Any] = {
        "gen_ai.operation.name": _OPERATIONS.get(call.route.flavor, call.route.flavor or "other"),
        "gen_ai.provider.name": _SYSTEMS[call.route.provider],
    }
    if call.model:
        told["gen_ai.request.model"] = call.instead_of or call.model
    if reading.model or call.instead_of:
        told["gen_ai.response.model"] = reading.model or call.model
    if call.failure or call.status >= 400:
        told["error.type"] = call.failure or str(call.status)
    return told


def _details(call: ProviderCall, reading: Reading) -> dict[str, Any]:
    """What spans say beside: what was asked for and used, why it ended, and whose call it was."""
    told: dict[str, Any] = {"codewords.owner": call.origin.owner}
    if call.asked is not None:
        config: Any = call.asked.parsed.get("generationConfig")
        given = call.asked.parsed | (cast("Json", config) if isinstance(config, dict) else {})
        for name, attribute in _ASKED.items():
            value: Any = given.get(name)
            if type(value) in {int, float}:
                told[attribute] = value

    if reasons := finish_reasons(reading.answer):
        told["gen_ai.response.finish_reasons"] = reasons
    name = reading.answer.get("id") or reading.answer.get("responseId")
    if isinstance(name, str):
        told["gen_ai.response.id"] = name
    if _is_stream(call):
        told["gen_ai.request.stream"] = True
    if call.origin.runs:
        told["codewords.run_id"] = call.origin.runs[0]
    if call.origin.services:
        told["gen_ai.workflow.name"] = call.origin.services[0]
    if call.repeated:
        told["codewords.retries"] = call.repeated
    used = call.used
    if used is not None:
        told |= {attribute: used.tokens[name] for name, attribute in _USED.items() if name in used.tokens}
        told |= {"codewords.estimated": used.estimated, "codewords.cached": used.cached}
        if used.cost is not None:
            told["codewords.cost_usd"] = used.cost

    return told


def _is_stream(call: ProviderCall) -> bool:
    return call.asked is not None and (
        call.asked.parsed.get("stream") is True or "stream" in call.route.path.rpartition(":")[2]
    )
