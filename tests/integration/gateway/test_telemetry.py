"""Telemetry reaches a collector that speaks OTLP, by the GenAI conventions; nothing of it without the variables."""

from __future__ import annotations

import json
import sys
import threading
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import pytest
from tests.integration.gateway.helpers import ASKING, CHAT, KEYS, MESSAGE, with_table
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.otlp_collector import Collector, attributes
from tests.support.runtime import HEADER, make_home, workflow

from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.rules import Rules
from codewords_mcp.runtime.gateway.telemetry import open_telemetry
from codewords_mcp.settings import Settings
from codewords_testing.providers import LoopbackProviders

pytestmark = pytest.mark.requirement("gateway:telemetry")
SECRET = "what nobody but the provider may read"
ASKED = CHAT | {"messages": [{"role": "user", "content": SECRET}], "temperature": 0.5}
ERRORS = ["400", "server_error", "cut_short"]
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER, UNSAMPLED = "b7ad6b7169203331", "1af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory, providers: LoopbackProviders) -> Collector:
    """What came of some calls of a runtime that has ended since."""
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever)
    thread.start()
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path_factory.mktemp("told")), "port": 0, "api_key": ADMIN_KEY,
            "openai_base_url": providers.url, "anthropic_base_url": providers.url, "gemini_base_url": providers.url,
        }
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", KEYS["openai"])
        patch.setenv("ANTHROPIC_API_KEY", KEYS["anthropic"])
        patch.setenv("GEMINI_API_KEY", KEYS["gemini"])
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        patch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=tests")
        with Door(settings) as door, door.client() as client:
            _call(client)
            _run(client)
    collector.server.shutdown()
    collector.server.server_close()
    thread.join(30)
    return collector


def _deploy(client: httpx.Client, name: str, more: str = "") -> str:
    code = workflow(ASKING, title=name).replace(HEADER.format(more=""), with_table(f"{more}# ///"))
    answer = client.post("/deploy", json={"code": code, "name": name, "allow": True}, timeout=300)
    assert answer.status_code == 200, answer.text
    return answer.json()["service_id"]


def _run(client: httpx.Client) -> None:
    """A workflow that lets its words be told calls the provider, and another one that does not."""
    open_one = _deploy(client, "Open", "# [tool.codewords]\n# trace_content = true\n")
    silent = _deploy(client, "Silent")
    chat = CHAT | {"messages": [{"role": "user", "content": "may be told"}], "stream": False}
    client.post(f"/run/{open_one}/", json={"chat": chat, "then": silent}).raise_for_status()
    # It fails without a call.
    joined = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
    assert client.post(f"/run/{silent}/", json={"calls": 0}, headers=joined).status_code == 500
    left = {"traceparent": f"00-{UNSAMPLED}-{CALLER}-00"}
    assert client.post(f"/run/{silent}/", json={"calls": 0}, headers=left).status_code == 500


def _call(client: httpx.Client) -> None:
    trace = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "x-codewords-cache": "60"}
    client.post("/openai/chat/completions", json=ASKED, headers=trace).raise_for_status()
    client.post("/openai/chat/completions", json=ASKED, headers=trace).raise_for_status()
    client.post("/openai/chat/completions", json=CHAT | {"stream": True}).raise_for_status()
    contents = {"contents": [{"parts": [{"text": SECRET}]}]}
    client.post("/gemini/v1/models/gemini-2.5-flash:generateContent", json=contents).raise_for_status()
    assert client.post("/openai/chat/completions", json=CHAT | {"model": "err-400"}).status_code == 400
    message = MESSAGE | {"model": "claude-sonnet-4-6-short", "stream": True}
    client.post("/anthropic/v1/messages", json=message).raise_for_status()
    broken = CHAT | {"model": "gpt-4o-mini-midstream", "stream": True}
    client.post("/openai/chat/completions", json=broken).raise_for_status()
    with suppress(httpx.RemoteProtocolError):
        client.post("/openai/chat/completions", json=broken | {"model": "gpt-4o-mini-cut"})
    responses = {"model": "gpt-4o-mini", "input": "hi", "stream": True}
    client.post("/openai/responses", json=responses).raise_for_status()


def test_each_call_is_a_span_of_its_callers_trace_with_what_it_asked_and_used(
    collected: Collector, providers: LoopbackProviders
) -> None:
    spans = collected.spans()
    assert [span.name for span in spans] == [
        "chat gpt-4o-mini", "chat gpt-4o-mini", "chat gpt-4o-mini", "generate_content gemini-2.5-flash", "chat err-400",
        "chat claude-sonnet-4-6-short", "chat gpt-4o-mini-midstream", "chat gpt-4o-mini-cut", "chat gpt-4o-mini",
        "chat gpt-4o-mini", "chat gpt-4o-mini",
    ]  # fmt: skip
    first, again, stream, gemini, failed, *_ = map(attributes, spans)
    assert spans[0].trace_id.hex() == spans[1].trace_id.hex() == TRACE
    requests = {span.span_id: span for span in collected.spans("codewords_mcp.http")}
    assert requests[spans[0].parent_span_id].parent_span_id.hex() == "b7ad6b7169203331"
    assert spans[2].trace_id.hex() != TRACE
    assert first["gen_ai.operation.name"] == "chat"
    assert first["gen_ai.provider.name"] == "openai"
    assert first["gen_ai.request.model"] == first["gen_ai.response.model"] == "gpt-4o-mini"
    assert (first["gen_ai.request.max_tokens"], first["gen_ai.request.temperature"]) == (100, 0.5)
    assert first["gen_ai.usage.output_tokens"] == 16
    assert first["gen_ai.usage.cache_read.input_tokens"] == 5
    assert first["gen_ai.usage.reasoning.output_tokens"] == 3
    assert (first["server.address"], first["server.port"]) == ("127.0.0.1", urlsplit(providers.url).port)
    assert first["codewords.cost_usd"] > 0
    assert (again["codewords.cached"], again["codewords.cost_usd"]) == (True, 0)
    assert stream["gen_ai.request.stream"] is True
    assert 0 < stream["gen_ai.response.time_to_first_chunk"] < 60
    assert gemini["gen_ai.provider.name"] == "gcp.gemini"
    assert failed["error.type"] == "400"
    assert spans[4].status.code == 2
    for span in spans:
        assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    told = collected.resources()[0]
    assert told["service.name"] == "codewords-mcp"
    assert told["deployment.environment.name"] == "tests"


def test_metrics_sum_tokens_and_durations(collected: Collector) -> None:
    metrics = collected.metrics()
    durations = metrics["gen_ai.client.operation.duration"].histogram.data_points
    assert sum(point.count for point in durations) == 11
    assert {attributes(point).get("error.type") for point in durations} == {None, *ERRORS}
    tokens: dict[str, int] = {}
    for point in metrics["gen_ai.client.token.usage"].histogram.data_points:
        kind = attributes(point)["gen_ai.token.type"]
        tokens[kind] = tokens.get(kind, 0) + int(point.sum)
    spans = [one for one in map(attributes, collected.spans()) if not one.get("codewords.cached")]
    for kind in ("input", "output"):
        assert tokens[kind] == sum(one.get(f"gen_ai.usage.{kind}_tokens", 0) for one in spans)
    firsts = metrics["gen_ai.client.operation.time_to_first_chunk"].histogram.data_points
    assert sum(point.count for point in firsts) == 5


def test_a_span_says_why_its_answer_ended_and_what_ended_it_early(collected: Collector) -> None:
    plain, _, stream, gemini, failed, short, broken, cut, responses, *_ = map(attributes, collected.spans())
    reasons = "gen_ai.response.finish_reasons"
    assert [one.get(reasons) for one in (plain, stream, gemini, short, responses)] == [
        ["stop"], ["stop"], ["STOP"], ["max_tokens"], ["completed"],
    ]  # fmt: skip
    assert plain["gen_ai.response.id"] == "chatcmpl-1"
    assert [one.get("error.type") for one in (failed, broken, cut)] == ERRORS
    assert [one["codewords.estimated"] for one in (stream, broken, cut)] == [False, True, True]


@pytest.mark.requirement("gateway:trace-content")
def test_calls_of_a_run_and_of_what_it_starts_are_one_trace_with_words_only_where_a_workflow_lets_them(
    collected: Collector,
) -> None:
    told, silent = collected.spans()[-2:]
    said, kept = attributes(told), attributes(silent)
    assert told.trace_id == silent.trace_id
    assert kept["codewords.run_id"] != said["codewords.run_id"]
    (asked,) = json.loads(said["gen_ai.input.messages"])
    assert asked == {"role": "user", "parts": [{"type": "text", "content": "may be told"}]}
    (answer,) = json.loads(said["gen_ai.output.messages"])
    assert answer["parts"][0]["content"].startswith("Hello from the stand")
    assert not [name for name in kept if "messages" in name]


@pytest.mark.requirement("trace:otlp")
def test_a_run_is_exported_with_its_phases_and_what_it_called(collected: Collector) -> None:
    spans = collected.spans("codewords_mcp.runs")
    requests = {span.span_id: span for span in collected.spans("codewords_mcp.http")}
    roots = [span for span in spans if attributes(span)["codewords.kind"] == "run"]
    (caller,) = [
        span
        for span in roots
        if (request := requests.get(span.parent_span_id)) is not None and not request.parent_span_id
    ]
    assert caller.trace_id == requests[caller.parent_span_id].trace_id
    assert caller.kind == 2
    mine = [span for span in spans if span.parent_span_id == caller.span_id]
    kinds = {attributes(span)["codewords.kind"] for span in mine}
    assert {"queue", "sandbox", "readiness", "program", "workflow", "run"} <= kinds
    assert "model" not in kinds
    for span in mine:
        assert span.trace_id == caller.trace_id
        assert caller.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano

    # Each model call is below the run that made it, in the same trace.
    (below,) = [span for span in mine if attributes(span)["codewords.kind"] == "run"]
    first, second = collected.spans()[-2:]
    assert (first.parent_span_id, second.parent_span_id) == (caller.span_id, below.span_id)
    (called,) = [span for span in mine if attributes(span)["codewords.kind"] == "workflow"]
    assert attributes(called)["codewords.run_id"] == attributes(below)["codewords.run_id"]
    assert attributes(called)["http.response.status_code"] == 200


@pytest.mark.requirement("trace:otlp", "trace:context")
def test_a_run_is_exported_into_the_trace_of_its_caller_unless_that_is_not_sampled(
    collected: Collector,
) -> None:
    spans = collected.spans("codewords_mcp.runs")
    requests = {
        span.span_id for span in collected.spans("codewords_mcp.http") if span.parent_span_id.hex() == CALLER
    }
    (joined,) = [span for span in spans if span.parent_span_id in requests]
    assert joined.trace_id.hex() == TRACE
    assert joined.status.code == 2
    assert attributes(joined)["http.response.status_code"] == 500
    assert attributes(joined)["codewords.status"] == "failed"
    assert not [span for span in spans if span.trace_id.hex() == UNSAMPLED]


@pytest.mark.parametrize(
    ("variable", "wish", "told"),
    [(None, None, False), ("true", None, True), ("true", False, False), ("span_only", None, True),
     ("no_content", True, True), ("", None, False)],
)  # fmt: skip
@pytest.mark.requirement("gateway:trace-content")
def test_a_workflows_word_on_content_comes_before_the_variable(
    variable: str | None, wish: bool | None, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    if variable is not None:
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", variable)
    telemetry = open_telemetry({})
    assert telemetry is not None
    assert (
        telemetry.observe([], CallAttribution("ada", "", rules=Rules(trace_content=wish))).captures_content
        is told
    )
    telemetry.close()


def test_nothing_of_a_prompt_or_a_reply_is_told(collected: Collector) -> None:
    everything = b"".join(body for _, body in collected.bodies)
    assert len(everything) > 1000
    assert SECRET.encode() not in everything
    assert everything.count(b"stand") == 1  # of the stand-in's words, in the one span that may have them


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "none",
        },
    ],
)
def test_without_the_variables_there_is_none(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert open_telemetry({}) is None


def test_a_variable_that_is_wrong_is_told_and_ends_no_call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "1")  # fewer than are exported at once
    assert open_telemetry({}) is None
    assert "invalid OTEL_* variable" in capsys.readouterr().out


def test_where_the_extra_is_not_installed_the_runtime_says_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    assert open_telemetry({}) is None
    assert "extra `otel`" in capsys.readouterr().out
