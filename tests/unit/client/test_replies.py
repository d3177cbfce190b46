"""A reply is an httpx.Response and its JSON at once."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from codewords_client import Reply
from codewords_client._replies import reply, result

pytestmark = pytest.mark.requirement("client:reply")


def answer(**options: Any) -> Reply:
    return reply(
        httpx.Response(options.pop("status", 200), request=httpx.Request("POST", "http://x/"), **options)
    )


def test_a_json_object_reads_as_a_dict() -> None:
    got: Any = answer(json={"success": True, "data": {"html": "<p>"}})
    assert got["data"]["html"] == "<p>"
    assert (got.get("success"), got.get("absent"), got.get("absent", 3)) == (True, None, 3)
    assert "success" in got
    assert "absent" not in got
    assert list(got) == ["success", "data"]
    assert {**got} == got == {"success": True, "data": {"html": "<p>"}}
    assert len(got) == 2
    assert isinstance(got, dict)
    assert json.loads(json.dumps(got)) == got
    with pytest.raises(KeyError):
        got["absent"]


def test_it_goes_on_being_an_httpx_response() -> None:
    got = answer(
        json={"a": 1},
        headers={"X-Request-Id": "run-1", "Set-Cookie": "a=b"},
        extensions={"http_version": b"HTTP/1.1"},
    )
    assert isinstance(got, httpx.Response)
    assert got.raise_for_status() is got
    assert (got.json(), got.text, got.status_code, got.reason_phrase) == ({"a": 1}, '{"a":1}', 200, "OK")
    assert (got.headers["x-request-id"], got.cookies["a"], got.http_version) == ("run-1", "b", "HTTP/1.1")
    assert str(got.url) == "http://x/"
    assert repr(got) == "<Response [200 OK]>"
    assert {got: 1}[got] == 1


@pytest.mark.parametrize("body", [{}, [], None, 0])
def test_it_is_true_whatever_its_body(body: object) -> None:
    assert answer(json=body)


def test_a_json_list_is_indexed_and_iterated() -> None:
    got = answer(json=[1, 2, 3])
    assert (got[0], list(got), len(got), 2 in got) == (1, [1, 2, 3], 3, True)
    assert got.get("success", "default") == "default"


def test_a_reply_that_is_not_json_says_so() -> None:
    got = answer(text="plain words")
    with pytest.raises(TypeError, match=r"not JSON \(text/plain.*read \.text"):
        got["x"]
    assert got.get("success") is None
    assert got.text == "plain words"


def test_json_is_recognised_whatever_the_content_type_says() -> None:
    assert answer(content=b' {"a": 1}', headers={"Content-Type": "text/plain"})["a"] == 1


def test_a_result_has_its_keys_as_attributes_all_the_way_down() -> None:
    got = result({"checks": [{"id": "syntax"}], "report": "text"})
    assert got.checks[0].id == "syntax"
    assert got["report"] == got.report
    with pytest.raises(AttributeError, match="no 'url' here; there is checks, report"):
        _ = got.url
