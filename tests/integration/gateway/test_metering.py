"""What calls used and cost: counted to the token, on the run and the runs above it, and estimated where nothing was told."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from tests.integration.gateway.helpers import ASKING, costs
from tests.support.command_server import command_server
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import workflow

from codewords_testing.providers import LoopbackProviders

pytestmark = pytest.mark.requirement("gateway:metering")
CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def asking(door: Door) -> str:
    """A workflow that calls OpenAI, and then another workflow if it is told to."""
    with door.client() as client:
        answer = client.post(
            "/deploy",
            json={"code": workflow(ASKING, title="Asking"), "name": "Asking", "allow": True},
            timeout=300,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["service_id"]


@pytest.fixture
def someone(door: Door) -> Callable[[str], httpx.Client]:
    """A client of an owner of its own, whose costs are nobody else's."""

    def make(owner: str) -> httpx.Client:
        return door.client(key=door.make_key(owner=owner))

    return make


def test_a_call_is_counted_and_priced_and_nobody_else_sees_it(someone: Callable[[str], httpx.Client]) -> None:
    with someone("ada") as ada, someone("bob") as bob:
        told = ada.post("/openai/chat/completions", json=CHAT).json()["usage"]
        assert costs(bob, "model") == []
        (item,) = costs(ada, "model")
    assert (item["provider"], item["model"], item["calls"]) == ("openai", "gpt-4o-mini", 1)
    assert item["input_tokens"] == told["prompt_tokens"]
    assert item["output_tokens"] == told["completion_tokens"]
    assert (item["cache_read_tokens"], item["reasoning_tokens"]) == (5, 3)
    fresh = told["prompt_tokens"] - 5
    expected = (fresh * 0.15 + 5 * 0.075 + told["completion_tokens"] * 0.6) / 1e6
    assert item["cost"] == pytest.approx(expected, rel=1e-9)
    assert (item["estimated"], item["unpriced"]) == (0, 0)


def test_refused_calls_and_calls_that_are_free_cost_nothing(someone: Callable[[str], httpx.Client]) -> None:
    with someone("free") as client:
        client.post("/openai/chat/completions", json=CHAT | {"model": "err-429"})
        client.post("/openai/chat/completions", content=b"not json")
        client.get("/openai/models")
        client.post("/anthropic/v1/messages/count_tokens", json={"model": "claude-sonnet-4-6"})
        assert costs(client, "model") == []


def test_a_model_without_a_price_is_counted_and_said_to_have_none(
    someone: Callable[[str], httpx.Client],
) -> None:
    with someone("unpriced") as client:
        client.post("/openai/chat/completions", json=CHAT | {"model": "gpt-99"})
        client.post("/openai/batches", json={"input_file_id": "f", "endpoint": "/v1/responses"})
        found = {item["model"]: item for item in costs(client, "model")}
    assert (found["gpt-99"]["calls"], found["gpt-99"]["unpriced"], found["gpt-99"]["cost"]) == (1, 1, 0)
    assert found["gpt-99"]["output_tokens"] == 16
    assert found["/batches"]["unpriced"] == 1


def test_a_conversation_that_is_compacted_is_counted_on_the_model_that_was_asked(
    someone: Callable[[str], httpx.Client],
) -> None:
    with someone("compact") as client:
        client.post(
            "/openai/responses/compact", json={"model": "gpt-4o-mini", "input": "hi"}
        ).raise_for_status()
        (item,) = costs(client, "model")
    assert (item["model"], item["calls"], item["output_tokens"], item["estimated"]) == (
        "gpt-4o-mini",
        1,
        16,
        0,
    )
    assert item["cost"] > 0


@pytest.mark.requirement("gateway:bad-usage")
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/openai/chat/completions", CHAT | {"model": "gpt-4o-mini-nousage"}),
        ("/openai/chat/completions", CHAT | {"model": "gpt-4o-mini-nousage", "stream": True}),
        ("/openai/chat/completions", CHAT | {"model": "gpt-4o-mini-br"}),
        ("/openai/chat/completions", CHAT | {"model": "gpt-4o-mini-midstream", "stream": True}),
        ("/anthropic/v1/messages", {"model": "claude-sonnet-4-6-nousage", "max_tokens": 5, "stream": True}),
        ("/gemini/v1/models/gemini-nousage:generateContent", {"contents": []}),
    ],
)
def test_an_answer_that_tells_no_usage_is_estimated_and_marked(
    someone: Callable[[str], httpx.Client], path: str, body: dict[str, Any]
) -> None:
    with someone(f"estimated-{abs(hash(str(body)))}") as client:
        assert client.post(path, json=body).status_code == 200
        (item,) = costs(client, "model")
    assert (item["calls"], item["estimated"]) == (1, 1)
    assert item["input_tokens"] > 0
    assert item["output_tokens"] > 0


def test_a_stream_left_half_way_is_estimated_by_what_came(
    someone: Callable[[str], httpx.Client], providers: LoopbackProviders
) -> None:
    with someone("leaver") as client:
        before = len(providers.aborted)
        body: dict[str, Any] = {
            "model": "claude-sonnet-4-6-c5000-d20",
            "max_tokens": 9000,
            "messages": [],
            "stream": True,
        }
        with client.stream("POST", "/anthropic/v1/messages", json=body) as answer:
            lines = answer.iter_lines()
            while "content_block_delta" not in next(lines):
                pass
        assert providers.wait_for(lambda: len(providers.aborted) > before)
        (item,) = costs(client, "model")
    assert (item["calls"], item["estimated"]) == (1, 1)
    assert item["input_tokens"] > 300  # as the first event told, cache included
    assert 0 < item["output_tokens"] < 5000
    assert item["cost"] > 0


@pytest.mark.requirement("gateway:attribution")
def test_a_runs_cost_is_on_its_record_and_on_the_run_that_started_it(http: httpx.Client, asking: str) -> None:
    parent = http.post(f"/run/{asking}/", json={"chat": CHAT, "calls": 2, "then": asking})
    assert parent.status_code == 200, parent.text
    record = http.get(f"/request/{parent.headers['x-request-id']}").json()
    (model,) = record["usage"]["models"]
    assert (model["provider"], model["model"], model["calls"]) == ("openai", "gpt-4o-mini", 3)
    assert record["cost"] == record["usage"]["cost"] == model["cost"] > 0
    runs = http.get("/runs", params={"service_id": asking, "limit": 2}).json()["items"]
    nested = next(run for run in runs if run["parentRequestId"] == record["id"])
    assert nested["usage"]["models"][0]["calls"] == 1
    assert nested["cost"] == pytest.approx(record["cost"] / 3)
    by_workflow = {item["service_id"]: item for item in costs(http, "workflow")}
    assert by_workflow[asking]["calls"] == 3  # not the nested one again


@pytest.mark.requirement("gateway:attribution")
def test_usage_of_runs_has_what_models_cost_and_says_which_calls_have_no_price(
    http: httpx.Client, asking: str
) -> None:
    def usage() -> dict[str, Any]:
        items = http.get("/usage", params={"by": "workflow"}).json()["items"]
        return next((one for one in items if one["of"] == asking), {"cost": 0, "unpriced": 0})

    before = usage()
    cost = http.get(f"/request/{_asked(http, asking, CHAT)}").json()["cost"]
    _asked(http, asking, CHAT | {"model": "gpt-99"})
    after = usage()
    assert after["cost"] - before["cost"] == pytest.approx(cost)
    assert after["unpriced"] - before["unpriced"] == 1


def _asked(http: httpx.Client, asking: str, chat: dict[str, Any]) -> str:
    """The run that made this call."""
    answer = http.post(f"/run/{asking}/", json={"chat": chat})
    assert answer.json()[0] == 200, answer.text
    return answer.headers["x-request-id"]


@pytest.mark.requirement("gateway:attribution")
def test_costs_are_told_by_day_key_and_run_to_people_only(
    door: Door, http: httpx.Client, asking: str
) -> None:
    before = sum(item["calls"] for item in costs(http, "day"))
    key = door.make_key(owner="local")
    with door.client(key=key) as client:
        run = client.post(f"/run/{asking}/", json={"chat": CHAT}).headers["x-request-id"]
        key_id = next(
            item["id"] for item in http.get("/keys").json()["items"] if key.startswith(item["prefix"])
        )
        assert {item["key_id"]: item["calls"] for item in costs(client, "key")}[key_id] == 1
        assert {item["run_id"]: item["calls"] for item in costs(client, "run")}[run] == 1
    assert sum(item["calls"] for item in costs(http, "day")) == before + 1
    assert http.get("/costs", params={"by": "mood"}).status_code == 400
    peeking = workflow(
        'import os, httpx\n@app.post("/")\ndef peek():\n'
        '    key = {"Authorization": os.environ["CODEWORDS_API_KEY"]}\n'
        '    return httpx.get(os.environ["RUNTIME_URI"] + "/costs", headers=key).status_code\n',
        title="Peek",
    )
    service = http.post("/deploy", json={"code": peeking, "name": "Peek", "allow": True}, timeout=300).json()[
        "service_id"
    ]
    assert http.post(f"/run/{service}/", json={}).json() == 403


@pytest.mark.requirement("cli:costs")
def test_the_command_shows_costs_to_people_and_to_scripts(
    door: Door, http: httpx.Client, tmp_path: Path
) -> None:
    http.post("/openai/chat/completions", json=CHAT)
    env = os.environ | {
        "CODEWORDS_RUNTIME_URL": door.url, "CODEWORDS_API_KEY": ADMIN_KEY, "CODEWORDS_HOME": str(tmp_path),
    }  # fmt: skip

    def codewords(*words: str) -> str:
        code, out, errors = command_server().run(["codewords", "costs", *words], env, "", 60)
        assert code == 0, errors
        return out

    shown = [line.split("\t") for line in codewords("--by", "model").splitlines()]
    assert "openai/gpt-4o-mini" in [line[0] for line in shown]
    assert codewords("--json").startswith('[{"day": ')


KINDS: list[tuple[str, dict[str, Any]]] = [
    ("/openai/chat/completions", CHAT),
    ("/openai/chat/completions", CHAT | {"stream": True}),
    ("/openai/chat/completions", CHAT | {"stream": True, "stream_options": {"include_usage": True}}),
    ("/run/openai/v1/responses", {"model": "gpt-4o-mini", "input": "hi"}),
    ("/run/openai/v1/responses", {"model": "gpt-4o-mini", "input": "hi", "stream": True}),
    ("/openai/embeddings", {"model": "text-embedding-3-small", "input": "hi"}),
    ("/anthropic/v1/messages", {"model": "claude-sonnet-4-6", "max_tokens": 50, "messages": []}),
    (
        "/anthropic/v1/messages",
        {"model": "claude-sonnet-4-6", "max_tokens": 50, "messages": [], "stream": True},
    ),
    ("/gemini/v1/models/gemini-2.5-flash:generateContent", {"contents": []}),
    ("/gemini/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse", {"contents": []}),
    ("/run/gemini/v1/chat/completions", CHAT | {"stream": True, "model": "gemini-2.5-flash"}),
]


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_the_sums_of_ten_thousand_mixed_calls_are_the_providers_own(
    door: Door, http: httpx.Client, providers: LoopbackProviders
) -> None:
    before, billed = _sums(http), dict(providers.tokens)
    asyncio.run(_many(door.url, 10_000))
    after = _sums(http)
    for provider in ("openai", "anthropic", "gemini"):
        for kind in ("input", "output"):
            counted = after.get((provider, kind), 0) - before.get((provider, kind), 0)
            name = f"{provider}.{kind}"
            assert counted == providers.tokens[name] - billed.get(name, 0), name
    assert after["calls", ""] - before["calls", ""] == 10_000
    assert after["estimated", ""] == before["estimated", ""]


def _sums(client: httpx.Client) -> dict[tuple[str, str], int]:
    sums: dict[tuple[str, str], int] = {("calls", ""): 0, ("estimated", ""): 0}
    for item in costs(client, "model"):
        for kind in ("input", "output"):
            name = (item["provider"], kind)
            sums[name] = sums.get(name, 0) + item[f"{kind}_tokens"]
        for kind in ("calls", "estimated"):
            sums[kind, ""] += item[kind]
    return sums


async def _many(url: str, count: int) -> None:
    chosen = random.Random(5)
    kinds = iter([chosen.choice(KINDS) for _ in range(count)])
    key = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with aiohttp.ClientSession(url, headers=key) as session:

        async def worker() -> None:
            for path, body in kinds:
                padded = body | {"user": "x" * chosen.randrange(400)}
                async with session.post(path, json=padded) as answer:
                    await answer.read()
                    assert answer.status == 200

        await asyncio.gather(*(worker() for _ in range(32)))
