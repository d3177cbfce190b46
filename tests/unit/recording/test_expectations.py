"""A recorded test fails where what it expects differs, and says so where that cannot be told."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.recording.helpers import exchange, recording, replayed, request

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.replay import ReplayedRun
from codewords_mcp.runtime.recording.baseline import Baseline
from codewords_mcp.runtime.recording.comparison import compare
from codewords_mcp.runtime.recording.exchanges import RecordedRequest
from codewords_mcp.runtime.recording.expectations import judge_test, missing_fields, read_expectations
from codewords_mcp.runtime.recording.replay import ReplayRecorder

READ = request("GET", "https://api.shop.example/orders")
WRITE = request("POST", "https://api.mail.example/send", {"to": "a"})
ANSWER = {"total": 12, "items": [{"name": "tea", "price": 3}], "note": "x"}
RECORDED = recording(exchange(0, READ, [1, 2]), exchange(1, WRITE, {}, 202), answer=ANSWER)


def compared(requests: list[RecordedRequest], answer: Any = ANSWER) -> ReplayedRun:
    """A program that makes these requests and answers so, beside the recording."""
    replay = replayed(ReplayRecorder(RECORDED), requests, RECORDED, answer)
    return compare(Baseline(RECORDED, [RECORDED]), replay)


@pytest.mark.requirement("testing:expectations")
@pytest.mark.parametrize(
    ("answer", "broken"),
    [
        (ANSWER, set[str]()),
        (ANSWER | {"total": 13}, {"answer", "$.total", "same"}),
        (
            ANSWER | {"items": [{"name": "tea", "price": 4}]},
            {"answer", "$.items", "$.items[0].price", "same"},
        ),
        (ANSWER | {"items": []}, {"answer", "$.items", "$.items[0].price", "same"}),
        (ANSWER | {"more": 1}, {"answer", "same"}),
    ],
)
def test_an_answer_breaks_the_expectations_that_name_what_differs(answer: Any, broken: set[str]) -> None:
    found = compared([READ, WRITE], answer)
    every = ("answer", "status", "writes", "same", "$.total", "$.items", "$.items[0].price", "$.note")
    outcomes = {one: judge_test(found, [one]).outcome for one in every}
    assert outcomes == {one: "failed" if one in broken else "passed" for one in every}


@pytest.mark.requirement("testing:expectations")
def test_a_missing_and_a_new_write_break_what_is_expected_of_writes() -> None:
    more = [READ, WRITE, request("POST", "https://api.mail.example/send", {"to": "b"})]
    for requests in ([READ], more):
        found = compared(requests)
        assert judge_test(found, ["writes"]).outcome == "failed"
        assert judge_test(found, ["answer", "status"]).outcome == "passed"
    assert "would POST api.mail.example/send" in judge_test(compared(more), ["writes"]).lines[0]


@pytest.mark.requirement("testing:expectations")
def test_a_test_that_cannot_be_judged_does_not_pass() -> None:
    blind = ReplayedRun(run_id="run_1", verdict="cannot tell", obstacles=["not recorded: tcp db:5432"])
    assert judge_test(blind, ["status"]).outcome == "cannot tell"
    partly = ReplayedRun(run_id="run_1", verdict="cannot tell", not_compared=["note of the answer"])
    outcomes = {one: judge_test(partly, [one]).outcome for one in ("$.note", "$.total", "answer", "writes")}
    assert outcomes == {
        "$.note": "cannot tell", "$.total": "passed", "answer": "cannot tell", "writes": "passed",
    }  # fmt: skip


@pytest.mark.requirement("testing:expectations")
def test_only_what_can_be_expected_is_taken() -> None:
    assert read_expectations([]) == ["answer", "writes"]
    assert read_expectations([" status ", "$.a[0].b-c", "status"]) == ["status", "$.a[0].b-c"]
    for wrong in ("answers", "$", "$.", "$.a..b", "total", "$[x]"):
        with pytest.raises(InvalidInput, match="nothing that a test can expect"):
            read_expectations([wrong])
    wanted = ["answer", "$.items[0].price", "$.items[1].price", "$.nothing", "$.total.more"]
    assert missing_fields(RECORDED.response, wanted) == wanted[2:]
