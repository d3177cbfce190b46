"""Lists, sets, sorted sets, hashes, scans and compare-and-set, beside a real Redis that is told the same."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import redis
from redis.exceptions import ResponseError
from tests.support.http_runtime import Door
from tests.support.needs import require
from tests.support.waiting import until

pytestmark = pytest.mark.requirement("services:collections")
MEMBERS = ["a", "b", "c", "ä", "z z", "", "10", "9"]
KEYS = ["k1", "k2", "k3"]


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    require("redis")
    folder: Path = tmp_path_factory.mktemp("redis")
    path = folder / "s"
    process = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(path.exists, "the socket of redis-server")
        with redis.Redis(unix_socket_path=str(path), decode_responses=True) as client:
            yield client
    finally:
        process.terminate()
        process.wait(120)


def ask(http: httpx.Client, **data: Any) -> Any:
    """The whole answer, or the error's code."""
    answer = http.post("/run/redis_coordinator/", json=data)
    if answer.status_code != 200:
        return answer.json()["error"]["code"]
    return answer.json()


def ours(http: httpx.Client, **data: Any) -> Any:
    answer = ask(http, **data)
    return "error" if isinstance(answer, str) else answer["value"]


def theirs(oracle: redis.Redis, *command: Any) -> Any:
    try:
        return cast("Any", oracle.execute_command(*command))  # pyright: ignore[reportUnknownMemberType]
    except ResponseError:
        return "error"


def _range(draw: random.Random) -> tuple[dict[str, int], list[int]]:
    start, stop = draw.randint(-6, 6), draw.randint(-6, 6)
    return {"start": start, "stop": stop}, [start, stop]


def _scores(draw: random.Random) -> tuple[dict[str, Any], list[Any]]:
    low, high = draw.choice(["-inf", "(2", 1, 2.5]), draw.choice(["+inf", "(4", 4, 3])
    return {"min": low, "max": high}, [low, high]


def _pairs(flat: list[Any]) -> list[list[Any]]:
    """A flat answer of members and scores, of RESP2, as pairs."""
    return [[member, float(score)] for member, score in flat]


def step(draw: random.Random) -> tuple[dict[str, Any], list[Any]]:
    """One command: (our input, Redis's words)."""
    key, member, other = draw.choice(KEYS), draw.choice(MEMBERS), draw.choice(MEMBERS)
    score, count = draw.choice([1, 2, 2, 3.5, -1, 4]), draw.randint(-2, 3)
    (place, places), (bounds, limits) = _range(draw), _scores(draw)
    pop = draw.randint(0, 3)
    choices: list[tuple[dict[str, Any], list[Any]]] = [
        ({"action": "lpush", "values": [member, other]}, [member, other]),
        ({"action": "rpush", "value": member}, [member]),
        ({"action": "lpop"}, []), ({"action": "rpop", "count": pop}, [pop]), ({"action": "lpop", "count": pop}, [pop]),
        ({"action": "lrange", **place}, places), ({"action": "llen"}, []), ({"action": "lindex", "index": count}, [count]),
        ({"action": "lset", "index": count, "value": member}, [count, member]),
        ({"action": "lrem", "count": count, "value": member}, [count, member]), ({"action": "ltrim", **place}, places),
        ({"action": "sadd", "values": [member, other]}, [member, other]), ({"action": "srem", "value": member}, [member]),
        ({"action": "smembers"}, []), ({"action": "sismember", "value": member}, [member]), ({"action": "scard"}, []),
        ({"action": "zadd", "value": member, "score": score}, [score, member]),
        ({"action": "zadd", "mapping": {member: score}, "nx": True}, ["NX", score, member]),
        ({"action": "zadd", "mapping": {member: score}, "xx": True}, ["XX", score, member]),
        ({"action": "zincrby", "value": member, "score": score}, [score, member]),
        ({"action": "zrem", "values": [member, other]}, [member, other]), ({"action": "zscore", "value": member}, [member]),
        ({"action": "zcard"}, []), ({"action": "zcount", **bounds}, limits),
        ({"action": "zrank", "value": member}, [member]), ({"action": "zrevrank", "value": member}, [member]),
        ({"action": "zrange", **place}, places), ({"action": "zrevrange", **place}, places),
        ({"action": "zrange", "with_scores": True}, [0, -1, "WITHSCORES"]),
        ({"action": "zrangebyscore", **bounds, "offset": 1, "count": 2}, [*limits, "LIMIT", 1, 2]),
        ({"action": "zrevrangebyscore", **bounds}, limits[::-1]),
        ({"action": "zpopmin", "count": pop}, [pop]), ({"action": "zpopmax"}, []),
        ({"action": "zremrangebyscore", **bounds}, limits), ({"action": "zremrangebyrank", **place}, places),
        ({"action": "hset", "field": member, "value": other}, [member, other]),
        ({"action": "hset", "mapping": {member: other, other: member}}, [member, other, other, member]),
        ({"action": "hsetnx", "field": member, "value": other}, [member, other]),
        ({"action": "hget", "field": member}, [member]), ({"action": "hmget", "fields": [member, other]}, [member, other]),
        ({"action": "hgetall"}, []), ({"action": "hdel", "fields": [member, other]}, [member, other]),
        ({"action": "hexists", "field": member}, [member]), ({"action": "hkeys"}, []), ({"action": "hvals"}, []),
        ({"action": "hlen"}, []),
        ({"action": "get"}, []), ({"action": "getdel"}, []), ({"action": "append", "value": member}, [member]),
        ({"action": "type"}, []),
    ]  # fmt: skip
    ours_input, words = draw.choice(choices)
    return {"key": key, **ours_input}, [ours_input["action"].upper(), key, *words]


def normal(action: str, answer: Any) -> Any:
    """An answer in one form: Redis has no booleans, and no order in sets and hashes."""
    if answer == "error":
        return answer
    if action in {"smembers", "hkeys", "hvals"}:
        return sorted(answer)
    if action in {"lset", "ltrim"}:
        return bool(answer)
    if action in {"zscore", "zincrby"} and answer is not None:
        return float(answer)
    if action in {"zpopmin", "zpopmax", "zrange"} and answer and isinstance(answer[0], (list, tuple)):
        return _pairs(answer)
    return answer


@pytest.mark.parametrize("seed", range(4))
def test_random_commands_are_answered_as_redis_answers_them(
    http: httpx.Client, oracle: redis.Redis, seed: int
) -> None:
    draw = random.Random(seed)
    for key in KEYS:
        ask(http, action="delete", key=key)
        oracle.delete(key)
    for _ in range(400):
        sent, words = step(draw)
        action = sent["action"]
        expected = normal(action, theirs(oracle, *words))
        assert normal(action, ours(http, **sent)) == expected, (sent, words)
        # Keys of all types come and go.
        if draw.random() < 0.1:
            ask(http, action="delete", key=sent["key"])
            oracle.delete(sent["key"])


def test_members_and_fields_keep_any_json(http: httpx.Client) -> None:
    values: list[Any] = [{"a": [1, None]}, 5, "5", 5.5, None, False, []]
    assert ours(http, action="rpush", key="any list", values=values) == len(values)
    assert ours(http, action="lrange", key="any list") == values
    assert ours(http, action="sadd", key="any set", values=[*values, {"a": [1, None]}]) == len(values)
    assert ours(http, action="smembers", key="any set") == values
    assert ours(http, action="spop", key="any set") in values
    assert ours(http, action="hset", key="any hash", mapping={"one": values}) == 1
    assert ours(http, action="hget", key="any hash", field="one") == values
    assert ours(http, action="hincrby", key="any hash", field="n", value=4) == 4
    assert ours(http, action="hincrby", key="any hash", field="one") == "error"


def test_a_value_is_set_only_where_the_expected_one_is_stored(http: httpx.Client) -> None:
    assert ask(http, action="cas", key="lease", expected=None, value={"by": 1}, ttl=60)["success"] is True
    assert ask(http, action="cas", key="lease", expected=None, value=2) == {
        "success": False, "value": {"by": 1},
    }  # fmt: skip
    assert ask(http, action="ttl", key="lease")["ttl"] is not None, "a refused change changes nothing"
    assert ask(http, action="cas", key="lease", expected={"by": 1}, value=2)["success"] is True
    assert ask(http, action="set", key="lease", value=3, nx=True)["success"] is False
    assert ask(http, action="set", key="lease", value=3, xx=True)["success"] is True
    assert ask(http, action="set", key="other lease", value=3, xx=True)["success"] is False
    assert ask(http, action="getdel", key="lease") == {"success": True, "value": 3}
    assert ask(http, action="getdel", key="lease") == {"success": False, "value": None}


def test_of_many_who_compare_and_set_one_wins_each_time(http: httpx.Client) -> None:
    def count_up(_: int) -> None:
        while True:
            current = ours(http, action="get", key="cas count")
            if ask(http, action="cas", key="cas count", expected=current, value=(current or 0) + 1)[
                "success"
            ]:
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count_up, range(20)))
    assert ours(http, action="get", key="cas count") == 20


def test_members_that_are_pushed_and_popped_together_are_each_there_once(http: httpx.Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        for pushed in [pool.submit(ask, http, action="rpush", key="queue", value=n) for n in range(40)]:
            pushed.result()
        pops = [pool.submit(ours, http, action="lpop", key="queue") for _ in range(40)]
        popped = [pop.result() for pop in pops]
    assert sorted(popped) == list(range(40))
    assert ask(http, action="exists", key="queue")["exists"] is False, "an empty list is no key"


def test_keys_are_scanned_with_their_types_and_times_page_by_page(http: httpx.Client, door: Door) -> None:
    ask(http, action="set", key="job:1", value=1)
    ask(http, action="rpush", key="job:2", value=1, ttl=50)
    ask(http, action="sadd", key="job:3", value=1, ttl=5000)
    ask(http, action="set", key="jobs", value=1, ttl=50)
    first = ask(http, action="scan", key="job:", count=2)
    assert [(item["key"], item["type"]) for item in first["items"]] == [
        ("job:1", "string"),
        ("job:2", "list"),
    ]
    assert first["items"][0]["ttl"] is None
    assert 0 < first["items"][1]["ttl"] <= 50
    rest = ask(http, action="scan", key="job:", count=2, cursor=first["cursor"])
    assert ([item["key"] for item in rest["items"]], rest["cursor"]) == (["job:3"], None)
    soon = ask(http, action="scan", key="job:", ttl=60)
    assert [item["key"] for item in soon["items"]] == ["job:2"]
    with door.client(door.make_key(owner="scanner")) as other:
        assert ask(other, action="scan") == {"success": True, "items": [], "cursor": None}


def test_a_change_keeps_the_time_to_live_unless_it_gives_one(http: httpx.Client) -> None:
    ask(http, action="rpush", key="timed", value=1, ttl=50)
    ask(http, action="rpush", key="timed", value=2)
    assert ask(http, action="ttl", key="timed")["ttl"] <= 50
    assert ask(http, action="persist", key="timed")["success"] is True
    assert ask(http, action="ttl", key="timed")["ttl"] is None
    assert ask(http, action="persist", key="timed")["success"] is False
    ask(http, action="lpop", key="timed", ttl=0.001)
    until(lambda: ours(http, action="llen", key="timed") == 0, "the end of the key")


@pytest.mark.requirement("services:collections-bounded")
def test_a_key_has_so_many_members_and_bytes(http: httpx.Client) -> None:
    ask(http, action="rpush", key="many", values=list(range(10_000)))
    assert ask(http, action="rpush", key="many", value=1) == "conflict"
    assert ours(http, action="llen", key="many") == 10_000
    assert ask(http, action="rpush", key="many", values=list(range(10_001))) == "invalid_input"
    text = "x" * (5 << 20)
    assert ours(http, action="rpush", key="large", value=text) == 1
    assert ask(http, action="rpush", key="large", value=text) == "invalid_input"
    assert ours(http, action="llen", key="large") == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "lpush", "key": "w"}, {"action": "zadd", "key": "w", "value": "a"}, {"action": "hget", "key": "w"},
        {"action": "zadd", "key": "w", "mapping": {"a": "much"}}, {"action": "lindex", "key": "w"},
        {"action": "zcount", "key": "w", "min": "few"}, {"action": "zadd", "key": "w", "value": 1, "score": "NaN"},
        {"action": "zcount", "key": "w", "min": "nan"}, {"action": "lpop", "key": "w", "count": -1},
        {"action": "zadd", "key": "w", "value": 1, "score": 1, "nx": True, "xx": True}, {"action": "sadd"},
        {"action": "hset", "key": "w", "field": "f"}, {"action": "scan", "cursor": 5},
    ],
)  # fmt: skip
def test_a_command_that_lacks_something_is_refused(http: httpx.Client, wrong: Any) -> None:
    assert ask(http, **wrong) == "invalid_input"
    assert ask(http, action="type", key="w") == {"success": True, "value": "none"}
