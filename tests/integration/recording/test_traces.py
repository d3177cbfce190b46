"""A run's trace: what it did, in time, of workflows that know nothing of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.recording.helpers import RecordingGround, calling, recording_ground
from tests.integration.runtime.helpers import deployed
from tests.support.runtime import ADMIN, fetch, finished, request, workflow
from tests.support.waiting import until_async

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.egress import HOST_ALIAS
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.trace import RunTrace, Span
from codewords_mcp.runtime.recording.trace_context import span_id
from codewords_testing.providers import loopback_providers

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
KEY = "sk-real-openai-key"
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "words that stay private"}]}
CONTEXT = """
import os

@app.post("/")
async def answer(request: Request):
    print("STEPLOG START look")
    return {
        "traceparent": request.headers["traceparent"],
        "state": request.headers.get("tracestate"),
        "variable": os.environ.get("TRACEPARENT"),
    }
"""
WAITING = """
import asyncio, os, httpx

@app.post("/")
async def wait(request: Request):
    asked = await request.json()
    own = request.headers["x-request-id"]
    base, key = os.environ["CODEWORDS_RUNTIME_URI"], {"Authorization": os.environ["CODEWORDS_API_KEY"]}
    async with httpx.AsyncClient(base_url=base, headers=key, timeout=30) as client:
        for run in (own, asked["other"]):
            found = await client.get(f"/runs/{run}/trace")
            print("trace", run == own, found.status_code, flush=True)
    await asyncio.sleep(120)
"""
FLOOD = """
@app.post("/")
async def flood():
    print("\\n".join(f"line {number}" for number in range(10_000)))
"""


@pytest.fixture(scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RecordingGround]:
    with pytest.MonkeyPatch.context() as monkeypatch, loopback_providers({"openai": KEY}) as providers:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        settings: dict[str, Any] = {"openai_base_url": providers.url}
        async with recording_ground(tmp_path_factory.mktemp("traces"), monkeypatch, **settings) as opened:
            yield opened


async def trace_of(ground: RecordingGround, run_id: str, caller: Caller = ADMIN) -> RunTrace:
    return await ground.runtime.traces.get(caller, run_id)


def outline(trace: RunTrace) -> list[str]:
    depth: dict[str | None, int] = {None: -1}
    lines: list[str] = []
    for span in trace.spans:
        depth[span.id] = depth[span.parent_id] + 1
        lines.append(f"{'  ' * depth[span.id]}{span.kind} {span.name}")
    return lines


def spans(trace: RunTrace, kind: str) -> list[Span]:
    return [span for span in trace.spans if span.kind == kind]


@pytest.mark.requirement("trace:spans", "trace:private")
async def test_a_run_that_calls_everything_is_seen_whole(ground: RecordingGround) -> None:
    child = await deployed(ground.runtime, workflow(CONTEXT, title="Child"))
    tool = f'services = ["{child}", "files", "openai"]\nhosts = ["{HOST_ALIAS}"]'
    service = await deployed(ground.runtime, calling(tool, title="Traced"))
    status, answer, run_id = await ground.run(
        service,
        ["GET", f"{ground.url}/read?token=hidden", None],
        ["POST", f"/run/{child}/", {"hidden": "input"}],
        ["POST", "/openai/chat/completions", CHAT],
        ["POST", "/run/files/list", {}],
    )
    assert status == 200, answer
    trace = await trace_of(ground, run_id)
    phases = ["queue queue", "sandbox sandbox", "readiness readiness", "program program"]
    # Where a step stands is a matter of when its line came through the pipe.
    drawn = [line for line in outline(trace) if "response" not in line]
    assert "    step look" in drawn
    assert [line for line in drawn if "step" not in line] == [
        f"run {service}",
        *(f"  {phase}" for phase in phases),
        f"  request GET {HOST_ALIAS}:{ground.host.port}/read",
        f"  workflow {child}",
        *(f"    {phase}" for phase in phases),
        "  model gpt-4o-mini",
        "  service files /list",
    ]
    (read,), (called,), (asked,) = (spans(trace, kind) for kind in ("request", "workflow", "model"))
    assert (read.http_status, read.outcome, read.status) == (200, "sent", "ok")
    assert read.received_bytes
    assert asked.input_tokens
    assert asked.output_tokens == 16
    assert asked.cost_usd
    assert trace.cost_usd == asked.cost_usd
    assert trace.incomplete == []
    written = trace.model_dump_json()
    assert "hidden" not in written
    assert "private" not in written
    for span in trace.spans:
        assert span.duration_ms is not None
        assert span.start_ms + span.duration_ms < 60_000

    # The child joined without the program's doing.
    context = json.loads(answer["replies"][1][1])["traceparent"]
    assert trace.trace_id == run_id.replace("-", "")
    assert context == f"00-{trace.trace_id}-{span_id(called.run_id or '', 'run')}-01"
    below = await trace_of(ground, called.run_id or "")
    assert below.trace_id == trace.trace_id
    assert [line.message for line in below.logs if "STEPLOG" in line.message] == ["STEPLOG START look"]


@pytest.mark.requirement("trace:context")
async def test_a_run_joins_the_trace_of_its_caller_and_hands_it_to_its_program(
    ground: RecordingGround,
) -> None:
    service = await deployed(ground.runtime, workflow(CONTEXT, title="Joined"))

    async def run(*headers: tuple[bytes, bytes]) -> tuple[dict[str, str], RunTrace]:
        asked = request(service, {})
        asked.headers += headers
        response = await ground.runtime.runs.execute(asked)
        body = b"".join([chunk async for chunk in response.body])
        return json.loads(body), await trace_of(ground, response.run_id)

    answer, trace = await run(
        (b"traceparent", f"00-{TRACE}-{SPAN}-00".encode()), (b"tracestate", b"vendor=1")
    )
    assert trace.trace_id == TRACE
    context = f"00-{TRACE}-{span_id(trace.run_id, 'run')}-00"
    # The first run of a workflow has a sandbox that was made for it.
    assert answer == {"traceparent": context, "state": "vendor=1", "variable": context}
    answer, trace = await run(
        (b"traceparent", f"00-{'0' * 32}-{SPAN}-01".encode()), (b"tracestate", b"vendor=1")
    )
    assert trace.trace_id == trace.run_id.replace("-", "")
    assert answer["traceparent"].startswith(f"00-{trace.trace_id}-")
    assert answer["state"] is None


@pytest.mark.requirement("trace:live", "trace:own")
async def test_a_run_that_goes_on_is_seen_as_far_as_it_is_and_sees_only_itself(
    ground: RecordingGround,
) -> None:
    other = await deployed(ground.runtime, workflow(CONTEXT, title="Other"))
    _, _, other_run = await fetch(ground.runtime, other, {})
    service = await deployed(ground.runtime, workflow(WAITING, title="Waiting"))
    asked = request(service, {"other": other_run})
    asked.background = True
    run_id = await ground.runtime.runs.start(asked)

    async def both_asked() -> RunTrace | None:
        trace = await trace_of(ground, run_id)
        lines = [line for line in trace.logs if line.message.startswith("trace")]
        return trace if len(lines) == 2 else None

    trace = await until_async(both_asked)
    assert trace is not None
    assert [line.message for line in trace.logs if line.message.startswith("trace")] == [
        "trace True 200",
        "trace False 404",
    ]
    assert trace.status == "running"
    assert (trace.spans[0].status, trace.spans[0].duration_ms) == ("open", None)
    (program,) = spans(trace, "program")
    assert program.status == "open"
    seen = [(span.name, span.http_status, span.status) for span in spans(trace, "runtime")]
    assert seen == [
        (f"GET /runs/{run_id}/trace", 200, "ok"),
        (f"GET /runs/{other_run}/trace", 404, "error"),
    ]

    await ground.runtime.runs.cancel(ADMIN, run_id)
    ended = await trace_of(ground, run_id)
    assert ended.status == "cancelled"
    assert [(span.name, span.http_status, span.status) for span in spans(ended, "runtime")] == seen
    assert all(span.duration_ms is not None for span in ended.spans)


@pytest.mark.requirement("trace:own")
async def test_a_trace_is_its_owners_and_of_runs_that_there_are(ground: RecordingGround) -> None:
    service = await deployed(ground.runtime, workflow(CONTEXT, title="Mine"))
    _, _, run_id = await fetch(ground.runtime, service, {})
    await trace_of(ground, run_id)
    for caller, wrong in ((Caller("eve", "user"), run_id), (ADMIN, run_id[:-1]), (ADMIN, "..%2f")):
        with pytest.raises(NotFound):
            await trace_of(ground, wrong, caller)


@pytest.mark.requirement("trace:attempts")
async def test_attempts_in_the_background_are_one_after_the_other(ground: RecordingGround) -> None:
    tool = f'retries = 1\nhosts = ["{HOST_ALIAS}"]'
    service = await deployed(ground.runtime, calling(tool, title="Twice"))
    asked = request(service, {"calls": [["GET", f"{ground.url}/read", None]], "fail": True})
    asked.background = True
    run_id = await ground.runtime.runs.start(asked)
    run = await finished(ground.runtime, run_id)
    assert run.status == "failed"
    trace = await trace_of(ground, run_id)

    first, second = spans(trace, "attempt")
    assert (first.name, first.status, second.name, second.status) == (
        "attempt 1",
        "error",
        "attempt 2",
        "error",
    )
    assert first.duration_ms is not None
    assert first.start_ms + first.duration_ms <= second.start_ms
    assert [span.parent_id for span in spans(trace, "request")] == [first.id, second.id]
    assert len(spans(trace, "sandbox")) == 2


@pytest.mark.requirement("trace:whatever")
async def test_a_run_without_a_recording_says_that_its_requests_are_missing(ground: RecordingGround) -> None:
    tool = f'record = "off"\nhosts = ["{HOST_ALIAS}"]'
    service = await deployed(ground.runtime, calling(tool, title="Unrecorded"))
    _, _, run_id = await ground.run(service, ["GET", f"{ground.url}/read", None])
    trace = await trace_of(ground, run_id)
    assert spans(trace, "program")
    assert trace.incomplete == ["what it sent was not recorded"]


@pytest.mark.requirement("trace:whatever")
async def test_of_a_long_log_the_last_lines_are_shown_and_all_are_counted(ground: RecordingGround) -> None:
    service = await deployed(ground.runtime, workflow(FLOOD, title="Flood"))
    _, _, run_id = await fetch(ground.runtime, service, {})
    trace = await ground.runtime.traces.get(ADMIN, run_id, log_lines=40)
    assert len(trace.logs) == 40
    assert trace.log_lines > 10_000
    assert any(line.message == "line 9999" for line in trace.logs)
