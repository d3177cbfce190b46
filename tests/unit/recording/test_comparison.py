"""Replays of two versions, compared: nothing that changed, or that could not be seen, is called the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.unit.recording.helpers import exchange, recording, replayed, request

from codewords_mcp.runtime.model.provider import CallUsage
from codewords_mcp.runtime.model.replay import ReplayedRun
from codewords_mcp.runtime.recording.baseline import ANSWER, Baseline
from codewords_mcp.runtime.recording.comparison import compare
from codewords_mcp.runtime.recording.differences import canonical
from codewords_mcp.runtime.recording.exchanges import (
    RecordedRequest,
    Recording,
    RecordingChannel,
    RunMessage,
    UnreadConnection,
    cost_of,
)
from codewords_mcp.runtime.recording.matching import Corpus
from codewords_mcp.runtime.recording.noise import Noise
from codewords_mcp.runtime.recording.replay import ReplayRecorder
from codewords_mcp.runtime.recording.replay_summary import render, summarize

GET = request("GET", "https://shop.example/orders")
POST = request("POST", "https://pay.example/v1/refunds", {"charge": "ch_1", "amount": 20})
PROMPT = request(
    "POST", "https://api.openai.com/v1/chat/completions", {"model": "m", "prompt": "a"}, channel="gateway"
)
USAGE = {"usage": {"prompt_tokens": 50, "completion_tokens": 10, "total_tokens": 60}}
MADE = recording(
    exchange(0, GET, {"orders": [1]}), exchange(1, POST, {"id": "re_1"}), exchange(2, PROMPT, USAGE),
    answer={"total": 19.99},
)  # fmt: skip

FORMS: dict[str, Callable[[datetime], Any]] = {
    "iso": lambda at: at.isoformat(),
    "day": lambda at: f"until {at:%d.%m.%Y}",
    "epoch": lambda at: round(at.timestamp()),
    "http-date": lambda at: f"{at:%a, %d %b %Y %H:%M:%S GMT}",
}


def judge(
    requests: list[RecordedRequest],
    answer: Any = None,
    *,
    made: Recording = MADE,
    change: Callable[[Recording], Recording] | None = None,
) -> ReplayedRun:
    """The verdict on a version that makes these requests; the recorded one makes those of the recording."""
    own = [one.request for one in made.exchanges]
    old_answer = json.loads(made.response.body or b"null")
    olds = [replayed(ReplayRecorder(made, same_version=True), own, made, old_answer) for _ in range(2)]
    new = replayed(ReplayRecorder(made), requests, made, old_answer if answer is None else answer)
    return compare(Baseline(made, olds), change(new) if change else new)


def lines(run: ReplayedRun) -> str:
    return render(summarize([run]))


@pytest.mark.requirement("recording:verdicts")
def test_a_run_that_does_the_same_is_the_same() -> None:
    run = judge([GET, POST, PROMPT])
    assert (run.verdict, run.differences, run.tokens_before, run.tokens_after) == ("same", [], 60, 60)


@pytest.mark.requirement("recording:verdicts")
def test_reads_that_are_repeated_or_left_out_change_nothing() -> None:
    assert judge([GET, GET, GET, POST, PROMPT]).verdict == "same"
    left_out = judge([POST, PROMPT])
    assert (left_out.verdict, left_out.notes) == ("same", ["no longer reads GET shop.example/orders"])


@pytest.mark.requirement("recording:verdicts")
@pytest.mark.parametrize(
    ("requests", "verdict", "said"),
    [
        ([GET, PROMPT], "worse", "write missing: POST pay.example/v1/refunds"),
        ([GET, POST, POST, PROMPT], "changed", "would POST pay.example/v1/refunds, which it did not before"),
        ([GET, request("POST", "https://pay.example/v1/refunds", {"charge": "ch_1", "amount": 21}), PROMPT], "changed", "`amount`: 20 → 21"),
        ([GET, POST, PROMPT, request("GET", "https://other.example/")], "changed", "calls a new host: other.example"),
        ([GET, POST, PROMPT, PROMPT], "changed", "new prompt"),
        ([GET, POST, request("POST", PROMPT.url, {"model": "n", "prompt": "a"}, channel="gateway")], "changed", "prompts another model: n"),
        ([GET, replace(POST, headers=[*POST.headers, (b"authorization", b"[secret KEY]")]), PROMPT], "changed", "`headers.authorization`: nothing → [secret KEY]"),
        ([GET, POST, PROMPT, request("DELETE", "https://pay.example/v1/all")], "changed", "would DELETE pay.example/v1/all"),
    ],
)  # fmt: skip
def test_other_requests_are_changes(requests: list[RecordedRequest], verdict: str, said: str) -> None:
    run = judge(requests)
    assert run.verdict == verdict
    assert said in lines(run)


@pytest.mark.requirement("recording:verdicts")
def test_an_answer_that_differs_is_shown_by_its_path() -> None:
    run = judge([GET, POST, PROMPT], {"total": 20})
    assert (run.verdict, run.differences[0].field) == ("changed", "total")
    assert "answer `total`: 19.99 → 20" in lines(run)


@pytest.mark.requirement("recording:verdicts")
def test_a_failing_status_is_worse_but_not_after_an_answer_that_nobody_gave() -> None:
    def fail(new: Recording) -> Recording:
        return replace(new, response=RunMessage(status=500), status="failed", error="program_error")

    assert judge([GET, POST, PROMPT], change=fail).verdict == "worse"
    other = request("POST", PROMPT.url, {"model": "m", "prompt": "b"}, channel="gateway")
    run = judge([GET, other], change=fail)
    assert run.verdict == "changed"
    assert "prompt changed" in lines(run)


@pytest.mark.requirement("recording:verdicts")
@pytest.mark.parametrize(
    ("made", "said"),
    [
        (replace(MADE, connections=(UnreadConnection("db", 5432, 0, 1, 9, 9, "tcp"),)), "db:5432"),
        (replace(MADE, truncated="the disk was full"), "the disk was full"),
        (replace(MADE, exchanges=(replace(MADE.exchanges[0], whole=False), *MADE.exchanges[1:])), "not read to its end"),
        (replace(MADE, response=replace(MADE.response, status=201)), "its own version answers 200"),
    ],
)  # fmt: skip
def test_what_could_not_be_seen_is_never_the_same(made: Recording, said: str) -> None:
    run = judge([GET, POST, PROMPT], made=made)
    assert run.verdict == "cannot tell"
    assert said in lines(run)


@pytest.mark.requirement("recording:verdicts")
def test_a_program_that_is_silent_in_replays_is_found_by_its_recording() -> None:
    old = replayed(ReplayRecorder(MADE, same_version=True), [GET, PROMPT], MADE, {"total": 19.99})
    new = replayed(ReplayRecorder(MADE), [GET, PROMPT], MADE, {"total": 19.99})
    run = compare(Baseline(MADE, [old]), new)
    assert run.verdict == "cannot tell"
    assert "POST pay.example/v1/refunds" in lines(run)


@pytest.mark.requirement("recording:noise")
def test_fields_that_differ_by_themselves_are_learned_and_keep_their_form() -> None:
    def noisy(token: str, ms: float) -> list[RecordedRequest]:
        return [GET, request("POST", POST.url, {"charge": "ch_1", "token": token, "ms": ms}), PROMPT]

    made = recording(
        *(exchange(n, one, {"id": "x"}) for n, one in enumerate(noisy("aB3dEf9xYz12", 17))), answer={"at": "2026-11-27T10:00:00Z"}
    )  # fmt: skip
    olds = [
        replayed(ReplayRecorder(made, same_version=True), noisy(token, ms), made, {"at": at})
        for token, ms, at in [
            ("Zz9kLm4qRs77", 3, "2026-11-28T10:00:00Z"),
            ("Qw1eRt2yUi33", 4, "2026-11-28T10:00:00Z"),
        ]
    ]
    baseline = Baseline(made, olds)

    def verdict(token: str, ms: float, at: str) -> str:
        recorder = ReplayRecorder(made, noise=baseline.noisy_fields)
        return compare(baseline, replayed(recorder, noisy(token, ms), made, {"at": at})).verdict

    assert verdict("Pp0oOo9iIi88", 9, "2026-11-28T10:00:01Z") == "same"
    assert verdict("short7", 9, "2026-11-28T10:00:01Z") == "changed"
    assert verdict("Pp0oOo9iIi88", 0.009, "2026-11-28T10:00:01Z") == "changed", "seconds for milliseconds"
    assert verdict("Pp0oOo9iIi88", 9, "28.11.2026") == "changed", "a time that is written otherwise"


@pytest.mark.requirement("recording:noise")
@pytest.mark.parametrize("form", FORMS)
def test_a_time_that_follows_the_clock_keeps_its_distance(form: str) -> None:
    """A due date may be another one each day, and is a month ahead each day."""
    begin = datetime(2026, 11, 27, 10, 0, 0, tzinfo=UTC)

    def run(seconds: int, ahead: int, recorder: ReplayRecorder | None = None) -> Recording:
        at = begin + timedelta(days=3 if recorder else 0, seconds=seconds)
        answer = {"due": FORMS[form](at + timedelta(days=ahead))}
        empty = recording(answer=answer)
        done = empty if recorder is None else replayed(recorder, [], empty, answer)
        return replace(done, created_at=round(at.timestamp() * 1e6))

    made = run(0, 30)
    baseline = Baseline(
        made, [run(seconds, 30, ReplayRecorder(made, same_version=True)) for seconds in (0, 40)]
    )
    assert compare(baseline, run(80, 30, ReplayRecorder(made))).verdict == "same"
    assert compare(baseline, run(80, 14, ReplayRecorder(made))).verdict == "changed"


@pytest.mark.requirement("recording:noise")
def test_text_that_is_another_each_time_cannot_be_told() -> None:
    made = replace(MADE, response=recording(answer={"poem": "amber birch"}).response)
    own = [GET, POST, PROMPT]
    olds = [
        replayed(ReplayRecorder(made, same_version=True), own, made, {"poem": poem})
        for poem in ("cedar delta", "ember fjord")
    ]
    new = replayed(ReplayRecorder(made), own, made, {"poem": "grove heath"})
    run = compare(Baseline(made, olds), new)
    assert (run.verdict, run.not_compared) == ("cannot tell", ["poem of the answer"])


@pytest.mark.requirement("recording:verdicts")
def test_the_order_of_writes_counts_where_one_waited_for_the_other() -> None:
    first, second = (request("POST", "https://a.example/x", {"text": text}) for text in ("one", "two"))
    made = recording(exchange(0, first), exchange(1, second), answer={})
    assert "writes in another order" in lines(judge([second, first], made=made))
    together = replace(made, exchanges=(replace(made.exchanges[0], ended=9.0), made.exchanges[1]))
    assert judge([second, first], made=together).verdict == "same"


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, width=16)
    | st.text(max_size=12)
)
bodies = st.dictionaries(
    st.text(min_size=1, max_size=4), scalars | st.lists(scalars, max_size=3), min_size=1, max_size=4
)


@pytest.mark.requirement("recording:verdicts")
@given(st.lists(bodies, min_size=1, max_size=4), st.data())
def test_one_field_of_one_write_that_changes_is_never_the_same(
    sent: list[dict[str, Any]], data: st.DataObject
) -> None:
    def writes(all_bodies: list[dict[str, Any]]) -> list[RecordedRequest]:
        return [request("POST", f"https://a.example/{n % 2}", body) for n, body in enumerate(all_bodies)]

    made = recording(*(exchange(n, one, {"n": n}) for n, one in enumerate(writes(sent))), answer={})
    assert judge(writes(sent), made=made).verdict == "same"

    at = data.draw(st.integers(0, len(sent) - 1))
    name = data.draw(st.sampled_from(sorted(sent[at])))
    other = data.draw(scalars)
    assume(canonical(other) != canonical(sent[at][name]))
    changed = [dict(body) for body in sent]
    changed[at][name] = other
    assert judge(writes(changed), made=made).verdict != "same"


@pytest.mark.requirement("recording:report")
def test_runs_that_differ_alike_are_one_group_and_the_report_has_twelve_lines() -> None:
    same = judge([GET, POST, PROMPT])
    rounded = judge([GET, POST, PROMPT], {"total": 20})
    other = [judge([GET, POST, PROMPT, request("GET", f"https://h{n}.example/")]) for n in range(30)]
    report = summarize([same] * 17 + [rounded] * 2)
    assert render(report).splitlines() == [
        "17 same, 2 changed · 0.0 s, 0 bytes sent, $0.00",
        "2 changed alike: answer `total`: 19.99 → 20",
    ]
    assert [len(group.runs) for group in report.groups] == [2, 17]
    long = render(summarize([same, *other])).splitlines()
    assert len(long) == 12
    assert long[-1] == "and 20 more groups"
    assert type(report).model_validate_json(report.model_dump_json()) == report


@pytest.mark.requirement("recording:verdicts")
@pytest.mark.parametrize(
    ("channel", "verdict"), [("call", "same"), ("gateway", "same"), ("egress", "changed")]
)
def test_the_key_of_a_run_is_no_difference_and_a_hosts_is(channel: RecordingChannel, verdict: str) -> None:
    def keyed(key: bytes) -> RecordedRequest:
        one = request("POST", "http://runtime/run/files/list", {"n": 1}, channel=channel)
        return replace(one, headers=[*one.headers, (b"authorization", b"Bearer " + key)])

    made = recording(exchange(0, keyed(b"first"), {}), answer={"done": True})
    assert judge([keyed(b"other")], made=made).verdict == verdict


@pytest.mark.requirement("replay:gate")
def test_what_a_run_costs_before_and_after_follows_from_its_model_calls() -> None:
    used = CallUsage({"input": 50, "output": 10}, 0.02, False)
    paid = replace(exchange(0, PROMPT, USAGE), usage=used)
    unpriced = replace(exchange(1, PROMPT, USAGE), usage=used._replace(cost=None))
    assert cost_of([paid, unpriced, exchange(2, GET)]) == 0.02
    made = replace(recording(paid, answer={}), cost=cost_of([paid]))
    found = judge([PROMPT], made=made)
    assert (found.cost_before, found.cost_after) == (0.02, 0.02)
    assert judge([], made=made).cost_after == 0.0


@pytest.mark.requirement("recording:noise", "recording:exported")
def test_a_credential_that_another_home_left_out_is_no_sample_of_its_field() -> None:
    noise = Noise(Corpus(recording()))
    for key in ("168d569c-a799-48d1-8c86-3de1d723d5f1", "44fea048-1a92-40c8-a9c2-252aaddccb87"):
        noise.learn(ANSWER, {"key": "[redacted]"}, {"key": key}, (0.0, 1.0))
    for other, judgement in (("94a48ce1-4dcb-4254-80a8-79570abe04bc", "noise"), ("refund-o-1", "difference")):
        (difference,) = noise.between(ANSWER, {"key": "[redacted]"}, {"key": other})
        assert noise.judge(ANSWER, difference, 2.0) == judgement
