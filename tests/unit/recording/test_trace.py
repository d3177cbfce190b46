"""A trace puts all that a run did in order: phases, steps, calls, the runs that it started."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.recording.traced_runs import BASE, PHASES, RUN, at, attempt, call, run, traced

from codewords_mcp.runtime.model.provider import CallUsage
from codewords_mcp.runtime.model.trace import Span
from codewords_mcp.runtime.recording.attempt_trace import (
    AttemptTrace,
    CallTrace,
    decode_attempts,
    encode_attempts,
    trace_attempt,
)
from codewords_mcp.runtime.recording.exchange_log import MAX_RUN_HEAD_BYTES, ExchangeLog
from codewords_mcp.runtime.recording.exchanges import RecordedRequest, UnreadConnection
from codewords_mcp.runtime.recording.recorder import BlockedRequest, OpenExchange
from codewords_mcp.runtime.recording.trace import RunSpans, TraceSource, build_spans
from codewords_mcp.runtime.store.traces import TracedRun


def spans_of(*runs: TracedRun, **attempts: AttemptTrace | list[AttemptTrace]) -> RunSpans:
    """The spans of runs, with the attempts of each by the first letters of its id."""
    found: dict[str, list[AttemptTrace]] = {}
    for prefix, traces in attempts.items():
        (run_id,) = [one.id for one in runs if one.id.startswith(prefix.removeprefix("r"))]
        found[run_id] = traces if isinstance(traces, list) else [traces]
    return build_spans(TraceSource(runs, found))


def outline(built: RunSpans) -> list[str]:
    """Each span on a line, indented below its parent: kind, name, start+duration."""
    depth: dict[str | None, int] = {None: -1}
    lines: list[str] = []
    for span in built.spans:
        depth[span.id] = depth[span.parent_id] + 1
        duration = "…" if span.duration_ms is None else f"{span.duration_ms:g}"
        mark = {"ok": "", "error": " !", "open": " …"}[span.status]
        lines.append(f"{'  ' * depth[span.id]}{span.kind} {span.name} {span.start_ms:g}+{duration}{mark}")
    return lines


def named(built: RunSpans, name: str) -> Span:
    (found,) = [span for span in built.spans if span.name == name]
    return found


@pytest.mark.requirement("trace:spans")
def test_phases_steps_calls_and_connections_are_in_the_order_of_time() -> None:
    used = CallUsage({"input_tokens": 12, "output_tokens": 5}, 0.002, estimated=False, model="gpt-5-mini")
    built = spans_of(
        run(steps=[{"id": "fetch", "at": at(50)}, {"id": "write", "at": at(120)}]),
        r0=traced(
            call(0, "api.example.com/items", 60, 90, received=512),
            call(1, "api.openai.com/v1/chat/completions", 130, 180, channel="gateway", usage=used),
            call(2, "runtime/run/send_email/", 190, 200, channel="call", method="POST", status=502),
            connections=(UnreadConnection("db.example.com", 5432, 0.055, 0.2, 90, 400, "it is no TLS"),),
        ),
    )
    assert outline(built) == [
        "run report_1a2b3c4d 0+252",
        "  queue queue 0+2",
        "  sandbox sandbox 2+10",
        "  readiness readiness 12+30",
        "  program program 42+200",
        "  step fetch 50+70",
        "  connection db.example.com:5432 55+145",
        "  request GET api.example.com/items 60+30",
        "  step write 120+132",
        "  model gpt-5-mini 130+50",
        "  service send_email 190+10 !",
        "  response response 242+10",
    ]
    model = named(built, "gpt-5-mini")
    assert (model.input_tokens, model.output_tokens, model.cost_usd) == (12, 5, 0.002)
    assert named(built, "db.example.com:5432").note == "not recorded: it is no TLS"
    assert built.incomplete == []
    assert built.end_ms == 252


@pytest.mark.requirement("trace:attempts")
def test_attempts_follow_one_another_each_with_its_own_calls() -> None:
    built = spans_of(
        run(
            attempts=[attempt(1, 2, 252, "failed"), attempt(2, 1252, 1502)],
            completed_at=at(1502),
            steps=[{"id": "fetch", "at": at(60)}, {"id": "fetch", "at": at(1310)}],
        ),
        r0=[
            traced(call(0, "api.example.com/a", 100, 110, status=500)),
            traced(call(0, "api.example.com/a", 100, 110), number=2, began=1250),
        ],
    )
    assert outline(built) == [
        "run report_1a2b3c4d 0+1502",
        "  queue queue 0+2",
        "  attempt attempt 1 2+250 !",
        "    sandbox sandbox 2+10",
        "    readiness readiness 12+30",
        "    program program 42+200",
        "    step fetch 60+192 !",
        "    request GET api.example.com/a 100+10 !",
        "    response response 242+10 !",
        "  queue queue, attempt 2 252+1000",
        "  attempt attempt 2 1252+250",
        "    sandbox sandbox 1252+10",
        "    readiness readiness 1262+30",
        "    program program 1292+200",
        "    step fetch 1310+192",
        "    request GET api.example.com/a 1350+10",
        "    response response 1492+10",
    ]
    assert len({span.id for span in built.spans}) == len(built.spans)


@pytest.mark.requirement("trace:spans")
def test_a_run_that_another_called_is_below_the_call() -> None:
    child = run(
        "1child",
        parent_id=RUN,
        service_id="score_5e6f7a8b",
        created_at=at(62),
        attempts=[attempt(1, 63, 83)],
        timings={"queued": 1.0, "sandbox": 1.0, "ready": 1.0, "answer": 18.0, "total": 21.0},
    )
    service = run(
        "2service", parent_id=RUN, service_id="files", version=None, attempts=[attempt(1, 95, 97)], timings={}
    )
    background = child._replace(id="3later", created_at=at(105), attempts=[attempt(1, 106, 126)])
    started = {"channel": "call", "method": "POST"}
    built = spans_of(
        run(),
        child,
        service,
        background,
        r0=traced(
            call(0, "runtime/run/score_5e6f7a8b/items", 60, 90, run_id="1child", **started),
            call(1, "runtime/run/files/upload", 94, 98, run_id="2service", **started),
            call(2, "runtime/run_async/score_5e6f7a8b/", 100, 110, run_id="3later", **started),
            call(3, "runtime/result/3later", 120, 130, **started),
        ),
        r1=traced(call(0, "api.example.com/b", 70, 75), timings=child.timings),
    )
    assert outline(built)[5:] == [
        "  workflow score_5e6f7a8b /items 60+30",
        "    queue queue 62+1",
        "    sandbox sandbox 63+1",
        "    readiness readiness 64+1",
        "    program program 65+18",
        "    request GET api.example.com/b 70+5",
        "  service files /upload 94+4",
        "  workflow score_5e6f7a8b 100+10",
        "    run score_5e6f7a8b 105+21",
        "      queue queue 105+1",
        "      sandbox sandbox 106+1",
        "      readiness readiness 107+1",
        "      program program 108+18",
        "  runtime POST /result/3later 120+10",
        "  response response 242+10",
    ]


@pytest.mark.requirement("trace:spans")
def test_a_run_without_its_call_is_below_its_caller_and_a_call_without_its_run_says_so() -> None:
    child = run("1child", parent_id=RUN, service_id="score_5e6f7a8b", created_at=at(62), timings={})
    gone = call(0, "runtime/run/old_9c9c9c9c/", 60, 90, channel="call", run_id="9gone")
    built = spans_of(run(), child, r0=traced(gone))
    assert named(built, "score_5e6f7a8b").parent_id == built.spans[0].id
    assert "not on record" in (named(built, "old_9c9c9c9c").note or "")


@pytest.mark.requirement("trace:whatever")
def test_what_goes_on_is_open_and_nothing_is_said_of_its_end() -> None:
    live = run(status="running", completed_at=None, attempts=[attempt(1, 2, None)], timings={})
    built = build_spans(
        TraceSource(
            [live],
            {RUN: [traced(call(0, "a.example.com/", 60, None), timings={"queued": 2, "sandbox": 10})]},
            frozenset({RUN}),
        )
    )
    assert outline(built) == [
        "run report_1a2b3c4d 0+… …",
        "  queue queue 0+2",
        "  sandbox sandbox 2+10",
        "  readiness readiness 12+… …",
        "  request GET a.example.com/ 60+… …",
    ]
    waiting = run(status="queued", completed_at=None, attempts=[], timings={})
    assert outline(spans_of(waiting)) == ["run report_1a2b3c4d 0+… …", "  queue queue 0+… …"]


@pytest.mark.requirement("trace:whatever")
def test_a_run_that_goes_on_elsewhere_says_that_its_requests_come_later() -> None:
    elsewhere = run(status="running", completed_at=None, attempts=[attempt(1, 2, None)], timings={})
    (why,) = spans_of(elsewhere).incomplete
    assert "another process" in why


@pytest.mark.requirement("trace:whatever")
def test_an_interrupted_run_has_what_its_record_knows() -> None:
    lost = run(status="interrupted", timings={}, attempts=[attempt(1, 2, 40, "interrupted")])
    lost = lost._replace(usage={"egress": {"reached": [{"host": "a", "port": 443}]}})
    built = spans_of(lost)
    assert outline(built) == ["run report_1a2b3c4d 0+40 !", "  queue queue 0+2"]
    assert built.incomplete == ["what it sent was not recorded"]


@pytest.mark.requirement("trace:whatever")
@pytest.mark.parametrize("jump_ms", [3_600_000, -3_600_000])
def test_a_clock_that_is_set_moves_nothing_out_of_its_attempt(jump_ms: int) -> None:
    ended = max(252 + jump_ms, 2)
    built = spans_of(
        run(
            attempts=[attempt(1, 2, ended)],
            completed_at=at(ended),
            steps=[{"id": "before", "at": at(50)}, {"id": "after", "at": at(120 + jump_ms)}],
        ),
        r0=traced(call(0, "a.example.com/", 130, 140)),
    )
    assert built.spans[0].duration_ms == 252
    assert named(built, "GET a.example.com/").start_ms == 130
    for span in built.spans:
        assert 0 <= span.start_ms <= 252
        assert span.duration_ms is not None
        assert 0 <= span.duration_ms <= 252
    assert "the clock was set" in built.incomplete[0]


@pytest.mark.requirement("trace:private")
def test_a_request_is_kept_without_its_query_its_body_and_its_users_name() -> None:
    log = ExchangeLog()
    headers = [(b"authorization", b"Bearer hidden")]
    url = "https://ada:hidden@api.example.com:8443/v1/[secret KEY]/x?token=hidden#hidden"
    request = RecordedRequest("egress", "POST", url, headers, b"hidden body", writes=True)
    sent = OpenExchange(request)
    log.add(request, sent)
    sent.record_response(201, [(b"set-cookie", b"hidden")])
    sent.record_chunk(b"hidden answer")
    sent.end(whole=True)
    log.add(request, BlockedRequest("it is not agreed to"))

    data = encode_attempts([trace_attempt(1, log, PHASES)])
    assert b"hidden" not in zlib.decompress(data)
    (stored,) = decode_attempts(data)
    first, second = stored.calls
    assert (first.target, first.sent, first.received, first.status) == (
        "api.example.com:8443/v1/[secret KEY]/x", 11, 13, 201,
    )  # fmt: skip
    assert (second.outcome, second.note) == ("blocked", "it is not agreed to")


@pytest.mark.requirement("trace:incomplete")
def test_a_trace_lacks_requests_that_are_left_out_and_none_whose_body_alone_is() -> None:
    log = ExchangeLog(max_bytes=10)
    request = RecordedRequest(
        "egress", "POST", "https://api.example.com/v1", [], b"longer than ten", writes=True
    )
    sent = OpenExchange(request)
    log.add(request, sent)
    sent.record_response(200, [])
    sent.record_chunk(b"longer than ten")
    sent.end(whole=True)
    assert log.truncated
    assert trace_attempt(1, log, PHASES).truncated == ""

    long = replace(request, url="https://api.example.com/" + MAX_RUN_HEAD_BYTES * "x")
    log.add(long, OpenExchange(long))
    assert trace_attempt(1, log, PHASES).truncated == log.truncated


names = st.text(max_size=12)
ms = st.integers(0, 10**6).map(float)
usages = st.builds(CallUsage, st.just({"input_tokens": 3}), st.none() | st.just(0.5), st.booleans())
calls = st.builds(
    call, st.integers(0, 50), names | st.sampled_from(["runtime/run/files/x", "runtime/run_async/w/"]),
    ms, st.none() | ms, channel=st.sampled_from(["egress", "gateway", "call"]),
    outcome=st.sampled_from(["sent", "answered", "held", "blocked", "unsent"]), note=names,
    run_id=st.sampled_from(["", "1child", "2child", RUN]), usage=st.none() | usages,
)  # fmt: skip
timings = st.dictionaries(
    st.sampled_from(list(PHASES)), st.floats(-5, 5000, allow_nan=False).map(lambda value: round(value, 2))
)


def _traced(found: list[CallTrace], timings: dict[str, float], began: int) -> AttemptTrace:
    by_number = {one.number: one for one in found}
    return traced(*by_number.values(), timings=timings, began=began)


def _step(micros: int) -> dict[str, Any]:
    return {"id": "s", "at": BASE + micros}


traces = st.builds(_traced, st.lists(calls, max_size=6), timings, st.integers(-(10**7), 10**7))
runs = st.builds(
    run,
    st.just(RUN),
    attempts=st.lists(
        st.tuples(st.integers(-1000, 10**7), st.none() | st.integers(-1000, 10**7)), max_size=3
    ).map(lambda times: [attempt(number + 1, start, end) for number, (start, end) in enumerate(times)]),
    timings=timings,
    status=st.sampled_from(["queued", "starting", "running", "succeeded", "failed", "interrupted"]),
    completed_at=st.none() | st.integers(-(10**10), 10**10).map(lambda n: BASE + n),
    steps=st.lists(st.integers(-(10**10), 10**10).map(_step), max_size=4),
    version=st.none() | st.just(1),
)


@pytest.mark.requirement("trace:whatever")
@settings(max_examples=40)
@given(runs, runs, runs, st.lists(traces, max_size=3), st.data())
def test_any_run_has_a_tree_of_spans_at_times_that_can_be_drawn(
    root: TracedRun, first: TracedRun, second: TracedRun, done: list[AttemptTrace], data: st.DataObject
) -> None:
    below = [
        first._replace(id="1child", parent_id=RUN),
        second._replace(id="2child", parent_id=data.draw(st.sampled_from([RUN, "1child", "9gone"]))),
    ]
    owners = [data.draw(st.sampled_from([RUN, "1child"])) for _ in done]
    numbered = [
        AttemptTrace(number + 1, one.began, one.timings, one.calls, one.connections, one.truncated)
        for number, one in enumerate(done)
    ]
    attempts = {
        owner: [one for one, of in zip(numbered, owners, strict=True) if of == owner] for owner in owners
    }
    built = build_spans(TraceSource([root, *below], attempts))
    seen: set[str | None] = {None}
    for span in built.spans:
        assert span.parent_id in seen
        assert span.id not in seen
        seen.add(span.id)
        assert span.start_ms >= 0
        assert span.duration_ms is None or span.duration_ms >= 0
        assert (span.duration_ms is None) == (span.status == "open")


@pytest.mark.requirement("trace:attempts")
@settings(max_examples=30)
@given(st.lists(traces, max_size=3))
def test_attempts_are_read_as_they_were_stored(done: list[AttemptTrace]) -> None:
    assert decode_attempts(encode_attempts(done)) == done


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=13) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=30,
)


@pytest.mark.requirement("trace:whatever")
@settings(max_examples=40)
@given(json_values)
def test_what_is_no_trace_reads_as_none(value: Any) -> None:
    assert all(
        isinstance(one, AttemptTrace) for one in decode_attempts(zlib.compress(json.dumps(value).encode()))
    )
    assert decode_attempts(b"no trace") == []
