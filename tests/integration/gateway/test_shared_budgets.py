"""Several runtimes on one PostgreSQL spend from the same budgets: a ceiling holds for all of them together."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import aiohttp
import httpx
import pytest
from tests.integration.gateway.helpers import CHAT, KEYS
from tests.support.postgres import Postgres
from tests.support.served_runtime import ServedRuntime, start_runtime
from tests.support.waiting import until

from codewords_testing.providers import LoopbackProviders

pytestmark = [pytest.mark.slow, pytest.mark.requirement("gateway:budgets", "gateway:shared-budgets")]
KEY = "cwk-replicas-share-their-admin-key"
SLOW = CHAT | {"model": "gpt-4o-mini-w300"}
ENDLESS = CHAT | {"model": "gpt-4o-mini-w600000"}


@pytest.fixture(scope="module")
def replicas(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, providers: LoopbackProviders
) -> Iterator[list[ServedRuntime]]:
    folder = tmp_path_factory.mktemp("replicas")
    env = {
        "CODEWORDS_API_KEY": KEY, "CODEWORDS_MASTER_KEY": "a1" * 32, "CODEWORDS_REPLICA_TTL": "3",
        "CODEWORDS_DATABASE_URL": postgres.migrated_url(), "CODEWORDS_FILES": str(folder / "files"),
        "CODEWORDS_OPENAI_BASE_URL": providers.url, "OPENAI_API_KEY": KEYS["openai"],
        "CODEWORDS_MODEL_ALIASES": json.dumps(dict.fromkeys((SLOW["model"], ENDLESS["model"]), "gpt-4o-mini")),
    }  # fmt: skip
    with ExitStack() as stack:
        yield [stack.enter_context(start_runtime(folder / f"home {n}", **env)) for n in range(2)]


def ask(runtime: ServedRuntime, key: str, body: dict[str, Any] = CHAT) -> int:
    headers = {"Authorization": key}
    answer = httpx.post(
        f"{runtime.url}/openai/chat/completions", json=body, headers=headers, timeout=60, trust_env=False
    )
    return answer.status_code


def budgeted(runtime: ServedRuntime, owner: str, usd: float) -> tuple[str, str]:
    """(key, its id) of an owner who may spend so much."""
    made = runtime.call("POST", "/keys", {"owner": owner})
    runtime.call("PUT", "/budgets/key", {"usd": usd, "subject": made["id"]})
    return made["key"], made["id"]


def account(runtime: ServedRuntime, key_id: str) -> dict[str, Any]:
    return next(one for one in runtime.call("GET", "/budgets")["items"] if one["subject"] == key_id)


def test_calls_through_all_replicas_at_once_never_pass_a_budget_together(
    replicas: list[ServedRuntime],
) -> None:
    """Each may cost up to about 0.00009 USD and costs a sixth of that."""
    limit = 0.001
    key, key_id = budgeted(replicas[0], "crowd", limit)

    async def crowd() -> list[int]:
        async with aiohttp.ClientSession(headers={"authorization": key}) as session:

            async def one(number: int) -> int:
                url = replicas[number % 2].url
                async with session.post(f"{url}/openai/chat/completions", json=SLOW) as answer:
                    await answer.read()
                    return answer.status

            return await asyncio.gather(*(one(number) for number in range(90)))

    until(lambda: all(_knows(replica, key_id) for replica in replicas), "the budget")
    statuses = asyncio.run(crowd())
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 10
    runtimes = iter(replicas * 1000)
    while ask(next(runtimes), key) == 200:
        pass
    until(lambda: account(replicas[1], key_id)["reserved"] == 0, "its settlement")
    seen = {round(account(replica, key_id)["spent"], 12) for replica in replicas}
    spent = sum(
        item["cost"] for item in replicas[1].call("GET", "/costs?by=key")["items"] if item["key_id"] == key_id
    )
    assert seen == {round(spent, 12)}
    assert limit * 0.8 < spent <= limit


def _knows(replica: ServedRuntime, key_id: str) -> bool:
    return any(one["subject"] == key_id for one in replica.call("GET", "/budgets")["items"])


def test_a_budget_set_on_one_replica_holds_on_the_others(replicas: list[ServedRuntime]) -> None:
    made = replicas[0].call("POST", "/keys", {"owner": "elsewhere"})
    assert ask(replicas[1], made["key"]) == 200
    replicas[0].call("PUT", "/budgets/key", {"usd": 0.0, "subject": made["id"]})
    until(lambda: ask(replicas[1], made["key"]) == 429, "the budget")


@pytest.mark.requirement("gateway:reservations-survive")
def test_what_a_replica_that_died_had_reserved_is_settled_by_the_others(
    replicas: list[ServedRuntime], providers: LoopbackProviders
) -> None:
    key, key_id = budgeted(replicas[0], "mourned", 1.0)
    assert _knows(replicas[1], key_id)  # from now on, not within a second
    asked = len(providers.requests)

    def hang() -> None:
        with pytest.raises(httpx.TransportError):
            ask(replicas[1], key, ENDLESS)

    caller = threading.Thread(target=hang)
    caller.start()
    assert providers.wait_for(lambda: len(providers.requests) > asked)
    before = account(replicas[0], key_id)
    assert before["reserved"] > 0  # at once, and everywhere
    os.kill(replicas[1].pid, signal.SIGKILL)
    caller.join(30)
    until(lambda: account(replicas[0], key_id)["reserved"] == 0, "its settlement")
    after = account(replicas[0], key_id)
    assert after["spent"] == pytest.approx(before["reserved"])
    items = replicas[0].call("GET", "/costs?by=key")["items"]
    (item,) = [item for item in items if item["key_id"] == key_id]
    assert (item["calls"], item["estimated"]) == (1, 1)
