"""What is wrong with a body is said in a sentence, and nothing that may be secret is repeated."""

from __future__ import annotations

import httpx
import pytest
from tests.integration.http.helpers import MAX_BODY
from tests.support.http_runtime import Door

pytestmark = [pytest.mark.requirement("http:bad-input")]


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("/validate", b"", "The body is empty."),
        ("/validate", b"{", "line 1, column 2"),
        ("/validate", b'{"code": "a"\n "b": 1}', "line 2, column 2"),
        ("/validate", b'{"code": "\xff"}', "not UTF-8"),
        ("/validate", b"[" * 100_000, "nested more than 100 levels deep"),
        ("/validate", b'"text"', "JSON object"),
        ("/validate", b"[]", "JSON object"),
        ("/validate", b"{}", "`code` is missing."),
        ("/validate", b'{"code": 7}', "`code` must be a string."),
        ("/validate", b'{"code": "x", "kode": 1}', "`kode` is not a field of this request; it takes `code`,"),
        ("/validate", '{"code": "x", "💥": 1}'.encode(), "(a name of other characters)"),
        ("/deploy", b'{"code": "x", "public": "yes"}', "`public` must be true or false."),
        ("/deploy", b'{"code": 1, "name": 2}', "`code` must be a string. `name` must be a string."),
        ("/deploy", b"{}", "one of code, template_id and draft_id"),
        ("/keys", b'{"kind": "run"}', "`kind`"),
        ("/keys", b'{"expires_in": "soon"}', "`expires_in` must be a number."),
        (
            "/schedules",
            b'{"service_id": "x", "catch_up": "maybe"}',
            "`catch_up`: input should be 'skip', 'once' or 'all'.",
        ),
        ("/schedules", b'{"service_id": "x", "jitter": "1"}', "`jitter` must be a number."),
        ("/schedules", b'{"service_id": "x", "every": "1"}', "`every` is not a field of this request"),
        ("/workflows/x/rollback", b'{"version": "1"}', "`version` must be a whole number."),
    ],
)
def test_a_body_that_cannot_be_taken_gets_its_reason(
    http: httpx.Client, path: str, body: bytes, sentence: str
) -> None:
    answer = http.post(path, content=body)
    assert answer.status_code == 400
    assert sentence in answer.json()["detail"]
    assert answer.json()["error"]["code"] == "invalid_input"


def test_a_secrets_value_is_in_no_answer(http: httpx.Client) -> None:
    for body in (
        {"value": {"hunter2-x": 1}},
        {"value": ["hunter2-x"]},
        {"value": "a\x00hunter2-x"},
        {"values": "hunter2-x", "value": 1},
    ):
        answer = http.put("/secrets/GOOD_NAME", json=body)
        assert answer.status_code == 400
        assert "hunter2-x" not in answer.text
    stored = http.put("/secrets/GOOD_NAME", json={"value": "hunter2-x"})
    assert stored.status_code == 200
    assert "hunter2-x" not in stored.text + http.get("/secrets").text


@pytest.mark.parametrize("name", ["lower", "A B", "%F0%9F%92%A5", "PATH", "1A", "A" * 300, "..%2fX"])
def test_a_secret_needs_the_name_of_a_variable(http: httpx.Client, name: str) -> None:
    answer = http.put(f"/secrets/{name}", json={"value": "x"})
    assert answer.status_code in {400, 404}, answer.text
    assert answer.json()["detail"]


def test_a_body_over_the_limit_is_refused_declared_or_not(door: Door) -> None:
    with door.client() as http:
        declared = http.post("/deploy", content=b"x" * (MAX_BODY + 1))
    assert declared.status_code == 413
    with door.connect() as wire:
        wire.request("POST", "/deploy", "Transfer-Encoding: chunked")
        for _ in range(MAX_BODY // 65536 + 1):
            wire.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        assert wire.head().startswith("http/1.1 413")


def test_code_over_its_own_limit_says_which(http: httpx.Client) -> None:
    answer = http.post("/validate", json={"code": "#" * ((1 << 20) + 1)})
    assert answer.status_code in {200, 400, 413, 422}
    assert "1,048,576" in answer.text or "CODEWORDS_MAX_CODE" in answer.text or "1048576" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/deploy", "POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("OPTIONS", "/runs", "GET, HEAD"),
        ("PATCH", "/secrets", "GET, HEAD"),
        ("POST", "/sse", "GET"),
        ("DELETE", "/sse", "GET"),
        ("GET", "/messages", "POST"),
    ],
)
def test_a_wrong_method_is_405_and_names_the_right_one(
    http: httpx.Client, method: str, path: str, allow: str
) -> None:
    answer = http.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allow
    assert answer.json()["error"]["code"] == "method_not_allowed"


def test_head_answers_as_get_without_a_body(http: httpx.Client) -> None:
    for path in ("/healthz", "/status", "/templates"):
        head = http.head(path)
        assert head.status_code == 200
        assert head.content == b""


def test_a_trailing_slash_changes_nothing(http: httpx.Client) -> None:
    assert http.get("/templates/").json() == http.get("/templates").json()
    assert http.post("/provision-request/").status_code == 200


@pytest.mark.requirement("http:errors")
def test_every_answer_has_an_id_and_an_unforeseen_failure_tells_nothing_else(
    door: Door, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert http.get("/status").headers["x-request-id"].startswith("req_")

    async def broken() -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(door.runtime.status, "describe", broken)
    answer = http.get("/status")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]
    assert "inside" not in answer.text
    assert answer.headers["error-origin"] == "platform"


def test_nonsense_on_the_wire_does_not_stop_the_server(door: Door, http: httpx.Client) -> None:
    for noise in (
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /deploy HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"\r\n" * 50,
    ):
        with door.connect() as wire:
            wire.send(noise)
            wire.raw.shutdown(1)
            wire.until(b"never")
    assert http.get("/healthz").status_code == 200
