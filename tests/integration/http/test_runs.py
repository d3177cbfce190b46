"""Calls of workflows: streamed both ways, cancelled with their caller, bounded, told apart from our own errors."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from tests.integration.http.helpers import CONCURRENCY, MAX_BODY, QUEUE
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.waiting import until

from codewords_mcp.http.routes.run_calls import under_prefix

pytestmark = [pytest.mark.requirement("http:run")]


def finished(http: httpx.Client, run_id: str) -> dict[str, Any]:
    """The record of a run once it has ended."""
    answer = http.get(f"/result/{run_id}", params={"timeout": 30})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_call_passes_method_path_query_body_and_headers_and_gives_the_runs_id(
    http: httpx.Client, probe: str
) -> None:
    body = b"\x00\xff" * 1000
    answer = http.put(
        f"/run/{probe}/echo/a%20b/%2F/caf%C3%A9?x=1&x=%26",
        content=body,
        headers={
            "X-Mine": "kept",
            "X-Correlation-Id": "chain-7",
            "Connection": "keep-alive, X-Hop",
            "X-Hop": "no",
            "X-API-Key": ADMIN_KEY,
        },
    )
    seen = answer.json()
    assert answer.status_code == 200
    assert (seen["method"], seen["path"], seen["query"]) == ("PUT", "/echo/a%20b/%2F/caf%C3%A9", "x=1&x=%26")
    assert (seen["size"], seen["sha256"]) == (2000, hashlib.sha256(body).hexdigest())
    headers = dict(seen["headers"])
    assert headers["x-mine"] == "kept"
    assert headers["x-correlation-id"] == "chain-7"
    assert headers["x-request-id"] == answer.headers["x-request-id"]
    assert headers["codewords-caller-id"]
    assert not {"authorization", "x-api-key", "x-hop"} & set(headers)
    assert ADMIN_KEY not in answer.text
    assert "error-origin" not in answer.headers


def test_no_trailing_slash_is_the_main_route_too(http: httpx.Client, probe: str) -> None:
    assert http.post(f"/run/{probe}", json={"n": 1}).json() == {"got": {"n": 1}, "status": "mine"}


def test_head_and_options_reach_the_workflow(http: httpx.Client, probe: str) -> None:
    head = http.head(f"/run/{probe}/echo")
    assert head.status_code == 200
    assert head.content == b""
    assert http.options(f"/run/{probe}/echo").json()["method"] == "OPTIONS"


def test_an_error_of_the_workflow_passes_with_its_origin(http: httpx.Client, probe: str) -> None:
    for code in (401, 504):
        answer = http.get(f"/run/{probe}/status/{code}")
        assert answer.status_code == code
        assert answer.json() == {"detail": f"I answer {code}"}
        assert answer.headers["error-origin"] == "service"
        assert answer.headers["retry-after"] == "7"
    record = finished(http, answer.headers["x-request-id"])
    assert record["status"] == "failed"
    assert record["responseStatus"] == 504
    assert record["error"]["origin"] == "service"


def test_a_redirect_within_the_workflow_stays_within_it(http: httpx.Client, probe: str) -> None:
    slash = http.post(f"/run/{probe}/duplex", content=b"x")
    assert slash.status_code == 307
    assert slash.headers["location"] == f"/run/{probe}/duplex/"


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        ("/echo", "/run/p/echo"),
        ("http://h:1/echo?a=1", "/run/p/echo?a=1"),
        ("/run/p/echo", "/run/p/echo"),
        ("echo", "echo"),
        ("https://elsewhere.example/x", "https://elsewhere.example/x"),
        ("//elsewhere.example/x", "//elsewhere.example/x"),
    ],
)
def test_only_a_redirect_to_the_workflow_itself_is_led_back(target: str, seen: str) -> None:
    assert under_prefix((b"location", target.encode()), "/run/p", "http://h:1") == (
        b"location",
        seen.encode(),
    )


@pytest.mark.parametrize(
    "path",
    [
        "/run/nothing_00000000/",
        "/run/%F0%9F%92%A5/",
        "/run/..%2F..%2Fdeploy/",
        "/run/../",
        "/run//x",
        "/run/a%00b/",
        "/run_async/nothing_00000000/",
        "/run/" + "a" * 3000,
    ],
)
def test_an_id_that_names_no_workflow_is_a_404_of_ours(door: Door, path: str) -> None:
    with door.connect() as wire:
        wire.request("POST", path, "Content-Length: 0")
        head = wire.head()
        assert " 404 " in head, head
        assert "error-origin: platform" in head


@pytest.mark.requirement("http:library-services")
@pytest.mark.parametrize(
    "path",
    [
        "/run/perplexity/",
        "/run/composio/v1/scrape",
        "/run_async/perplexity/",
    ],
)
def test_a_library_service_that_is_not_here_says_so(http: httpx.Client, path: str) -> None:
    answer = http.post(path, json={"model": "x", "prompt": "y"})
    assert answer.status_code == 501
    assert answer.headers["error-origin"] == "platform"
    assert answer.json()["error"]["code"] == "service_not_available"


@pytest.mark.requirement("http:streaming")
def test_both_directions_stream_without_buffering(door: Door, probe: str) -> None:
    with door.connect() as wire:
        wire.request("POST", f"/run/{probe}/duplex/", "Transfer-Encoding: chunked")
        wire.send(b"5\r\nfirst\r\n")
        assert wire.head().startswith("http/1.1 200")
        assert b"FIRST" in wire.until(b"FIRST")
        wire.send(b"6\r\nsecond\r\n")
        assert b"SECOND" in wire.until(b"SECOND")
        wire.send(b"0\r\n\r\n")
        assert wire.until(b"0\r\n\r\n").endswith(b"0\r\n\r\n")


@pytest.mark.requirement("http:streaming")
def test_a_large_answer_arrives_whole(http: httpx.Client, probe: str) -> None:
    size = 20 << 20
    with http.stream("GET", f"/run/{probe}/bytes", params={"size": size}) as answer:
        assert sum(len(chunk) for chunk in answer.iter_raw()) == size
        run_id = answer.headers["x-request-id"]
    assert finished(http, run_id)["status"] == "succeeded"


@pytest.mark.requirement("http:hang-up")
def test_hanging_up_in_the_middle_of_a_stream_cancels_the_run(http: httpx.Client, probe: str) -> None:
    with http.stream("GET", f"/run/{probe}/sse") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert next(answer.iter_raw()) == b"data: first\n\n"
        run_id = answer.headers["x-request-id"]
        assert http_pending(http, run_id)
    assert finished(http, run_id)["status"] == "cancelled"


def http_pending(http: httpx.Client, run_id: str) -> bool:
    """Whether a result is pending, by the answer that the public clients retry."""
    answer = http.get(f"/result/{run_id}", params={"timeout": 0})
    return answer.status_code == 504 and answer.json()["error"]["code"] == "run_pending"


@pytest.mark.requirement("http:hang-up")
def test_hanging_up_before_the_answer_cancels_the_run(door: Door, http: httpx.Client, probe: str) -> None:
    run_id = http.post("/provision-request").json()["request_id"]
    with door.connect() as wire, http.stream("GET", f"/logs/{run_id}") as log:
        wire.request(
            "POST",
            f"/run/{probe}/hang",
            f"X-Provisioned-Request-Id: {run_id}",
            "Content-Length: 2",
            body=b"{}",
        )
        for text in log.iter_lines():
            if "hanging" in text:
                break
        wire.raw.close()
    record = finished(http, run_id)
    assert record["status"] == "cancelled"
    assert record["attempts"][-1]["outcome"] == "cancelled"


@pytest.mark.requirement("http:hang-up")
def test_hanging_up_in_the_middle_of_the_body_cancels_the_run(
    door: Door, http: httpx.Client, probe: str
) -> None:
    run_id = http.post("/provision-request").json()["request_id"]
    with door.connect() as wire:
        wire.request(
            "POST",
            f"/run/{probe}/duplex/",
            f"X-Provisioned-Request-Id: {run_id}",
            "Transfer-Encoding: chunked",
        )
        wire.send(b"5\r\nfirst\r\n")
        wire.until(b"FIRST")
    assert finished(http, run_id)["status"] == "cancelled"


@pytest.mark.requirement("http:too-busy")
@pytest.mark.slow
def test_calls_over_the_limit_queue_then_get_429_and_leave_the_queue_when_they_hang_up(
    door: Door, http: httpx.Client, probe: str
) -> None:
    def ours() -> list[str]:
        recent = http.get("/runs", params={"limit": CONCURRENCY + QUEUE + 2}).json()["items"]
        return [run["status"] for run in recent if run["id"] not in before]

    before = {run["id"] for run in http.get("/runs", params={"limit": 100}).json()["items"]}
    with ExitStack() as callers:
        for _ in range(CONCURRENCY + QUEUE):
            callers.enter_context(door.connect()).request("GET", f"/run/{probe}/hang")
        until(lambda: http.get("/status").json()["runs"]["queued"] == QUEUE, "the queue to be full")
        refused = http.post(f"/run/{probe}/", json={})
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert refused.headers["error-origin"] == "platform"
    until(
        lambda: not {"queued", "starting", "running"} & set(ours()), "the runs whose callers are gone to end"
    )
    assert ours().count("cancelled") == CONCURRENCY + QUEUE, ours()
    assert http.post(f"/run/{probe}/", json={"after": 1}).json()["got"] == {"after": 1}


@pytest.mark.requirement("http:body-limit")
def test_a_declared_size_over_the_limit_is_refused_before_the_body(door: Door, probe: str) -> None:
    with door.connect() as wire:
        wire.request("POST", f"/run/{probe}/echo", f"Content-Length: {MAX_BODY + 1}", "Expect: 100-continue")
        head = wire.head()
    assert head.startswith("http/1.1 413"), "no 100 Continue came first"
    assert "connection: close" in head


@pytest.mark.requirement("http:body-limit")
def test_a_chunked_body_over_the_limit_is_cut_and_its_run_cancelled(
    door: Door, http: httpx.Client, probe: str
) -> None:
    run_id = http.post("/provision-request").json()["request_id"]
    block = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with door.connect() as wire:
        wire.request(
            "POST", f"/run/{probe}/echo", f"X-Provisioned-Request-Id: {run_id}", "Transfer-Encoding: chunked"
        )
        for _ in range(MAX_BODY // 65536 + 1):
            wire.send(block)
        assert wire.head().startswith("http/1.1 413")
        assert b"CODEWORDS_MAX_BODY" in wire.until(b"CODEWORDS_MAX_BODY")
    assert finished(http, run_id)["error"]["code"] == "body_too_large"


def test_expect_100_continue_is_answered_when_the_body_is_wanted(door: Door, probe: str) -> None:
    with door.connect() as wire:
        wire.request(
            "POST",
            f"/run/{probe}/",
            "Content-Length: 2",
            "Expect: 100-continue",
            "Content-Type: application/json",
        )
        assert wire.head().startswith("http/1.1 100")
        wire.send(b"{}")
        assert wire.head().startswith("http/1.1 200")


def test_one_connection_serves_call_after_call(door: Door, probe: str) -> None:
    with door.connect() as wire:
        for _ in range(2):
            wire.request("POST", f"/run/{probe}/", "Content-Length: 2", body=b"{}")
            assert wire.head().startswith("http/1.1 200")
            wire.until(b'"mine"}')


@pytest.mark.parametrize("name", ["X-Provisioned-Request-Id", "X-Correlation-Id", "Idempotency-Key"])
def test_an_id_in_a_header_that_is_none_is_refused(http: httpx.Client, probe: str, name: str) -> None:
    for value in (b"", b"a b", "💥".encode(), b"x" * 201):
        answer = http.post(f"/run/{probe}/", headers=[(name.encode(), value)])
        assert answer.status_code == 400
        assert name in answer.json()["detail"]


def test_a_provisioned_id_is_good_for_one_run_and_only_if_it_was_given(
    http: httpx.Client, probe: str
) -> None:
    run_id = http.post("/provision-request").json()["request_id"]
    headers = {"X-Provisioned-Request-Id": run_id}
    assert http.post(f"/run/{probe}/", json={}, headers=headers).headers["x-request-id"] == run_id
    assert http.post(f"/run/{probe}/", json={}, headers=headers).status_code == 409
    unknown = http.post(f"/run/{probe}/", json={}, headers={"X-Provisioned-Request-Id": "never-given"})
    assert unknown.status_code == 404


def test_a_repeated_idempotency_key_gets_the_first_answer(http: httpx.Client, probe: str) -> None:
    first = http.post(f"/run/{probe}/", json={"n": 1}, headers={"Idempotency-Key": "once"})
    again = http.post(f"/run/{probe}/", json={"n": 2}, headers={"Idempotency-Key": "once"})
    assert again.json() == first.json()
    assert again.headers["x-request-id"] == first.headers["x-request-id"]


def test_a_background_call_gives_an_id_at_once_and_its_result_later(http: httpx.Client, probe: str) -> None:
    started = http.post(f"/run_async/{probe}/", json={"n": 5})
    run_id = started.json()["request_id"]
    assert started.headers["x-request-id"] == run_id
    record = finished(http, run_id)
    assert record["responseJson"] == {"got": {"n": 5}, "status": "mine"}
    provisioned = http.post("/provision-request").json()["request_id"]
    answer = http.post(f"/run_async/{probe}/", json={}, headers={"X-Provisioned-Request-Id": provisioned})
    assert answer.json() == {"request_id": provisioned}


def test_a_background_run_survives_its_callers_connection_and_can_be_cancelled(
    door: Door, http: httpx.Client, probe: str
) -> None:
    with door.client() as caller:
        run_id = caller.post(f"/run_async/{probe}/hang").json()["request_id"]
    assert http_pending(http, run_id)
    cancelled = http.post(f"/runs/{run_id}/cancel").json()
    assert cancelled["status"] == "cancelled"
    assert http.post(f"/runs/{run_id}/cancel").status_code == 409


@pytest.mark.requirement("workflows:cookies")
def test_requests_come_without_cookies_and_a_workflow_that_sets_one_is_told(
    http: httpx.Client, probe: str
) -> None:
    answer = http.get(f"/run/{probe}/cookie", headers={"Cookie": "session=1"})
    assert answer.json() == {}
    assert "session=1" in answer.headers["set-cookie"]
    log = http.get(f"/logs/{answer.headers['x-request-id']}?follow=1").text
    assert log.count("The response sets a cookie. Requests reach a workflow without cookies") == 1
    plain = http.get(f"/run/{probe}/lines")
    assert "cookie" not in http.get(f"/logs/{plain.headers['x-request-id']}?follow=1").text


@pytest.mark.requirement("console:runs-filtered")
def test_runs_are_listed_by_version_trigger_and_time(http: httpx.Client, probe: str) -> None:
    made = http.post(f"/run/{probe}/", json={}).headers["x-request-id"]
    run = http.get(f"/request/{made}").json()

    def listed(**query: str | int) -> set[str]:
        answer = http.get("/runs", params={"service_id": probe, "limit": 100, **query})
        assert answer.status_code == 200, answer.text
        return {item["id"] for item in answer.json()["items"]}

    for matching in ({"version": run["version"]}, {"trigger": "caller"}, {"since": run["createdAt"]}):
        assert made in listed(**matching), matching
    for other in (
        {"version": run["version"] + 1},
        {"trigger": "schedule"},
        {"trigger": "run"},
        {"until": run["createdAt"]},
        {"since": "2999-01-01T00:00:00Z"},
    ):
        assert made not in listed(**other), other
    for wrong in ({"version": "x"}, {"trigger": "me"}, {"since": "yesterday"}, {"until": "2026-13-01"}):
        assert http.get("/runs", params=wrong).status_code == 400, wrong
