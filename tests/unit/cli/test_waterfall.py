"""A trace as a person sees it in a terminal: every line fits, whatever it says."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from typing import Any

import pytest
from rich.cells import cell_len
from tests.unit.recording.traced_runs import RUN, at, call, run, traced

from codewords_mcp.cli._waterfall import Line, draw, format_cost, format_ms, print_trace
from codewords_mcp.runtime.model.provider import CallUsage
from codewords_mcp.runtime.recording.trace import TraceSource, build_spans

pytestmark = pytest.mark.requirement("trace:terminal")


def trace_of(*calls: Any, logs: list[dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
    built = build_spans(TraceSource([run(**changes)], {RUN: [traced(*calls)]}))
    return {
        "run_id": RUN, "workflow_id": "report_1a2b3c4d", "version": 3, "status": "succeeded", "duration_ms": 252.0,
        "cost_usd": 0.002, "spans": [span.model_dump(exclude_none=True) for span in built.spans],
        "logs": logs or [], "log_lines": 40, "incomplete": [],
    }  # fmt: skip


def plain(lines: list[Line]) -> list[str]:
    return ["".join(piece.text for piece in line).rstrip() for line in lines]


USAGE = CallUsage({"input_tokens": 1200, "output_tokens": 85}, 0.002, estimated=False, model="gpt-5-mini")
FULL = trace_of(
    call(0, "api.example.com/v1/items", 60, 90, received=51_200, sent=120),
    call(1, "api.openai.com/x", 130, 180, channel="gateway", usage=USAGE),
    call(
        2, "api.stripe.com/v1/refunds", 182, 182, method="POST", outcome="held", status=202, note="a dry run"
    ),
    call(3, "api.example.com/v1/gone", 190, 210, status=404),
    logs=[
        {"at_ms": 50.0, "stream": "stdout", "message": "STEPLOG START fetch"},
        {"at_ms": 100.0, "stream": "stdout", "message": "fetched 12 items"},
    ],
    steps=[{"id": "fetch", "at": at(50)}],
)


def test_a_line_has_the_name_the_duration_the_bar_and_what_became_of_it() -> None:
    assert plain(draw(FULL, 80)) == [
        "report_1a2b3c4d version 3  succeeded, 252 ms, $0.0020",
        f"run {RUN}",
        "                                     0                252 ms",
        "queue                           2 ms ▏",
        "sandbox                        10 ms ▉",
        "readiness                      30 ms  ██▊",
        "program                       200 ms    ██████████████████▎",
        "▸ fetch                       202 ms     ██████████████████▍",
        "GET api.example.com/v1/ite…    30 ms      ██▊                200 120 B out 50 K…",
        "  100 ms │ fetched 12 items",
        "gpt-5-mini                     50 ms            ████▋        200 1200+85 tokens…",
        "POST api.stripe.com/v1/ref…     0 ms                 ▏       202 held a dry run",
        "GET api.example.com/v1/gone    20 ms                  █▉     404",
        "response                       10 ms                       █",
        "38 earlier log lines: codewords logs RUN",
    ]


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("width", [20, 80, 160])
def test_no_line_is_wider_than_the_terminal_whatever_it_says(width: int, ascii_only: bool) -> None:
    wide = "長い名前" * 60 + "\x1b[2J\u202e\n\r\t"
    trace = trace_of(
        *(call(number, f"{wide}/{number}", number * 9, number * 9 + 400, note=wide) for number in range(30)),
        logs=[{"at_ms": float(number * 90), "stream": "stderr", "message": wide} for number in range(30)],
        service_id=wide,
        status="running",
    )
    lines = plain(draw(trace | {"workflow_id": wide}, width, ascii_only=ascii_only))
    assert len(lines) > 60
    for line in lines:
        assert cell_len(line) <= max(width, 60)
        assert not re.search(r"[\x00-\x1f\u202e]", line)


def test_colours_say_nothing_that_words_do_not_and_failures_are_red() -> None:
    (held,) = [line for line in draw(FULL, 160) if "refunds" in line[0].text]
    (gone,) = [line for line in draw(FULL, 160) if "gone" in line[0].text]
    assert held[-1].style == "yellow"
    assert "held" in held[-1].text
    assert {piece.style for piece in gone} == {"red", ""}
    assert "404" in gone[-1].text


def test_a_long_trace_is_drawn_to_a_bound_and_the_rest_counted() -> None:
    trace = trace_of(*(call(number, "a.example.com/", number, number + 1) for number in range(600)))
    lines = plain(draw(trace, 80))
    assert len(lines) < 420
    assert any("more spans: --json" in line for line in lines)


@pytest.mark.parametrize(("encoding", "bar"), [("utf-8", "█"), ("ascii", "#")])
def test_in_a_pipe_it_has_no_colour_and_only_characters_that_the_pipe_takes(
    encoding: str, bar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setenv("COLUMNS", "80")
    with redirect_stdout(io.TextIOWrapper(written, encoding=encoding)) as pipe:
        print_trace(FULL | {"incomplete": ["what it sent was not recorded"]})
        pipe.flush()
    text = written.getvalue().decode(encoding)
    assert "\x1b" not in text
    assert bar in text
    assert max(map(len, text.splitlines())) <= 80
    assert "Not complete: what it sent was not recorded." in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 ms"), (0.42, "0.4 ms"), (9.99, "10 ms"), (252.4, "252 ms"), (999.4, "999 ms"), (999.6, "1.00 s"),
     (59_994, "59.99 s"), (59_996, "1 m 00 s"), (125_000, "2 m 05 s"), (10_930_000, "3 h 02 m")],
)  # fmt: skip
def test_a_duration_is_in_a_unit_that_suits_it(value: float, text: str) -> None:
    assert format_ms(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "$0.00"), (12.5, "$12.50"), (0.0213, "$0.021"), (0.0000119, "$0.000012")]
)
def test_a_cost_is_a_number_that_people_can_read(value: float, text: str) -> None:
    assert format_cost(value) == text
