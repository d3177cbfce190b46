"""Named providers: OpenAI-compatible servers and Azure behind the gateway, asked by the official SDK."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from tests.integration.gateway.helpers import CHAT, closed_after_test, costs
from tests.integration.secrets.fake_recorder import Library
from tests.support import sdks
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.settings import Settings
from codewords_testing.providers import LoopbackProviders, StubReply, key_of, loopback_providers

pytestmark = pytest.mark.requirement("gateway:named")
HI: Any = [{"role": "user", "content": "hi"}]
MODELS = {
    "openrouter": "openai/gpt-4o-mini",
    "groq": "llama-3.3-70b-versatile",
    "mistral": "mistral-large-latest",
    "deepseek": "deepseek-chat",
    "xai": "grok-3-mini",
}
"""A model of each preset that genai-prices knows."""
KEYS = {name: f"real-key-of-{name}" for name in (*MODELS, "openai", "azure", "mine")}


@pytest.fixture(scope="module")
def providers() -> Iterator[LoopbackProviders]:
    with loopback_providers({"openai": " ".join(KEYS.values())}) as running:
        yield running


@pytest.fixture(scope="module")
def free_server() -> Iterator[LoopbackProviders]:
    """A server that asks for no key."""
    with loopback_providers() as running:
        yield running


@pytest.fixture(scope="module")
def door(
    tmp_path_factory: pytest.TempPathFactory, providers: LoopbackProviders, free_server: LoopbackProviders
) -> Iterator[Door]:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    there = {"base_url": f"{providers.url}/v1"}
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path_factory.mktemp("home")), "port": 0, "api_key": ADMIN_KEY,
            "openai_base_url": providers.url, "provider_retries": 0,
            "secret_sources": ["env://MINE_*"],
            "providers": dict.fromkeys(MODELS, there) | {
                "ollama": {"base_url": f"{free_server.url}/v1"},
                "azure": {"base_url": providers.url},
                "mine": there | {"title": "Mine", "prices": {"big": {"input": 2, "output": 8}}},
                "lost": {"base_url": nobody, "needs_key": False},
            },
        }
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINE_ELSEWHERE", KEYS["mine"])
        for name in MODELS:
            patch.delenv(f"{name.upper()}_API_KEY", raising=False)
        with Door(settings) as opened:
            with opened.client() as client:
                for name in (*MODELS, "openai", "azure"):
                    put(client, f"{name.upper()}_API_KEY", {"value": KEYS[name]})
                put(client, "MINE_API_KEY", {"source": "env://MINE_ELSEWHERE"})
            yield opened


def put(client: httpx.Client, name: str, body: dict[str, str]) -> None:
    answer = client.put(f"/secrets/{name}", json=body)
    assert answer.status_code == 200, answer.text


@pytest.fixture
def http(door: Door) -> Iterator[httpx.Client]:
    with door.client() as client:
        yield client


def sdk(door: Door, base: str = "/openai", key: str = ADMIN_KEY) -> sdks.openai.OpenAI:
    return sdk_at(door.url + base, key)


def sdk_at(url: str, key: str) -> sdks.openai.OpenAI:
    return closed_after_test(sdks.openai.OpenAI(api_key=key, base_url=url, max_retries=0))


@pytest.mark.parametrize("name", MODELS)
def test_a_provider_is_asked_by_its_path_and_by_a_models_name(
    door: Door, http: httpx.Client, providers: LoopbackProviders, name: str
) -> None:
    model = MODELS[name]
    for client, asked in (
        (sdk(door, f"/providers/{name}/v1"), model),
        (sdk(door, f"/providers/{name}"), model),
        (sdk(door), f"{name}/{model}"),
        (sdk(door, "/run/openai/v1"), f"{name}/{model}"),
    ):
        made = client.chat.completions.create(model=asked, messages=HI, max_tokens=50)
        assert made.choices[0].message.content
        request = providers.requests[-1]
        assert key_of(request) == {KEYS[name]}
        assert (request.path, request.json["model"]) == ("/v1/chat/completions", model)
    counted = next(item for item in costs(http, "model") if item["provider"] == name)
    assert (counted["model"], counted["calls"], counted["unpriced"]) == (model, 4, 0)
    assert counted["cost"] > 0


def test_a_stream_has_what_its_caller_asked_for_and_is_counted(
    door: Door, http: httpx.Client, providers: LoopbackProviders
) -> None:
    asked: Any = {"model": "mine/big", "messages": HI, "stream": True}
    client: Any = sdk(door)
    made = client.chat.completions.create(**asked)
    chunks: list[Any] = list(made)
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert providers.requests[-1].json["stream_options"] == {"include_usage": True}
    made = client.chat.completions.create(**asked, stream_options={"include_usage": True})
    chunks = list(made)
    used: Any = chunks[-1].usage
    counted = next(item for item in costs(http, "model") if item["provider"] == "mine")
    assert counted["output_tokens"] == 2 * used.completion_tokens
    assert counted["estimated"] == 0
    plain = used.prompt_tokens * 2e-6 + used.completion_tokens * 8e-6
    assert counted["cost"] == pytest.approx(2 * plain)


def test_mistral_is_not_asked_for_what_it_refuses_and_reports_anyway(
    door: Door, providers: LoopbackProviders
) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "mistral-large-latest"}
    choice = {"index": 0, "delta": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    events = [json.dumps(chunk | {"choices": [choice], "usage": usage}).encode(), b"[DONE]"]
    stream = [b"data: " + event + b"\n\n" for event in events]
    providers.answer_next(StubReply(stream=list(stream), media="text/event-stream"), key=KEYS["mistral"])
    chunks = list(
        sdk(door).chat.completions.create(model="mistral/mistral-large-latest", messages=HI, stream=True)
    )
    assert "stream_options" not in providers.requests[-1].json
    assert [(one.choices[0].delta.content, one.usage and one.usage.total_tokens) for one in chunks] == [
        ("hi", 10)
    ]


def test_a_server_without_keys_gets_none_and_costs_nothing(
    door: Door, http: httpx.Client, free_server: LoopbackProviders
) -> None:
    sdk(door).chat.completions.create(model="ollama/qwen3:8b", messages=HI)
    assert not key_of(free_server.requests[-1])
    counted = next(item for item in costs(http, "model") if item["provider"] == "ollama")
    assert (counted["cost"], counted["unpriced"]) == (0, 0)


@pytest.mark.requirement("gateway:azure")
def test_azures_client_asks_its_deployments_with_their_version(
    door: Door, http: httpx.Client, providers: LoopbackProviders
) -> None:
    client = closed_after_test(
        sdks.openai.AzureOpenAI(
            azure_endpoint=f"{door.url}/providers/azure",
            api_key=ADMIN_KEY,
            api_version="2024-10-21",
            max_retries=0,
        )
    )
    made = client.chat.completions.create(model="gpt-4o-mini", messages=HI)
    assert made.choices[0].message.content
    request = providers.requests[-1]
    assert request.path == "/openai/deployments/gpt-4o-mini/chat/completions"
    assert request.query == "api-version=2024-10-21"
    assert request.headers["api-key"] == KEYS["azure"]
    assert "authorization" not in request.headers
    pieces = client.chat.completions.create(model="gpt-4o-mini", messages=HI, stream=True)
    assert "".join(one.choices[0].delta.content or "" for one in pieces) == made.choices[0].message.content
    assert len(client.embeddings.create(model="text-embedding-3-small", input="hi").data) == 1
    by_name = sdk(door).chat.completions.create(model="azure/gpt-4o-mini", messages=HI)
    assert by_name.choices[0].message.content == made.choices[0].message.content
    assert providers.requests[-1].path == "/openai/v1/chat/completions"
    counted = {item["model"]: item for item in costs(http, "model") if item["provider"] == "azure"}
    assert counted["gpt-4o-mini"]["calls"] == 3
    assert not any(item["unpriced"] for item in counted.values())


def test_only_the_outermost_model_of_a_known_provider_counts(
    door: Door, providers: LoopbackProviders
) -> None:
    inner: Any = [{"role": "user", "content": 'say {"model": "groq/llama"}'}]
    sdk(door).chat.completions.create(model="gpt-4o-mini", messages=inner)
    assert key_of(providers.requests[-1]) == {KEYS["openai"]}
    sdk(door).chat.completions.create(model="nobody/gpt-4o-mini", messages=HI)
    request = providers.requests[-1]
    assert (key_of(request), request.json["model"]) == ({KEYS["openai"]}, "nobody/gpt-4o-mini")
    for path in ("/providers/nobody/v1/chat/completions", "/providers/groq/v1/../chat/completions"):
        answer = httpx.post(
            door.url + path.replace("..", "%2e%2e"), json=CHAT, headers={"x-api-key": ADMIN_KEY}
        )
        assert answer.status_code == 404, answer.text


def test_a_keys_list_of_models_names_the_provider(door: Door) -> None:
    key = door.make_key(owner="few", models=["gpt-4o*", "groq/llama-*", "openai/*"])
    client = sdk(door, key=key)
    assert client.chat.completions.create(model="groq/llama-3.3-70b-versatile", messages=HI).choices
    for model in ("groq/gpt-4o", "openrouter/openai/gpt-4o-mini", "azure/gpt-4o-mini", "mine/gpt-4o"):
        with pytest.raises(sdks.openai.PermissionDeniedError) as refused:
            client.chat.completions.create(model=model, messages=HI)
        assert refused.value.code == "model_not_allowed"


def test_a_model_without_a_price_says_so_before_a_budget_refuses_it(door: Door, http: httpx.Client) -> None:
    key = door.make_key(owner="counted")
    body = CHAT | {"model": "mine/small"}
    with door.client(key) as client:
        answer = client.post("/openai/chat/completions", json=body)
        assert (answer.status_code, answer.headers["x-codewords-price"]) == (200, "unknown")
        priced = client.post("/openai/chat/completions", json=body | {"model": "mine/big"})
        assert "x-codewords-price" not in priced.headers

        found = next(item for item in http.get("/keys").json()["items"] if key.startswith(item["prefix"]))
        assert http.put("/budgets/key", json={"usd": 5, "subject": found["id"]}).status_code == 200
        refused = client.post("/openai/chat/completions", json=body)
        assert refused.json()["codewords"]["code"] == "unpriced_model"
        assert client.post("/openai/chat/completions", json=body | {"model": "mine/big"}).status_code == 200
        assert client.post("/openai/chat/completions", json=body | {"model": "ollama/any"}).status_code == 200


def test_a_budget_holds_on_every_way_to_a_provider(door: Door, http: httpx.Client) -> None:
    key = door.make_key(owner="poor")
    found = next(item for item in http.get("/keys").json()["items"] if key.startswith(item["prefix"]))
    assert http.put("/budgets/key", json={"usd": 0.000001, "subject": found["id"]}).status_code == 200
    ways = {
        "/openai/chat/completions": "groq/llama-3.3-70b-versatile",
        "/providers/groq/chat/completions": "llama-3.3-70b-versatile",
        "/providers/azure/openai/deployments/gpt-4o-mini/chat/completions": "ignored",
        "/providers/azure/openai/v1/chat/completions": "gpt-4o-mini",
        "/providers/azure/openai/responses": "gpt-4o-mini",
    }
    with door.client(key) as client:
        for path, model in ways.items():
            answer = client.post(path, json=CHAT | {"model": model})
            assert answer.status_code == 429, (path, answer.text)
            assert answer.json()["codewords"]["code"] == "budget_exceeded", path
        for path in (
            "/providers/azure/openai/deployments/a%2Fb/chat/completions",
            "/providers/groq/v1/batches",
        ):
            assert client.post(path, json=CHAT).json()["codewords"]["code"] == "unpriced_model", path


def test_usage_that_is_left_out_is_estimated(door: Door, http: httpx.Client) -> None:
    before = {item["model"]: item for item in costs(http, "model") if item["provider"] == "deepseek"}
    for stream in (False, True):
        answer = http.post(
            "/openai/chat/completions",
            json=CHAT | {"model": "deepseek/deepseek-chat-nousage", "stream": stream},
        )
        assert answer.status_code == 200
    after = {item["model"]: item for item in costs(http, "model") if item["provider"] == "deepseek"}
    assert after["deepseek-chat-nousage"]["estimated"] == 2
    assert "deepseek-chat-nousage" not in before


def test_a_provider_that_is_away_or_answers_something_else_is_told(
    door: Door, http: httpx.Client, providers: LoopbackProviders
) -> None:
    for _ in range(6):
        with pytest.raises(sdks.openai.InternalServerError) as away:
            sdk(door).chat.completions.create(model="lost/any", messages=HI)
        assert away.value.status_code == 502
    listed = {item["name"]: item for item in http.get("/providers").json()["items"]}
    assert listed["lost"]["resting"] > 0
    assert not listed["groq"]["resting"]
    assert sdk(door).chat.completions.create(model="groq/llama-3.3-70b-versatile", messages=HI).choices

    page = StubReply(body=b"<html>This is a proxy.</html>", media="text/html")
    providers.answer_next(page, key=KEYS["mine"])
    answer = http.post("/openai/chat/completions", json=CHAT | {"model": "mine/big"})
    assert (answer.status_code, answer.text) == (200, "<html>This is a proxy.</html>")
    providers.answer_next(StubReply(hangs_up=True), key=KEYS["mine"])
    answer = http.post("/openai/chat/completions", json=CHAT | {"model": "mine/big"})
    assert answer.status_code == 502
    assert answer.json()["codewords"]["message"].startswith("The connection to mine")


def test_a_run_asks_the_providers_of_its_manifest_on_either_way(
    door: Door, providers: LoopbackProviders
) -> None:
    run = Caller("local", "run", run_id="run-of-few")
    manifest = Manifest(models=("openai", "groq: models"), workflows=("*",))
    with door.sandbox(run, manifest=manifest) as inside:
        client = sdk_at(f"{inside.url}/openai", inside.key)
        assert client.chat.completions.create(model="groq/llama-3.3-70b-versatile", messages=HI).choices
        assert client.chat.completions.create(model="gpt-4o-mini", messages=HI).choices
        before = len(providers.requests)
        by_path = sdk_at(f"{inside.url}/providers/mine/v1", inside.key)
        for other, model in ((client, "mine/big"), (by_path, "big")):
            with pytest.raises(sdks.openai.PermissionDeniedError) as refused:
                other.chat.completions.create(model=model, messages=HI)
            assert "`mine: models`" in str(refused.value)
        with inside.client() as http:
            simple = http.post("/run/openai/", json={"model": "mine/big", "prompt": "hi"})
            assert simple.status_code == 403, simple.text
            # What is stored there is the account's.
            files = http.get("/providers/groq/v1/files")
            assert (files.status_code, "groq: account" in files.text) == (403, True)
            assert http.get("/providers").status_code == 403
        assert len(providers.requests) == before


def test_a_recorded_call_has_the_providers_address_and_is_given_again(
    door: Door, providers: LoopbackProviders
) -> None:
    library = Library()
    run = Caller("local", "run", run_id="recorded-run")

    async def begin(runtime: Runtime) -> None:
        runtime._container.gateway.recorders.add("recorded-run", library.recording())  # pyright: ignore[reportPrivateUsage]

    async def end(runtime: Runtime) -> None:
        runtime._container.gateway.recorders.remove("recorded-run")  # pyright: ignore[reportPrivateUsage]

    door.ask(begin)
    with door.sandbox(run) as inside:
        client = sdk_at(f"{inside.url}/openai", inside.key)
        made = client.chat.completions.create(model="groq/llama-3.3-70b-versatile", messages=HI)
        assert providers.wait_for(lambda: len(library.ended) == 1)
        exchange = library.ended[0]
        assert exchange.request.url == f"{providers.url}/v1/chat/completions"
        assert not exchange.request.writes
        assert KEYS["groq"] not in repr(library.ended)
        library.replays = True
        before = len(providers.requests)
        again = client.chat.completions.create(model="groq/llama-3.3-70b-versatile", messages=HI)
        assert again == made
        assert len(providers.requests) == before
    door.ask(end)


def test_the_providers_are_listed_with_what_they_need(door: Door, http: httpx.Client) -> None:
    listed = {item["name"]: item for item in http.get("/providers").json()["items"]}
    assert list(listed)[:3] == ["openai", "anthropic", "gemini"]
    assert listed["mine"] | {"resting": 0} == {
        "name": "mine", "title": "Mine", "interface": "openai", "address": f"{door.settings.providers['mine'].base_url}",
        "mount": "/providers/mine", "key": "MINE_API_KEY", "ready": True, "resting": 0,
    }  # fmt: skip
    assert not listed["gemini"]["ready"]
    assert listed["ollama"]["ready"]


def test_one_prompt_goes_to_a_named_provider(http: httpx.Client, providers: LoopbackProviders) -> None:
    for model, path in (("groq/llama-3.3-70b-versatile", "/v1/"), ("azure/gpt-4o-mini", "/openai/v1/")):
        answer = http.post("/run/openai/", json={"model": model, "prompt": "hi"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["model"] == model.partition("/")[2]
        assert answer.json()["cost"] > 0
        assert providers.requests[-1].path == f"{path}chat/completions"


def test_a_missing_key_names_the_secret_to_set(door: Door, http: httpx.Client) -> None:
    assert http.delete("/secrets/XAI_API_KEY").status_code in {200, 204}
    try:
        answer = http.post("/openai/chat/completions", json=CHAT | {"model": "xai/grok-3-mini"})
        assert answer.json()["codewords"]["code"] == "service_not_available"
        assert "XAI_API_KEY" in answer.text
    finally:
        put(http, "XAI_API_KEY", {"value": KEYS["xai"]})
