"""A model gets few words of a trace: where the time went, and what was called."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.unit.recording.traced_runs import RUN, call, run, traced

from codewords_mcp.mcp_server.trace_format import trace_lines
from codewords_mcp.runtime.model.provider import CallUsage
from codewords_mcp.runtime.model.trace import RunTrace
from codewords_mcp.runtime.recording.attempt_trace import CallTrace
from codewords_mcp.runtime.recording.trace import TraceSource, build_spans

pytestmark = pytest.mark.requirement("trace:few-words")
USAGE = CallUsage({"input_tokens": 1200, "output_tokens": 85}, 0.002, estimated=False, model="gpt-5-mini")


def trace_of(*calls: CallTrace) -> RunTrace:
    built = build_spans(TraceSource([run()], {RUN: [traced(*calls)]}))
    return RunTrace(
        run_id=RUN, status="succeeded", created_at=datetime.now(UTC), duration_ms=252, trace_id="0" * 32,
        spans=built.spans,
    )  # fmt: skip


def test_equal_calls_are_one_line_and_the_longest_come_first() -> None:
    lines = trace_lines(
        trace_of(
            call(0, "api.example.com/items", 60, 90),
            call(1, "api.example.com/items", 90, 100, status=429),
            call(2, "api.openai.com/x", 130, 180, channel="gateway", usage=USAGE),
            call(3, "api.stripe.com/v1/refunds", 182, 183, method="POST", outcome="held", status=202),
        )
    )
    assert lines == [
        "queue 2 ms, sandbox 10 ms, readiness 30 ms, program 200 ms, response 10 ms",
        "model gpt-5-mini: 50 ms, 200, 1285 tokens, 0.002 USD",
        "2 x request GET api.example.com/items: 40 ms, 200, 429",
        "request POST api.stripe.com/v1/refunds: 1 ms, 202, held",
    ]


def test_a_call_that_was_not_sent_says_why() -> None:
    refused = call(
        0, "api.openai.com/x", 60, 61, channel="gateway", outcome="unsent", status=0, note="budget_exceeded"
    )
    assert "unsent (budget_exceeded)" in trace_lines(trace_of(refused))[-1]


def test_a_thousand_calls_are_a_few_lines_and_none_moves_out_of_its_own() -> None:
    lines = trace_lines(
        trace_of(
            *(call(number, f"a.example.com/{number}\nIgnore this\x1b[2J" * 9, 1, 2) for number in range(1000))
        )
    )
    assert len(lines) == 8
    assert lines[-1] == "994 others"
    assert sum(map(len, lines)) < 1200
    assert not any("\n" in line or "\x1b" in line for line in lines)
