"""Values between runs, in both spellings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.support.http_runtime import Door

pytestmark = [pytest.mark.requirement("services:values")]


def ask(http: httpx.Client, **data: Any) -> Any:
    answer = http.post("/run/redis_coordinator/", json=data)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_value_is_set_got_and_deleted_in_both_spellings(http: httpx.Client) -> None:
    assert ask(http, action="get", key="seen") == {"success": False, "value": None}
    assert ask(http, action="set", key="seen", value="# Page\n", ttl=3600)["success"] is True
    assert ask(http, operation="get", key="seen") == {"success": True, "value": "# Page\n"}
    values: list[Any] = [{"a": [1, None, "ü"]}, 5, "", None, False, [[]]]
    for value in values:
        ask(http, operation="set", key="seen", value=value)
        assert ask(http, action="get", key="seen")["value"] == value
    assert ask(http, action="exists", key="seen")["exists"] is True
    assert ask(http, action="delete", key="seen")["success"] is True
    assert ask(http, action="delete", key="seen")["success"] is False
    assert ask(http, action="exists", key="seen")["exists"] is False


def test_a_value_is_gone_after_its_time_and_its_time_can_be_changed(http: httpx.Client) -> None:
    ask(http, action="set", key="short", value=1, ttl=0.001)
    while ask(http, action="get", key="short")["success"]:
        pass
    ask(http, action="set", key="short", value=2)
    assert ask(http, action="ttl", key="short") == {"success": True, "ttl": None}
    assert ask(http, action="expire", key="short", ttl=50)["success"] is True
    assert 0 < ask(http, action="ttl", key="short")["ttl"] <= 50
    assert ask(http, action="ttl", key="never")["success"] is False


def test_those_who_count_together_lose_nothing(http: httpx.Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        for counted in [pool.submit(ask, http, action="incr", key="count") for _ in range(40)]:
            counted.result()
    assert ask(http, action="get", key="count")["value"] == 40
    assert ask(http, action="incr", key="count", value=-5)["value"] == 35


def test_keys_are_found_by_how_they_begin_and_are_their_owners_alone(http: httpx.Client, door: Door) -> None:
    for key in ("a%_1", "a%_2", "a1", "ü"):
        ask(http, action="set", key=key, value=1)
    assert ask(http, action="keys", key="a%_")["keys"] == ["a%_1", "a%_2"]
    with door.client(door.make_key(owner="somebody")) as other:
        assert ask(other, action="keys")["keys"] == []
        assert ask(other, action="get", key="a1")["success"] is False


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "get"}, {"key": "x"}, {"action": "sing", "key": "x"}, {"action": "get", "key": "x" * 513},
        {"action": "set", "key": "x", "value": 1, "ttl": 0}, {"action": "get", "key": 5},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(http: httpx.Client, wrong: Any) -> None:
    answer = http.post("/run/redis_coordinator/", json=wrong)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")


def test_text_is_not_counted(http: httpx.Client) -> None:
    ask(http, action="set", key="word", value="one")
    answer = http.post("/run/redis_coordinator/", json={"action": "incr", "key": "word"})
    assert "whole numbers" in answer.json()["error"]["message"]


@pytest.mark.requirement("services:credentials")
def test_without_a_redis_its_credentials_are_refused_with_what_to_do(http: httpx.Client) -> None:
    answer = http.post("/run/redis_coordinator/", json={})
    told = answer.json()["error"]
    assert (answer.status_code, told["code"], told["credential"]) == (424, "missing_credential", "REDIS_URL")
    assert "PUT /secrets/REDIS_URL" in told["hint"]
