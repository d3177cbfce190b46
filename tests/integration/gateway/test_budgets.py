"""Ceilings that are never crossed: refused before the provider is asked, in its own words, whatever comes at once."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from tests.compat.registries import provider_sdks
from tests.integration.gateway.helpers import ASKING, CHAT, KEYS, MESSAGE, costs, with_table
from tests.support.command_server import command_server
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import HEADER, workflow
from tests.support.served_runtime import start_runtime
from tests.support.waiting import until

from codewords_testing.providers import LoopbackProviders

pytestmark = pytest.mark.requirement("gateway:budgets")


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/openai/chat/completions", CHAT, 429, {"type": "insufficient_quota", "code": "insufficient_quota"}),
        (
            "/run/gemini/v1/chat/completions",
            CHAT | {"model": "gemini-2.5-flash"},
            429,
            {"code": "insufficient_quota"},
        ),
        ("/anthropic/v1/messages", MESSAGE, 402, {"type": "billing_error"}),
        (
            "/gemini/v1/models/gemini-2.5-flash:generateContent",
            {"contents": []},
            402,
            {"status": "RESOURCE_EXHAUSTED"},
        ),
    ],
)
def test_a_call_that_may_cost_more_than_is_left_is_refused_before_it_is_made(
    limited: Callable[[str, float], httpx.Client], providers: LoopbackProviders, path: str, body: dict[str, Any],
    status: int, words: dict[str, str],
) -> None:  # fmt: skip
    with limited(f"poor-{path[1:5]}", 0.000001) as client:
        asked = len(providers.requests)
        answer = client.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert words.items() <= answer.json()["error"].items()
    told = answer.json()["codewords"]
    assert (told["code"], told["scope"], told["limit"], told["spent"]) == (
        "budget_exceeded",
        "key",
        0.000001,
        0,
    )
    assert told["needed"] > 0.000001
    assert answer.headers["x-should-retry"] == "false"
    assert len(providers.requests) == asked


def test_a_refusal_says_what_would_fit_and_that_fits(limited: Callable[[str, float], httpx.Client]) -> None:
    with limited("fitting", 0.0005) as client:
        refused = client.post("/openai/chat/completions", json=CHAT | {"max_tokens": 10_000})
        fits = refused.json()["codewords"]["fits_output_tokens"]
        assert f"With at most {fits} output tokens" in refused.json()["error"]["message"]
        assert 0 < fits < 10_000
        assert client.post("/openai/chat/completions", json=CHAT | {"max_tokens": fits}).status_code == 200


def test_calls_at_the_same_time_cannot_overrun_a_budget_together(
    door: Door, limited: Callable[[str, float], httpx.Client]
) -> None:
    """Each may cost up to about 0.00009 USD and costs a sixth of that; 0.001 USD holds ten at once, then more."""
    limit = 0.001
    with limited("crowd", limit) as client:
        statuses = asyncio.run(_crowd(door.url, client.headers["authorization"]))
        spent = sum(item["cost"] for item in costs(client, "model"))
        assert statuses.count(200) >= 10
        assert set(statuses) == {200, 429}
        assert 0 < spent <= limit
        while client.post("/openai/chat/completions", json=CHAT).status_code == 200:
            pass
        spent = sum(item["cost"] for item in costs(client, "model"))
        assert limit * 0.85 < spent <= limit


@pytest.mark.requirement("gateway:budget-turns")
def test_a_call_waits_for_what_others_reserve_where_what_is_spent_leaves_room(
    door: Door, limited: Callable[[str, float], httpx.Client]
) -> None:
    """The budget holds one call of up to 0.00009 USD at a time, and what all three cost in the end."""
    with limited("turns", 0.00014) as client:
        assert asyncio.run(_crowd(door.url, client.headers["authorization"], 3)) == [200] * 3
        assert 0 < sum(item["cost"] for item in costs(client, "model")) <= 0.00014


async def _crowd(url: str, key: str, calls: int = 100) -> list[int]:
    async with aiohttp.ClientSession(url, headers={"authorization": key}) as session:

        async def ask() -> int:
            async with session.post(
                "/openai/chat/completions", json=CHAT | {"model": "gpt-4o-mini-w200"}
            ) as answer:
                await answer.read()
                return answer.status

        return await asyncio.gather(*(ask() for _ in range(calls)))


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/openai/chat/completions", CHAT | {"model": "gpt-99"}, 403),
        ("/openai/batches", {"input_file_id": "f", "endpoint": "/v1/responses"}, 403),
        ("/openai/audio/speech", {"model": "tts-1", "input": "x", "voice": "alloy"}, 403),
        ("/anthropic/v1/messages/batches", {"requests": []}, 403),
        ("/openai/chat/completions", "not json", 400),
        ("/openai/chat/completions", CHAT | {"max_tokens": 10**15}, 429),
        ("/openai/chat/completions", CHAT | {"n": 100_000_000}, 429),
        ("/openai/chat/completions", CHAT | {"max_tokens": -5}, 200),
        ("/openai/embeddings", {"model": "text-embedding-3-small", "input": "x"}, 200),
        ("/openai/moderations", {"input": "x"}, 404),
        ("/anthropic/v1/messages/count_tokens", {"model": "claude-sonnet-4-6", "messages": []}, 200),
    ],
)
def test_under_a_budget_what_nobody_can_price_is_refused_and_what_is_free_passes(
    limited: Callable[[str, float], httpx.Client], path: str, body: Any, status: int
) -> None:
    with limited(f"odd-{abs(hash(str(body)))}", 1.0) as client:
        content = body if isinstance(body, str) else json.dumps(body)
        answer = client.post(path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text


def test_a_stream_that_tells_no_usage_settles_at_what_was_reserved(
    limited: Callable[[str, float], httpx.Client],
) -> None:
    with limited("cut", 1.0) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            client.post("/openai/chat/completions", json=CHAT | {"model": "gpt-4o-mini-cut", "stream": True})
        client.post("/openai/chat/completions", json=CHAT)
        items = {item["model"]: item for item in costs(client, "model")}
    body = len(json.dumps(CHAT))
    assert items["gpt-4o-mini-cut"]["estimated"] == 1
    assert items["gpt-4o-mini-cut"]["cost"] > (100 * 0.6 + body * 0.15) / 1e6
    assert items["gpt-4o-mini-cut"]["cost"] > 3 * items["gpt-4o-mini"]["cost"]


def test_a_refused_call_gives_back_what_it_took(limited: Callable[[str, float], httpx.Client]) -> None:
    with limited("back", 0.0002) as client:
        for _ in range(20):  # each takes more than half of the budget
            assert client.post("/openai/chat/completions", json=CHAT | {"model": "err-400"}).status_code in {
                400,
                403,
            }
        assert client.post("/openai/chat/completions", json=CHAT).status_code == 200


def test_the_header_of_a_workflow_limits_each_of_its_runs_and_what_they_start(http: httpx.Client) -> None:
    def deploy(name: str, header: str) -> str:
        code = workflow(ASKING, title=name).replace(HEADER.format(more=""), header)
        answer = http.post("/deploy", json={"code": code, "name": name, "allow": True}, timeout=300)
        assert answer.status_code == 200, answer.text
        return answer.json()["service_id"]

    table = "# [tool.codewords]\n# budget = {run = 0.0002}\n# ///"
    parent = deploy("Thrifty", with_table(table))
    child = deploy("Child", HEADER.format(more=""))
    few = http.post(f"/run/{parent}/", json={"chat": CHAT, "calls": 1})
    assert few.json()[0] == 200
    many = http.post(f"/run/{parent}/", json={"chat": CHAT, "calls": 30, "then": child})
    status, refusal = many.json()
    assert (status, refusal["error"]["code"]) == (429, "insufficient_quota")
    record = http.get(f"/request/{many.headers['x-request-id']}").json()
    assert 0 < record["cost"] <= 0.0002
    nested = http.get("/runs", params={"service_id": child}).json()["items"][0]
    assert nested["cost"] is None  # the parent's budget held for it
    assert http.post(f"/run/{child}/", json={"chat": CHAT}).json()[0] == 200


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_sdk_repeats_a_refusal(door: Door, limited: Callable[[str, float], httpx.Client]) -> None:
    code = """
import sys, json, anthropic, openai
from google import genai
from google.genai import types
url, key = sys.argv[1:]
seen = {}
def step(name, work):
    try:
        work()
    except Exception as error:
        seen[name] = [type(error).__name__, getattr(error, "status_code", None) or getattr(error, "code", None)]
hi = [{"role": "user", "content": "hi"}]
step("openai", lambda: openai.OpenAI(api_key=key, base_url=url + "/openai").chat.completions.create(model="gpt-4o-mini", messages=hi))
step("anthropic", lambda: anthropic.Anthropic(api_key=key, base_url=url + "/anthropic").messages.create(model="claude-sonnet-4-6", max_tokens=9, messages=hi))
options = types.HttpOptions(base_url=url + "/gemini")
client = genai.Client(api_key=key, http_options=options)
step("gemini", lambda: client.models.generate_content(model="gemini-2.5-flash", contents="hi"))
print(json.dumps(seen))
"""
    for age in ("newest", "oldest"):
        with limited(f"sdk-{age}", 0.0) as client:
            key = client.headers["authorization"].removeprefix("Bearer ")
        asked = 0
        ask = door.runtime.models.call

        async def counting(request: Any, ask: Any = ask) -> Any:
            nonlocal asked
            asked += 1
            return await ask(request)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(door.runtime.models, "call", counting)
            done = subprocess.run(
                [provider_sdks(age), "-c", code, door.url, key],
                capture_output=True,
                encoding="utf-8",
                check=True,
                timeout=120,
            )
        seen = json.loads(done.stdout)
        assert seen["openai"] == ["RateLimitError", 429]
        assert seen["anthropic"][1] == seen["gemini"][1] == 402
        assert asked == 3, age


@pytest.mark.slow
@pytest.mark.requirement("gateway:reservations-survive")
def test_what_a_killed_runtime_had_reserved_is_spent_at_the_next_start(
    tmp_path: Path, providers: LoopbackProviders
) -> None:
    home = tmp_path / "home"
    env = {
        "OPENAI_API_KEY": KEYS["openai"], "CODEWORDS_OPENAI_BASE_URL": providers.url,
        "CODEWORDS_BUDGETS": '{"home": 1.0}', "CODEWORDS_MODEL_ALIASES": '{"gpt-4o-mini-w600000": "gpt-4o-mini"}',
    }  # fmt: skip
    asked = len(providers.requests)
    with pytest.raises(AssertionError, match="stopped"), start_runtime(home, **env) as served:
        caller = threading.Thread(target=_hang, args=(served.url, served.key))
        caller.start()
        assert providers.wait_for(lambda: len(providers.requests) > asked)
        database = home / "codewords.db"
        until(lambda: _reserved(database), "the books to be written, a tenth of a second later")
        served.kill()
        caller.join(30)
        raise AssertionError("the runtime was stopped")
    with start_runtime(home, **env) as served:
        (item,) = served.call("GET", "/costs?by=model")["items"]
        assert (item["model"], item["calls"], item["estimated"]) == ("gpt-4o-mini-w600000", 1, 1)
        (budget,) = served.call("GET", "/budgets")["items"]
        assert budget["spent"] == pytest.approx(item["cost"])
        assert item["cost"] > 100 * 0.6 / 1e6
    assert not _reserved(home / "codewords.db")


def _hang(url: str, key: str) -> None:
    body = CHAT | {"model": "gpt-4o-mini-w600000"}
    with pytest.raises(httpx.TransportError):
        httpx.post(
            f"{url}/openai/chat/completions",
            json=body,
            headers={"Authorization": key},
            timeout=60,
            trust_env=False,
        )


def _reserved(database: Path) -> bool:
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        return connection.execute("SELECT count(*) FROM model_reservations").fetchone()[0] > 0


@pytest.mark.requirement("cli:budget")
def test_budgets_are_set_shown_and_removed_by_command(door: Door, http: httpx.Client, tmp_path: Path) -> None:
    env = os.environ | {
        "CODEWORDS_RUNTIME_URL": door.url,
        "CODEWORDS_API_KEY": ADMIN_KEY,
        "CODEWORDS_HOME": str(tmp_path),
    }

    def budget(*words: str, code: int = 0) -> str:
        found, out, errors = command_server().run(["codewords", "budgets", *words], env, "", 60)
        assert found == code, errors
        return out

    code = workflow('@app.post("/")\nasync def main() -> dict:\n    return {}\n')
    made = http.post("/deploy", json={"code": code, "name": "Thing", "allow": True}, timeout=300)
    thing = made.json()["service_id"]
    assert budget("set", "day", "500").startswith("home, each day: at most 500.00 USD.")
    budget("set", "workflow", "7.5", "--of", thing, "--per", "month")
    budget("set", "workflow", "7.5", "--of", "no_such_0123abcd", code=2)
    listed = [line.split("\t") for line in budget("list").splitlines()]
    assert ["home, each day", "500.00"] in [line[:2] for line in listed]
    assert [f"workflow {thing}, each month", "7.5", "0.00", "0.00"] in listed
    assert json.loads(budget("delete", "day", "--json"))["deleted"] is True
    budget("delete", "workflow", "--of", thing, "--per", "month")
    budget("delete", "day", code=2)
    budget("set", "run", "1", "--per", "day", code=2)
    budget("set", "run", "nan", code=2)
    assert not [one for one in http.get("/budgets").json()["items"] if one["scope"] in {"home", "workflow"}]


def test_only_an_admin_manages_budgets(door: Door) -> None:
    with door.client(key=door.make_key(owner="plain")) as client:
        assert client.get("/budgets").status_code == 403
        assert client.put("/budgets/home", json={"usd": 1.0}).status_code == 403
        assert client.delete("/budgets/home").status_code == 403


@pytest.mark.requirement("quotas:spend")
def test_a_budget_of_an_owner_bounds_all_keys_of_that_owner_and_nobody_else(
    door: Door, http: httpx.Client, providers: LoopbackProviders
) -> None:
    keys = {
        name: http.post("/keys", json={"owner": owner, "kind": "user"}).json()["key"]
        for name, owner in (("one", "spenders"), ("two", "spenders"), ("other", "savers"))
    }

    def ask(name: str) -> httpx.Response:
        with door.client(keys[name]) as client:
            return client.post("/openai/chat/completions", json=CHAT)

    for name in ("one", "other"):
        with door.client(keys[name]) as client:
            assert client.put("/secrets/OPENAI_API_KEY", json={"value": KEYS["openai"]}).is_success
        assert ask(name).status_code == 200, ask(name).text

    http.put("/budgets/owner", json={"usd": 1, "subject": "spenders"})
    [budget] = [item for item in http.get("/budgets").json()["items"] if item["scope"] == "owner"]
    assert budget["spent"] > 0, "what was spent before the budget was set counts"
    http.put("/budgets/owner", json={"usd": budget["spent"], "subject": "spenders"})
    asked = len(providers.requests)
    for name in ("one", "two"):
        refused = ask(name)
        assert refused.status_code == 429
        assert "The budget of this owner is" in refused.text
    assert len(providers.requests) == asked
    assert ask("other").status_code == 200
    assert http.delete("/budgets/owner?subject=spenders").is_success
    assert ask("two").status_code == 200
