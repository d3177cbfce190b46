"""Spans of requests, MCP messages and deploys at a collector: in their callers' traces, with the runs below them."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import httpx
import pytest
from tests.support.otlp_collector import Collector, attributes
from tests.support.runtime import ECHO, make_home, workflow
from tests.support.served_runtime import ServedRuntime, start_runtime
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

pytestmark = pytest.mark.slow
TRACES = [f"{number:032x}" for number in range(0xA0, 0xB0)]
CALLER = "b7ad6b7169203331"
TOKEN = "a-one-time-token-that-nobody-else-may-see"
TALK = workflow(
    """
from fastapi import WebSocket

@app.websocket("/ws")
async def talk(socket: WebSocket):
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)
""",
    title="Talking",
)
_NUMBERS = itertools.count(1)
_META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def parent(trace: str, *, sampled: bool = True) -> str:
    return f"00-{trace}-{CALLER}-{int(sampled):02x}"


def call_tool(http: httpx.Client, name: str, arguments: dict[str, Any], **meta: Any) -> httpx.Response:
    message = {
        "jsonrpc": "2.0", "id": next(_NUMBERS), "method": "tools/call",
        "params": {"name": name, "arguments": arguments, "_meta": _META | meta},
    }  # fmt: skip
    headers = {
        "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call",
        "Mcp-Name": name,
    }  # fmt: skip
    return http.post("/mcp", json=message, headers=headers)


def talk(served: ServedRuntime, service_id: str, trace: str) -> None:
    """Send a message to a workflow's websocket, and get it back."""
    url = f"{served.url.replace('http', 'ws', 1)}/run/{service_id}/ws"
    headers = {"Authorization": served.key, "traceparent": parent(trace)}
    with connect(url, additional_headers=headers, proxy=None) as socket:
        socket.send("hello")
        assert socket.recv(60) == "hello"


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Collector:
    """The spans of a runtime that has ended since."""
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever)
    thread.start()
    with (
        start_runtime(
            make_home(tmp_path_factory.mktemp("traced")), OTEL_EXPORTER_OTLP_ENDPOINT=collector.url
        ) as served,
        httpx.Client(
            base_url=served.url, headers={"Authorization": served.key}, timeout=300, trust_env=False
        ) as http,
    ):
        deployed = http.post(
            "/deploy",
            json={"code": ECHO, "name": "Traced", "allow": True},
            headers={"traceparent": parent(TRACES[0])},
        )
        service_id = deployed.json()["service_id"]
        http.post(
            f"/run/{service_id}/", json={"a": 1}, headers={"traceparent": parent(TRACES[1])}
        ).raise_for_status()
        http.post(f"/run/{service_id}/", json={"a": 2}).raise_for_status()
        unsampled = {"traceparent": parent(TRACES[2], sampled=False)}
        http.post(f"/run/{service_id}/", json={"a": 3}, headers=unsampled).raise_for_status()
        arguments = {"workflow_id": service_id, "input": {"a": 4}}
        call_tool(http, "run_workflow", arguments, traceparent=parent(TRACES[3])).raise_for_status()
        call_tool(http, "run_workflow", arguments).raise_for_status()
        talking = http.post("/deploy", json={"code": TALK, "name": "Talking", "allow": True}).json()[
            "service_id"
        ]
        talk(served, talking, TRACES[4])
        with pytest.raises(InvalidStatus):
            talk(served, "nothing_00000000", TRACES[5])
        http.get(f"/login/{TOKEN}")
        http.get("/runs", headers={"Authorization": "Bearer wrong"})
        http.get("/healthz").raise_for_status()
    collector.server.shutdown()
    collector.server.server_close()
    thread.join(30)
    return collector


def in_trace(collected: Collector, scope: str, trace: str) -> list[Any]:
    return [span for span in collected.spans(scope) if span.trace_id.hex() == trace]


@pytest.mark.requirement("trace:requests")
def test_a_deploy_is_a_span_with_its_parts_in_the_callers_trace(collected: Collector) -> None:
    [request] = in_trace(collected, "codewords_mcp.http", TRACES[0])
    assert (request.name, request.kind, request.parent_span_id.hex()) == ("POST /deploy", 2, CALLER)
    assert attributes(request)["http.response.status_code"] == 200
    parts = {span.name: span for span in in_trace(collected, "codewords_mcp.deploys", TRACES[0])}
    assert {"deploy", "check parse", "check environment", "check boot", "activate"} <= parts.keys()
    assert parts["deploy"].parent_span_id == request.span_id
    assert parts["activate"].parent_span_id == parts["check"].parent_span_id == parts["deploy"].span_id
    assert parts["check boot"].parent_span_id == parts["check"].span_id


@pytest.mark.requirement("trace:requests")
def test_a_run_is_below_its_request_in_the_callers_trace_or_one_of_its_own(collected: Collector) -> None:
    [request] = in_trace(collected, "codewords_mcp.http", TRACES[1])
    [run] = [
        span
        for span in in_trace(collected, "codewords_mcp.runs", TRACES[1])
        if attributes(span)["codewords.kind"] == "run"
    ]
    assert request.parent_span_id.hex() == CALLER
    assert run.parent_span_id == request.span_id
    assert request.name == "POST /run/{service_id}/{path}"

    spans = {span.span_id: span for span in collected.spans("codewords_mcp.http")}
    runs = [
        span for span in collected.spans("codewords_mcp.runs") if attributes(span)["codewords.kind"] == "run"
    ]
    own = [
        run for run in runs if run.parent_span_id in spans and not spans[run.parent_span_id].parent_span_id
    ]
    assert len(own) == 1
    assert spans[own[0].parent_span_id].trace_id == own[0].trace_id


@pytest.mark.requirement("trace:requests")
def test_a_websocket_is_a_span_of_its_handshake_with_its_run_below_it(collected: Collector) -> None:
    [accepted] = in_trace(collected, "codewords_mcp.http", TRACES[4])
    assert (accepted.name, accepted.parent_span_id.hex()) == ("GET /run/{service_id}/{path}", CALLER)
    assert attributes(accepted)["http.response.status_code"] == 101
    [run] = [
        span
        for span in in_trace(collected, "codewords_mcp.runs", TRACES[4])
        if attributes(span)["codewords.kind"] == "run"
    ]
    assert run.parent_span_id == accepted.span_id
    [refused] = in_trace(collected, "codewords_mcp.http", TRACES[5])
    assert attributes(refused)["http.response.status_code"] == 404


@pytest.mark.requirement("trace:requests")
def test_a_caller_that_is_not_sampled_gets_no_spans(collected: Collector) -> None:
    for scope in ("codewords_mcp.http", "codewords_mcp.runs"):
        assert in_trace(collected, scope, TRACES[2]) == []


@pytest.mark.requirement("trace:mcp")
def test_the_sdks_span_of_a_message_joins_the_trace_of_its_meta_and_its_run_is_below_it(
    collected: Collector,
) -> None:
    [message] = in_trace(collected, "mcp-python-sdk", TRACES[3])
    assert (message.name, message.parent_span_id.hex()) == ("tools/call run_workflow", CALLER)
    [run] = [
        span
        for span in in_trace(collected, "codewords_mcp.runs", TRACES[3])
        if attributes(span)["codewords.kind"] == "run"
    ]
    assert run.parent_span_id == message.span_id


@pytest.mark.requirement("trace:mcp")
def test_a_message_without_a_trace_is_below_its_request(collected: Collector) -> None:
    requests = {span.span_id: span for span in collected.spans("codewords_mcp.http")}
    messages = [span for span in collected.spans("mcp-python-sdk") if span.trace_id.hex() != TRACES[3]]
    [message] = [span for span in messages if span.name == "tools/call run_workflow"]
    assert requests[message.parent_span_id].name == "POST /mcp"


@pytest.mark.requirement("trace:requests")
def test_spans_are_named_by_routes_and_hold_no_address(collected: Collector) -> None:
    spans = collected.spans("codewords_mcp.http")
    names = [span.name for span in spans]
    assert "GET /healthz" not in names
    assert not any(TOKEN.encode() in body for _, body in collected.bodies)
    refused = [span for span in spans if attributes(span).get("http.response.status_code") == 401]
    assert len(refused) == 1
    assert refused[0].status.code != 2
