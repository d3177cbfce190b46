"""Two runtimes of one PostgreSQL: what both get is taken once, and what one was answering for when it died is delivered."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from tests.support.browser_client import Browser
from tests.support.postgres import Postgres
from tests.support.runtime import ECHO, make_home
from tests.support.served_runtime import ServedRuntime, start_runtime

pytestmark = [pytest.mark.slow, pytest.mark.requirement("store:postgres")]
SETTINGS = {
    "CODEWORDS_API_KEY": "cwk-replicas-share-their-admin-key",
    "CODEWORDS_MASTER_KEY": "a1" * 32,
    "CODEWORDS_REPLICA_TTL": "2",
}


@pytest.fixture(scope="module")
def pair(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServedRuntime]]:
    folder = tmp_path_factory.mktemp("pair")
    shared = SETTINGS | {
        "CODEWORDS_DATABASE_URL": postgres.migrated_url(),
        "CODEWORDS_FILES": str(folder / "files"),
    }
    with ExitStack() as stack:
        yield [
            stack.enter_context(start_runtime(make_home(folder / f"home {n}"), **shared)) for n in range(2)
        ]


@pytest.fixture(scope="module")
def echo(pair: list[ServedRuntime]) -> str:
    return pair[0].deploy(ECHO, "echo")


@pytest.mark.requirement("services:collections")
def test_members_that_two_runtimes_push_at_once_are_all_there(pair: list[ServedRuntime]) -> None:
    def ask(number: int, **data: Any) -> Any:
        return pair[number % 2].call("POST", "/run/redis_coordinator/", {"key": "of both", **data})["value"]

    with ThreadPoolExecutor(8) as pool:
        for pushed in [pool.submit(ask, n, action="rpush", value=n) for n in range(40)]:
            pushed.result()
        assert sorted(ask(0, action="lrange")) == list(range(40))
        pops = [pool.submit(ask, n, action="lpop") for n in range(40)]
        popped = [pop.result() for pop in pops]
    assert sorted(popped) == list(range(40))


def delivered(runtime: ServedRuntime, delivery: str) -> list[dict[str, Any]]:
    """The runs of a delivery, ended."""
    deadline = time.monotonic() + 60
    while True:
        found = runtime.call("GET", f"/webhooks/deliveries/{delivery}")
        if found["status"] == "started":
            runs = [run["run_id"] for run in found["runs"]]
            return [runtime.call("GET", f"/result/{run_id}?timeout=60") for run_id in runs]
        assert time.monotonic() < deadline, found


@pytest.mark.requirement("login:code")
def test_one_code_at_two_runtimes_opens_one_session(pair: list[ServedRuntime]) -> None:
    begun = pair[0].call("POST", "/run/user_login/start", {"email": "ann@example.org"})
    kept = pair[1].call("POST", "/run/send_email/outbox", {"limit": 1})["messages"][0]["subject"]
    code = re.search(r"\d{6}", kept)
    assert code
    asked = {"login_id": begun["login_id"], "code": code[0]}

    def verify(runtime: ServedRuntime) -> bool:
        return runtime.call("POST", "/run/user_login/verify", asked)["success"]

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(verify, pair * 2)) == [False, False, False, True]


@pytest.mark.requirement("webhooks:once")
def test_what_comes_to_both_at_once_starts_one_run(pair: list[ServedRuntime], echo: str) -> None:
    url = pair[0].call("POST", "/webhooks", {"service_id": echo})["url"]
    path = url.removeprefix(pair[0].url)

    def send(number: int) -> str:
        answer = httpx.post(
            f"{pair[number % 2].url}{path}", json={"n": number // 2}, trust_env=False, timeout=60,
            headers={"Idempotency-Key": f"event {number // 2}"},
        )  # fmt: skip
        return answer.json()["delivery"]

    with ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(send, range(16)))
    assert sent[::2] == sent[1::2]
    for number, delivery in enumerate(sent[::2]):
        [run] = delivered(pair[number % 2], delivery)
        assert run["responseJson"] == {"got": {"n": number}}
    runs = pair[0].call("GET", f"/runs?service_id={echo}&limit=100")["items"]
    assert len(runs) == 8


@pytest.mark.requirement("console:events-elsewhere")
def test_pages_of_one_runtime_are_told_what_changed_at_the_other(
    pair: list[ServedRuntime], echo: str
) -> None:
    told = set[str]()
    with (
        httpx.Client(timeout=60, trust_env=False, headers={"Authorization": pair[1].key}) as http,
        http.stream("GET", f"{pair[1].url}/events") as stream,
    ):
        lines = stream.iter_lines()
        assert next(lines).startswith(":"), "the answer begins before the first change"
        schedule = pair[0].call("POST", "/schedules", {"service_id": echo, "cron": "0 9 * * *"})
        pair[0].call("POST", "/webhooks", {"service_id": echo})
        pair[0].call("POST", "/secrets/TOLD_ELSEWHERE/entry")
        address = pair[0].call("POST", "/sign-ins", {"page": "/"})["url"]
        with Browser() as browser:
            assert browser.look(address).status_code == 200

        wanted = {"schedules", "webhooks", "inbox", "sessions"}
        for line in lines:
            told.add(line.removeprefix("event: "))
            if wanted <= told:
                break
    pair[0].call("DELETE", f"/schedules/{schedule['id']}")
    assert wanted <= told


# The last one: it kills the second runtime.
@pytest.mark.requirement("webhooks:durable")
def test_what_a_runtime_was_answered_for_when_it_was_killed_is_delivered_by_the_other(
    pair: list[ServedRuntime], echo: str
) -> None:
    path = (
        pair[0].call("POST", "/webhooks", {"service_id": echo, "path": "/"})["url"].removeprefix(pair[0].url)
    )
    answered = [
        httpx.post(f"{pair[1].url}{path}", json={"n": n}, trust_env=False).json()["delivery"]
        for n in range(5)
    ]
    os.kill(pair[1].pid, signal.SIGKILL)
    for number, delivery in enumerate(answered):
        [run] = delivered(pair[0], delivery)
        # what had begun there is interrupted, which its record tells; all else has run
        assert run["status"] in {"succeeded", "interrupted"}
        assert run["status"] == "interrupted" or run["responseJson"] == {"got": {"n": number}}
