"""A collector of OpenTelemetry on loopback, which keeps the spans and metrics that it is sent."""

from __future__ import annotations

import gzip
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """An OTLP/HTTP collector on loopback: keeps what it is sent."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        kept = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                kept.append((self.path, body))
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's name
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def spans(self, scope: str = "codewords_mcp.gateway") -> list[Any]:
        """The spans of one scope."""
        sent = [
            ExportTraceServiceRequest.FromString(body) for path, body in self.bodies if path == "/v1/traces"
        ]
        return [
            span
            for one in sent
            for resource in one.resource_spans
            for found in resource.scope_spans
            if found.scope.name == scope
            for span in found.spans
        ]

    def resources(self) -> list[dict[str, Any]]:
        sent = [
            ExportTraceServiceRequest.FromString(body) for path, body in self.bodies if path == "/v1/traces"
        ]
        return [attributes(r.resource) for one in sent for r in one.resource_spans]

    def metrics(self) -> dict[str, Any]:
        """The last word on each metric."""
        sent = [ExportMetricsServiceRequest.FromString(b) for path, b in self.bodies if path == "/v1/metrics"]
        return {
            m.name: m
            for one in sent
            for r in one.resource_metrics
            for scope in r.scope_metrics
            for m in scope.metrics
        }


def attributes(item: Any) -> dict[str, Any]:
    return {one.key: _plain(one.value) for one in item.attributes}


def _plain(value: Any) -> Any:
    kind = str(value.WhichOneof("value"))
    told = getattr(value, kind)
    return [_plain(one) for one in told.values] if kind == "array_value" else told
