"""Results, records and logs of runs."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from tests.support.http_runtime import Door

pytestmark = [pytest.mark.requirement("http:result")]

RECORD = {
    "id", "userId", "serviceId", "version", "createdAt", "startedAt", "completedAt", "status", "responseStatus", "responseContent",
    "responseJson", "correlationId", "parentRequestId", "scheduledRequestId", "cost", "usage", "error", "attempts",
}  # fmt: skip
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest.fixture(scope="module")
def run_id(door: Door, probe: str) -> str:
    """A finished run that printed four lines."""
    with door.client() as http:
        return http.get(f"/run/{probe}/lines", params={"count": 4}).headers["x-request-id"]


def test_the_record_has_the_contracts_fields_in_its_spelling(http: httpx.Client, run_id: str) -> None:
    record = http.get(f"/request/{run_id}").json()
    assert set(record) >= RECORD
    assert record["status"] == "succeeded"
    assert all(STAMP.fullmatch(record[name]) for name in ("createdAt", "startedAt", "completedAt"))
    assert record["attempts"][0]["number"] == 1
    assert record["attempts"][0]["outcome"] == "succeeded"


def test_a_result_spreads_the_keys_of_an_object_answer_that_do_not_collide(
    http: httpx.Client, probe: str
) -> None:
    run_id = http.post(f"/run/{probe}/", json={"n": 1}).headers["x-request-id"]
    record = http.get(f"/result/{run_id}?timeout=60").json()
    assert record["got"] == {"n": 1}
    assert record["status"] == "succeeded", "the record's own status wins over the answer's"
    assert record["responseJson"]["status"] == "mine"


def test_a_failed_run_has_a_result_of_200(http: httpx.Client, probe: str) -> None:
    run_id = http.get(f"/run/{probe}/raise").headers["x-request-id"]
    answer = http.get(f"/result/{run_id}?timeout=60")
    assert answer.status_code == 200
    assert answer.json()["status"] == "failed"
    assert answer.json()["responseStatus"] == 500


def test_a_pending_result_is_504_and_a_platform_error(http: httpx.Client) -> None:
    run_id = http.post("/provision-request").json()["request_id"]
    for wait in ("0", "0.01", "1001"):
        answer = http.get(f"/result/{run_id}", params={"timeout": wait})
        assert answer.status_code == 504
        assert answer.headers["error-origin"] == "platform"
        assert answer.json()["error"]["code"] == "run_pending"


@pytest.mark.parametrize("wait", ["-1", "soon", "nan", "inf", "", "1e999"])
def test_a_timeout_that_is_no_time_is_refused(http: httpx.Client, run_id: str, wait: str) -> None:
    answer = http.get(f"/result/{run_id}", params={"timeout": wait})
    assert answer.status_code == 400
    assert "`timeout`" in answer.json()["detail"]


@pytest.mark.requirement("http:logs")
def test_a_log_is_json_lines_whatever_accept_says_and_ends_with_the_run(
    http: httpx.Client, run_id: str
) -> None:
    answer = http.get(f"/logs/{run_id}", headers={"Accept": "text/event-stream"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(text) for text in answer.text.splitlines() if text]
    assert [line["message"] for line in lines if line["stream"] == "stdout"] == [
        f"line {n}" for n in range(4)
    ]
    stamps = [line["createdAt"] for line in lines]
    assert all(map(STAMP.fullmatch, stamps))
    assert stamps == sorted(set(stamps))


@pytest.mark.requirement("http:logs")
def test_a_log_goes_on_after_the_line_that_was_seen(http: httpx.Client, run_id: str) -> None:
    whole = http.get(f"/logs/{run_id}").text.splitlines()
    seen = json.loads(whole[1])["createdAt"]
    assert http.get(f"/logs/{run_id}", params={"after": seen}).text.splitlines() == whole[2:]
    assert (
        http.get(f"/logs/{run_id}", params={"after": json.loads(whole[-1])["createdAt"]}).text.strip() == ""
    )


@pytest.mark.requirement("http:logs")
def test_a_log_as_server_sent_events_has_ids_to_resume_from(http: httpx.Client, run_id: str) -> None:
    answer = http.get(f"/logs/{run_id}", params={"format": "sse"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    *events, end = answer.text.strip().split("\n\n")
    assert end == "event: end\ndata: {}"
    first = dict(line.split(": ", 1) for line in events[0].split("\n"))
    assert json.loads(first["data"])["createdAt"] == first["id"]
    resumed = http.get(f"/logs/{run_id}", params={"format": "sse"}, headers={"Last-Event-ID": first["id"]})
    assert resumed.text.strip().split("\n\n")[:-1] == events[1:]


@pytest.mark.requirement("http:logs")
def test_a_log_is_live_and_open_before_its_run_starts(http: httpx.Client, door: Door, probe: str) -> None:
    run_id = http.post("/provision-request").json()["request_id"]
    with door.client() as follower, follower.stream("GET", f"/logs/{run_id}") as log:
        assert log.status_code == 200, "the stream is open while nothing runs"
        http.post(f"/run_async/{probe}/hang", headers={"X-Provisioned-Request-Id": run_id})
        messages = (json.loads(text)["message"] for text in log.iter_lines() if text)
        assert "hanging" in messages
        assert http.get(f"/request/{run_id}").json()["status"] in {"starting", "running"}
        http.post(f"/runs/{run_id}/cancel")
        list(messages)  # the stream ends


@pytest.mark.requirement("logs:levels")
def test_lines_have_their_level_and_can_be_asked_for_by_it(http: httpx.Client, run_id: str) -> None:
    def lines(**params: str) -> list[dict[str, Any]]:
        text = http.get(f"/logs/{run_id}", params=params).text
        return [json.loads(line) for line in text.splitlines() if line]

    every = lines()
    assert every
    assert all(line["level"] is None or isinstance(line["level"], str) for line in every)
    assert lines(level="debug") == every
    above = lines(level="error")
    assert above == [line for line in every if line["level"] in {"error", "critical"}]


@pytest.mark.requirement("http:logs")
def test_a_log_that_is_not_followed_ends_at_once(http: httpx.Client) -> None:
    run_id = http.post("/provision-request").json()["request_id"]
    assert http.get(f"/logs/{run_id}", params={"follow": 0}).text == ""


def test_ids_that_name_no_run_are_404(http: httpx.Client) -> None:
    for path in ("/request/{}", "/result/{}?timeout=0", "/logs/{}", "/logs/{}?format=sse"):
        for run_id in ("unknown", "00000000-0000-0000-0000-000000000000", "%F0%9F%92%A5", "..%5c", "a%00b"):
            assert http.get(path.format(run_id)).status_code == 404, (path, run_id)


def test_a_result_can_be_asked_for_with_no_time_or_any_and_nonsense_is_told(
    http: httpx.Client, run_id: str
) -> None:
    for timeout in ("0", "0.001", "9" * 20, "1e300"):
        assert http.get(f"/result/{run_id}", params={"timeout": timeout}).status_code == 200, timeout
    waiting = http.post("/provision-request").json()["request_id"]
    assert http.get(f"/result/{waiting}", params={"timeout": "0"}).status_code == 504
    for timeout in ("-1", "nan", "inf", "soon", "1" * 5000):
        answer = http.get(f"/result/{run_id}", params={"timeout": timeout})
        assert answer.status_code == 400, timeout
        assert "`timeout`" in answer.json()["detail"]


def test_questions_that_make_no_sense_are_answered_by_a_sentence(http: httpx.Client, run_id: str) -> None:
    for path, word in (
        (f"/logs/{run_id}?format=xml", "`format`"),
        (f"/logs/{run_id}?follow=maybe", "`follow`"),
        (f"/logs/{run_id}?level=loud", "`level`"),
        (f"/logs/{run_id}?after=yesterday", "`after`"),
        ("/runs?limit=0", "`limit`"),
        ("/runs?limit=" + "9" * 5000, "`limit`"),
        ("/runs?limit=%D9%A3", "`limit`"),
        ("/runs?status=odd", "`status`"),
        ("/runs?cursor=odd", "cursor"),
    ):
        answer = http.get(path)
        assert answer.status_code == 400, path
        assert word in answer.json()["detail"]


@pytest.mark.requirement("runs:line", "http:bad-input")
@pytest.mark.parametrize("value", ["0", "101", "2.5", "first", "nan", ""])
def test_a_priority_or_delay_that_makes_no_sense_starts_nothing(
    http: httpx.Client, probe: str, value: str
) -> None:
    for header in ("Codewords-Priority", "Codewords-Delay"):
        if header == "Codewords-Delay" and value in {"0", "101", "2.5"}:
            continue
        answer = http.post(f"/run_async/{probe}/", headers={header: value})
        assert answer.status_code == 400
        kind = "whole number from 1 to 100" if header.endswith("Priority") else "number from 0 to 2592000"
        assert f"{header} is not a {kind}." in answer.json()["detail"]


def test_runs_are_listed_newest_first_page_by_page(http: httpx.Client, probe: str) -> None:
    for n in range(3):
        http.post(f"/run/{probe}/", json={"n": n})
    first = http.get("/runs", params={"limit": 2, "service_id": probe}).json()
    second = http.get(
        "/runs", params={"limit": 2, "service_id": probe, "cursor": first["next_cursor"]}
    ).json()
    stamps = [run["createdAt"] for run in first["items"] + second["items"]]
    assert len(first["items"]) == 2
    assert stamps == sorted(stamps, reverse=True)
    assert {"id", "serviceId", "status", "createdAt"} <= set(first["items"][0])
    failed = http.get("/runs", params={"status": "failed"}).json()["items"]
    assert all(run["status"] == "failed" for run in failed)
