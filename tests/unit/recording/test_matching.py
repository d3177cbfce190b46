"""A request gets the answer that was recorded for it, in any order, and no other."""

from __future__ import annotations

import gzip
import io
import json
import uuid
import zipfile
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.recording.helpers import decide, exchange, recording, request

from codewords_mcp.runtime.recording.exchanges import RecordedRequest
from codewords_mcp.runtime.recording.matching import Matcher
from codewords_mcp.runtime.recording.replay import (
    NOT_RECORDED,
    PROMPT_CHANGED,
    MissPolicy,
    ReplayRecorder,
)
from codewords_mcp.runtime.recording.volatile import template

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.uuids().map(str)
    | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PATHS = ["a", "b", f"c/{uuid.uuid4()}"]


@st.composite
def sent(draw: st.DrawFn) -> RecordedRequest:
    url = f"https://a.example/{draw(st.sampled_from(PATHS))}"
    if draw(st.booleans()):
        return request("GET", url)
    return request("POST", url, draw(values))


@pytest.mark.requirement("recording:matching")
@given(st.lists(sent(), max_size=8), st.randoms())
def test_a_recording_answers_its_own_requests_in_any_order(requests: list[Any], random: Any) -> None:
    made = recording(*(exchange(number, one, {"n": number}) for number, one in enumerate(requests)))
    order = list(range(len(requests)))
    random.shuffle(order)
    recorder = ReplayRecorder(made)
    answers = [decide(recorder, requests[number]) for number in order]
    assert all(outcome == "answered" for outcome, _ in answers)
    # Equal requests are answered in the order of the recording, whichever of them comes first.
    for number, (_, body) in zip(order, answers, strict=True):
        assert requests[json.loads(body)["n"]].key == requests[number].key
    assert len({body for _, body in answers}) == len(requests)


def _form(fields: str) -> Any:
    return request(
        "POST", "https://a.example/x", fields.encode(),
        headers=[(b"content-type", b"application/x-www-form-urlencoded")],
    )  # fmt: skip


def _multipart(boundary: str, text: str) -> Any:
    body = f'--{boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\n{text}\r\n--{boundary}--\r\n'
    kind = f"multipart/form-data; boundary={boundary}".encode()
    return request("POST", "https://a.example/x", body.encode(), headers=[(b"content-type", kind)])


def _zipped(hour: int) -> Any:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.txt", (2026, 1, 1, hour, 0, 0)), "text")
    return request("PUT", "https://a.example/x", out.getvalue())


def _json(value: Any) -> Any:
    return request("POST", "https://a.example/x", value)


@pytest.mark.requirement("recording:matching")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(_json({"at": "2026-11-27T10:00:00Z"}), _json({"at": "2026-11-28T11:22:33Z"}), id="time"),
        pytest.param(_json({"at": "Fri, 27 Nov 2026 10:00:00 GMT"}), _json({"at": "Sat, 28 Nov 2026 11:00:00 GMT"}), id="http-date"),
        pytest.param(_json({"at": "7 May 2026"}), _json({"at": "28 November 2026"}), id="day in words"),
        pytest.param(_json({"at": 1764240000}), _json({"at": 1764324153}), id="epoch"),
        pytest.param(_json({"at": 1764240000.25}), _json({"at": 1764324153.5}), id="epoch with a fraction"),
        pytest.param(_json({"id": str(uuid.UUID(int=7))}), _json({"id": str(uuid.UUID(int=8))}), id="uuid"),
        pytest.param(_json({"key": "approvals:8f14e45fceea167a"}), _json({"key": "approvals:0cc175b9c0f1b6a8"}), id="hex"),
        pytest.param(_json({"code": "aB3_dEf-9xYz"}), _json({"code": "Zz9-kLm_4qRs"}), id="nonce"),
        pytest.param(_json({"a": 1, "b": 2.0}), request("POST", "https://a.example/x", b'{"b": 2, "a": 1.0}', headers=[(b"content-type", b"application/json")]), id="json as written"),
        pytest.param(_form("a=1&b=2"), _form("b=2&a=1"), id="form"),
        pytest.param(_multipart("aaa", "text"), _multipart("b0b0b0b0", "text"), id="multipart"),
        pytest.param(request("GET", "https://a.example/x?a=1&_=1764240000123"), request("GET", "https://a.example/x?_=1764324153999&a=1"), id="query"),
        pytest.param(request("PUT", "https://a.example/x", gzip.compress(b"text", 9, mtime=1)), request("PUT", "https://a.example/x", gzip.compress(b"text", 1, mtime=2)), id="gzip"),
        pytest.param(_zipped(1), _zipped(2), id="zip"),
        pytest.param(
            request("GET", "https://s3.example/x?X-Amz-Date=20261127T100000Z&X-Amz-Signature=" + "ab12" * 16),
            request("GET", "https://s3.example/x?X-Amz-Date=20261128T110000Z&X-Amz-Signature=" + "cd34" * 16),
            id="signed",
        ),
    ],
)  # fmt: skip
def test_times_ids_and_ways_of_writing_do_not_matter(before: Any, after: Any) -> None:
    match = Matcher(recording(exchange(0, before))).find(after)
    assert match is not None
    assert match.kind == "normalised"


@pytest.mark.requirement("recording:matching")
def test_an_id_that_the_run_was_given_is_data() -> None:
    first, second = str(uuid.UUID(int=7)), str(uuid.UUID(int=8))
    listed = exchange(0, request("GET", "https://a.example/items"), {"ids": [first, second]})
    opened = exchange(1, request("GET", f"https://a.example/items?id={first}"), {"name": "first"})
    match = Matcher(recording(listed, opened)).find(request("GET", f"https://a.example/items?id={second}"))
    assert match is None or match.kind == "position"


@pytest.mark.requirement("recording:matching")
def test_the_way_in_which_a_time_is_written_counts() -> None:
    assert template("2026-11-28")[0] != template("28.11.2026")[0]
    assert template("2026-11-28T10:00")[0] != template("2026-11-28T10:00:00")[0]


@pytest.mark.requirement("recording:matching")
def test_a_poll_gets_the_answers_in_order_and_then_the_last_again() -> None:
    poll = request("GET", "https://a.example/job")
    made = recording(
        *(exchange(n, poll, {"state": state}) for n, state in enumerate(["wait", "wait", "done"]))
    )
    recorder = ReplayRecorder(made)
    states = [json.loads(decide(recorder, poll)[1])["state"] for _ in range(5)]
    assert states == ["wait", "wait", "done", "done", "done"]


@pytest.mark.requirement("recording:matching")
def test_a_thousand_equal_requests_are_answered_once_each() -> None:
    same = request("GET", "https://a.example/x")
    recorder = ReplayRecorder(recording(*(exchange(n, same, {"n": n}) for n in range(1000))))
    assert len({decide(recorder, same)[1] for _ in range(1000)}) == 1000


@pytest.mark.requirement("recording:no-writes")
def test_a_write_never_goes_out_and_gets_a_plausible_answer() -> None:
    post = request("POST", "https://a.example/x", {"n": 1})
    misses = MissPolicy(reads="live", budget=5.0, allowed=str.isascii)
    recorder = ReplayRecorder(recording(exchange(0, post, {"id": "x_1"})), misses)
    assert decide(recorder, post) == ("answered", b'{"id": "x_1"}')
    assert decide(recorder, post) == ("held", b'{"id": "x_1"}'), "the same again is another write"
    assert decide(recorder, request("POST", "https://a.example/x", {"n": 2})) == ("held", b'{"id": "x_1"}')
    outcome, body = decide(recorder, request("DELETE", "https://b.example/"))
    assert (outcome, json.loads(body)["held"]) == ("held", True)
    mail = request("POST", "http://runtime/run/send_email", {"to": "a"}, channel="call")
    assert decide(recorder, mail)[0] == "held"


@pytest.mark.requirement("recording:misses")
def test_a_read_that_is_not_recorded_is_blocked_or_live_as_asked() -> None:
    unknown = request("GET", "https://a.example/other")
    empty = recording()
    assert decide(ReplayRecorder(empty), unknown) == ("blocked", NOT_RECORDED.encode())
    live = MissPolicy(reads="live", allowed="a.example".__eq__)
    assert decide(ReplayRecorder(empty, live), unknown)[0] == "sent"
    assert decide(ReplayRecorder(empty, live), request("GET", "https://b.example/"))[0] == "blocked"
    service = request("POST", "http://runtime/run/github/readme", {"repo": "x"}, channel="call")
    assert decide(ReplayRecorder(empty, live), service)[0] == "blocked", "a service would be called for real"


@pytest.mark.requirement("recording:misses")
def test_a_prompt_that_changed_costs_nothing_without_a_budget() -> None:
    prompt = request("POST", "https://api.openai.com/v1/chat/completions", {"prompt": "a"}, channel="gateway")
    other = request("POST", "https://api.openai.com/v1/chat/completions", {"prompt": "b"}, channel="gateway")
    made = recording(exchange(0, prompt, {"text": "x"}))
    assert decide(ReplayRecorder(made), other) == ("blocked", PROMPT_CHANGED.encode())
    assert decide(ReplayRecorder(made, MissPolicy(budget=0.05)), other)[0] == "sent"
    assert decide(ReplayRecorder(made, same_version=True), other) == ("answered", b'{"text": "x"}')


@pytest.mark.requirement("recording:matching")
def test_only_whole_responses_are_given_again_and_the_reason_is_told() -> None:
    page = request("GET", "https://a.example/long")
    made = recording(exchange(0, page, b"begin", whole=False))
    assert decide(ReplayRecorder(made), page) == ("blocked", b"its response was not read to its end")
    long = replace(made.exchanges[0], size=2_000_000)
    assert decide(ReplayRecorder(replace(made, exchanges=(long,))), page) == (
        "blocked",
        b"its response is longer than is kept",
    )
    assert made.partial_answers == ["its response was not read to its end: GET a.example/long"]
    # Another equal request was answered whole.
    assert (
        recording(exchange(0, page, b"begin", whole=False), exchange(1, page, b"all")).partial_answers == []
    )
