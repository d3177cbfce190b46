"""Tries: the same again where it is safe, other keys, models that a person named, and a provider that is left alone."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.integration.gateway.helpers import ASKING, KEYS, costs, with_table
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import HEADER, make_home, workflow
from tests.support.waiting import until_async

from codewords_mcp.settings import Settings
from codewords_testing.providers import LoopbackProviders, StubReply, key_of, loopback_providers

HI: list[dict[str, str]] = [{"role": "user", "content": "hi"}]
CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": HI, "max_tokens": 50}
MESSAGE: dict[str, Any] = {"model": "claude-sonnet-4-6", "messages": HI, "max_tokens": 50}
CONTENTS: dict[str, Any] = {"contents": [{"parts": [{"text": "hi"}]}]}
PLACES: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": ("/openai/chat/completions", CHAT),
    "anthropic": ("/anthropic/v1/messages", MESSAGE),
    "gemini": ("/gemini/v1/models/gemini-2.5-flash:generateContent", CONTENTS),
}
FALLBACKS = {
    "gpt-4o": ["anthropic/claude-sonnet-4-6", "gpt-4o-mini"],
    "claude-opus-5-5": ["openai/gpt-4o-mini"],
    "gemini-2.5-pro": ["gemini-2.5-flash"],
}
SOON = ("retry-after-ms", "1")


@pytest.fixture(scope="module")
def upstream() -> Iterator[LoopbackProviders]:
    with loopback_providers({"openai": "sk-first sk-second sk-third", "anthropic": "sk-ant"}) as running:
        yield running


@pytest.fixture(scope="module")
def reliable(tmp_path_factory: pytest.TempPathFactory, upstream: LoopbackProviders) -> Iterator[Door]:
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path_factory.mktemp("reliable")), "port": 0, "api_key": ADMIN_KEY,
            "openai_base_url": upstream.url, "anthropic_base_url": upstream.url, "gemini_base_url": upstream.url,
            "model_fallbacks": FALLBACKS, "provider_retries": 2, "provider_timeout": 20, "provider_chunk_timeout": 1,
            "model_aliases": {"gpt-4o-mini-c3-d3000": "gpt-4o-mini"},
        }
    )  # fmt: skip
    with Door(settings) as opened:
        with opened.client() as admin:
            for name, value in (("ANTHROPIC_API_KEY", "sk-ant"), ("GEMINI_API_KEY", "AIza")):
                admin.put(f"/secrets/{name}", json={"value": value}).raise_for_status()
        yield opened


@pytest.fixture
def client(reliable: Door, upstream: LoopbackProviders) -> Iterator[httpx.Client]:
    """Of an owner of its own, whose costs and keys are nobody else's; whatever a test before left in trouble works again."""
    owner = f"owner-{time.monotonic_ns()}"
    with reliable.client(key=reliable.make_key(owner=owner)) as opened:
        opened.put("/secrets/OPENAI_API_KEY", json={"value": "sk-first"}).raise_for_status()
        yield opened
        upstream.answer_next()


def error(status: int, *headers: tuple[str, str], body: Any = None) -> StubReply:
    told = body if body is not None else {"error": {"message": "no", "type": "server_error", "code": None}}
    return StubReply(status, json.dumps(told).encode(), headers=list(headers))


def asked(upstream: LoopbackProviders, before: int) -> list[str]:
    """The provider keys of the requests since then."""
    return [min(key_of(request), default="") for request in list(upstream.requests)[before:]]


@pytest.mark.requirement("gateway:retries")
@pytest.mark.parametrize("provider", sorted(PLACES))
@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_a_provider_refuses_for_now_is_asked_again_and_billed_once(
    client: httpx.Client, upstream: LoopbackProviders, provider: str, status: int
) -> None:
    path, body = PLACES[provider]
    before = len(upstream.requests)
    upstream.answer_next(error(status, SOON), error(status, SOON))
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    sent = list(upstream.requests)[before:]
    assert len(sent) == 3
    assert sent[0].body == sent[1].body == sent[2].body == json.dumps(body, separators=(",", ":")).encode()
    (item,) = costs(client, "model")
    assert (item["calls"], item["estimated"]) == (1, 0)


@pytest.mark.requirement("gateway:retries")
@pytest.mark.parametrize(
    ("reply", "header"),
    [
        (error(400), ""),
        (error(404, body={"error": {"code": "unknown"}}), ""),
        (error(503, ("x-should-retry", "false")), ""),
        (error(429, body={"error": {"code": "insufficient_quota", "type": "insufficient_quota"}}), ""),
        (error(429, ("retry-after", "100")), ""),
        (error(503, SOON), "x-stainless-retry-count"),
        (StubReply(hangs_up=True), ""),
    ],
)
def test_what_repeating_does_not_help_or_is_not_safe_is_not_repeated(
    client: httpx.Client, upstream: LoopbackProviders, reply: StubReply, header: str
) -> None:
    """A long wait, an SDK that repeats by itself, and a call that the provider may have begun to work on are among them."""
    before = len(upstream.requests)
    upstream.answer_next(reply)
    answer = client.post("/openai/chat/completions", json=CHAT, headers={header: "0"} if header else {})
    assert answer.status_code == (502 if reply.hangs_up else reply.status)
    assert len(upstream.requests) == before + 1
    if "retry-after" in dict(reply.headers):
        assert answer.headers["retry-after"] == "100"
    items = costs(client, "model")
    assert [item["estimated"] for item in items] == ([1] if reply.hangs_up else [])


@pytest.mark.requirement("gateway:retries")
def test_retries_are_bounded_and_the_last_error_passes_unchanged(
    client: httpx.Client, upstream: LoopbackProviders
) -> None:
    before = len(upstream.requests)
    last = error(500, SOON, ("x-request-id", "req_last"), body={"error": {"message": "the third"}})
    upstream.answer_next(error(500, SOON), error(500, SOON), last)
    answer = client.post("/openai/chat/completions", json=CHAT)
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "req_last")
    assert answer.content == last.body
    assert len(upstream.requests) == before + 3
    assert costs(client, "model") == []


@pytest.mark.requirement("gateway:retries")
def test_a_budget_is_taken_from_once_however_often_a_call_is_made(
    reliable: Door, upstream: LoopbackProviders
) -> None:
    """It holds one such call at its most, not two; and what the tries took is given back."""
    key = reliable.make_key(owner="thrifty")
    with reliable.client() as admin, reliable.client(key=key) as client:
        client.put("/secrets/OPENAI_API_KEY", json={"value": "sk-first"}).raise_for_status()
        found = next(item for item in admin.get("/keys").json()["items"] if key.startswith(item["prefix"]))
        admin.put("/budgets/key", json={"usd": 0.00009, "subject": found["id"]}).raise_for_status()
        for _ in range(3):
            upstream.answer_next(error(503, SOON), error(429, SOON))
            answer = client.post("/openai/chat/completions", json=CHAT)
            assert answer.status_code == 200, answer.text
        budgets = admin.get("/budgets").json()["items"]
        mine = next(item for item in budgets if item["subject"] == found["id"])
        assert mine["reserved"] == 0
        assert mine["spent"] == pytest.approx(sum(item["cost"] for item in costs(client, "model")))


@pytest.mark.requirement("gateway:fallbacks")
@pytest.mark.parametrize(
    "reply",
    [
        error(503),
        error(529),
        error(429, ("retry-after", "100")),
        error(404, body={"error": {"code": "model_not_found"}}),
    ],
)
def test_a_model_that_cannot_be_had_is_stood_in_for_by_one_of_its_provider(
    client: httpx.Client, upstream: LoopbackProviders, reply: StubReply
) -> None:
    """In native form only by one of its provider: Anthropic's, which comes first, is not asked."""
    before = len(upstream.requests)
    upstream.answer_next(reply)
    body = b'{"messages": [],  "max_tokens":5, "model" : "gpt-4o"}'
    answer = client.post(
        "/openai/chat/completions", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-codewords-model"] == "gpt-4o-mini"
    assert answer.headers["x-codewords-instead-of"] == "gpt-4o"
    sent = list(upstream.requests)[before:]
    assert [request.body for request in sent] == [body, body.replace(b"gpt-4o", b"gpt-4o-mini")]
    (item,) = costs(client, "model")
    assert (item["model"], item["calls"], item["fallbacks"]) == ("gpt-4o-mini", 1, 1)


@pytest.mark.requirement("gateway:fallbacks")
def test_a_model_in_a_path_is_stood_in_for_and_one_that_nobody_named_is_not(
    client: httpx.Client, upstream: LoopbackProviders
) -> None:
    upstream.answer_next(error(503))
    answer = client.post("/gemini/v1/models/gemini-2.5-pro:generateContent", json=CONTENTS)
    assert answer.json()["modelVersion"] == "gemini-2.5-flash"
    upstream.answer_next(*(error(503, ("x-should-retry", "false")),) * 2)
    assert client.post("/anthropic/v1/messages", json=MESSAGE).status_code == 503
    answer = client.post("/anthropic/v1/messages", json=MESSAGE | {"model": "claude-opus-5-5"})
    assert answer.status_code == 503  # OpenAI's model stands in for it in the simple form only


@pytest.mark.requirement("gateway:fallbacks")
def test_in_the_simple_form_another_provider_stands_in_and_the_answer_says_so(
    client: httpx.Client, upstream: LoopbackProviders
) -> None:
    shape = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    upstream.answer_next(error(529, ("retry-after", "100")))
    answer = client.post(
        "/run/anthropic/", json={"model": "claude-opus-5-5", "prompt": "hi", "example_output": shape}
    )
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["response"], told["model"]) == ({"n": 1}, "gpt-4o-mini")
    assert told["instead_of"] == "anthropic/claude-opus-5-5"
    (item,) = costs(client, "model")
    assert (item["provider"], item["fallbacks"]) == ("openai", 1)
    assert told["cost"] == pytest.approx(item["cost"])


@pytest.mark.requirement("gateway:fallbacks", "gateway:model-lists")
def test_a_workflows_header_names_stand_ins_and_models_and_its_record_shows_them(
    http: httpx.Client, providers: LoopbackProviders
) -> None:
    table = '# [tool.codewords]\n# fallbacks = {"gpt-4.1" = ["gpt-4.1-mini"]}\n# models = ["gpt-4.1*"]\n# ///'
    code = workflow(ASKING, title="Standing in").replace(HEADER.format(more=""), with_table(table))
    made = http.post("/deploy", json={"code": code, "name": "Standing in", "allow": True}, timeout=300)
    assert made.status_code == 200, made.text
    service = made.json()["service_id"]
    providers.answer_next(error(503), key=KEYS["openai"])
    ran = http.post(f"/run/{service}/", json={"chat": CHAT | {"model": "gpt-4.1"}})
    assert ran.json()[0] == 200, ran.text
    record = http.get(f"/request/{ran.headers['x-request-id']}").json()
    (model,) = record["usage"]["models"]
    assert (model["model"], model["fallbacks"]) == ("gpt-4.1-mini", 1)
    status, refusal = http.post(f"/run/{service}/", json={"chat": CHAT}).json()
    assert (status, refusal["codewords"]["code"]) == (403, "model_not_allowed")


@pytest.mark.requirement("gateway:several-keys")
def test_keys_take_turns_and_one_that_is_refused_rests(
    client: httpx.Client, upstream: LoopbackProviders
) -> None:
    for number, value in enumerate(("sk-first", "sk-second", "sk-third"), start=1):
        name = "OPENAI_API_KEY" if number == 1 else f"OPENAI_API_KEY_{number}"
        client.put(f"/secrets/{name}", json={"value": value}).raise_for_status()
    before = len(upstream.requests)
    for _ in range(6):
        client.post("/openai/chat/completions", json=CHAT).raise_for_status()
    used = asked(upstream, before)
    assert {key: used.count(key) for key in used} == {"sk-first": 2, "sk-second": 2, "sk-third": 2}
    client.put("/secrets/OPENAI_API_KEY_2", json={"value": "sk-revoked"}).raise_for_status()
    upstream.answer_next(error(429, ("retry-after", "30")), key="sk-third")
    before = len(upstream.requests)
    for _ in range(6):
        client.post("/openai/chat/completions", json=CHAT).raise_for_status()
    used = asked(upstream, before)
    assert (used.count("sk-revoked"), used.count("sk-third"), used.count("sk-first")) == (1, 1, 6)


@pytest.mark.requirement("gateway:several-keys")
@pytest.mark.parametrize(
    ("status", "reason", "rests"),
    [
        (400, "API_KEY_INVALID", True),
        (403, "API_KEY_IP_ADDRESS_BLOCKED", True),
        (403, "IAM_PERMISSION_DENIED", False),
    ],
)
def test_a_key_that_google_refuses_rests_and_one_that_lacks_a_permission_does_not(
    client: httpx.Client, upstream: LoopbackProviders, status: int, reason: str, rests: bool
) -> None:
    # Each its own, since a key that rests goes on resting in the next case.
    refused = f"AIza-{reason}"
    client.put("/secrets/GEMINI_API_KEY", json={"value": refused}).raise_for_status()
    client.put("/secrets/GEMINI_API_KEY_2", json={"value": "AIza"}).raise_for_status()
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
    }
    refusal = {"code": status, "message": "Refused.", "status": "PERMISSION_DENIED", "details": [info]}
    upstream.answer_next(*[error(status, body={"error": refusal})] * 6, key=refused)
    path, body = PLACES["gemini"]
    before = len(upstream.requests)
    for _ in range(6):
        client.post(path, json=body).raise_for_status()
    assert (asked(upstream, before).count(refused) == 1) == rests


@pytest.mark.requirement("gateway:several-keys")
def test_what_is_stored_at_a_provider_is_asked_of_the_same_account(
    client: httpx.Client, upstream: LoopbackProviders
) -> None:
    client.put("/secrets/OPENAI_API_KEY_2", json={"value": "sk-second"}).raise_for_status()
    before = len(upstream.requests)
    for _ in range(3):
        client.get("/openai/models").raise_for_status()
        body = {"model": "gpt-4o-mini", "input": "hi", "previous_response_id": "resp_1"}
        client.post("/openai/responses", json=body).raise_for_status()
    assert set(asked(upstream, before)) == {"sk-first"}


@pytest.mark.requirement("gateway:model-lists")
def test_a_key_asks_the_models_of_its_list_and_no_others(reliable: Door, upstream: LoopbackProviders) -> None:
    with reliable.client() as admin:
        made = admin.post("/keys", json={"owner": "listed", "models": ["gpt-4o*", "anthropic/claude-haiku*"]})
        assert made.json()["models"] == ["gpt-4o*", "anthropic/claude-haiku*"]
        assert admin.post("/keys", json={"models": ["no spaces"]}).status_code == 400
        assert admin.post("/keys", json={"models": [], "kind": "admin"}).status_code == 400
    before = len(upstream.requests)
    with reliable.client(key=made.json()["key"]) as client:
        client.put("/secrets/OPENAI_API_KEY", json={"value": "sk-first"}).raise_for_status()
        for path, body, shape in (
            ("/openai/chat/completions", CHAT | {"model": "gpt-5.5"}, ("type", "permission_error")),
            ("/anthropic/v1/messages", MESSAGE, ("type", "permission_error")),
            ("/gemini/v1/models/gpt-4o:generateContent", CONTENTS, None),
            ("/openai/batches", {"input_file_id": "f"}, ("type", "permission_error")),
            ("/gemini/v1/models/gemini-2.5-pro:generateContent", CONTENTS, ("status", "PERMISSION_DENIED")),
        ):
            answer = client.post(path, json=body)
            if shape is None:  # a name that the list holds is asked, wherever it is
                assert answer.headers.get("error-origin") != "platform"
                continue
            assert answer.status_code == 403, answer.text
            assert answer.json()["error"][shape[0]] == shape[1]
            assert answer.json()["codewords"]["code"] == "model_not_allowed"
            assert answer.headers["x-should-retry"] == "false"
        assert client.post("/run/openai/", json={"model": "gpt-5.5", "prompt": "hi"}).status_code == 403
        assert len(upstream.requests) == before + 1
        assert client.get("/openai/models").status_code == 200
        assert client.post("/openai/chat/completions", json=CHAT).status_code == 200
        haiku = MESSAGE | {"model": "claude-haiku-4-5"}
        assert client.post("/anthropic/v1/messages", json=haiku).status_code == 200


@pytest.mark.requirement("gateway:circuits")
def test_a_provider_that_keeps_failing_is_left_alone_and_says_for_how_long(
    client: httpx.Client, upstream: LoopbackProviders
) -> None:
    down = error(503, ("x-should-retry", "false"))
    body = MESSAGE | {"model": "claude-sonnet-4-0"}
    upstream.answer_next(*[down] * 5)
    assert [client.post("/anthropic/v1/messages", json=body).status_code for _ in range(5)] == [503] * 5
    before = len(upstream.requests)
    answer = client.post("/anthropic/v1/messages", json=body)
    assert answer.status_code == 502, answer.text
    assert "suspended" in answer.json()["error"]["message"]
    assert 1 <= int(answer.headers["retry-after"]) <= 5
    assert len(upstream.requests) == before
    assert client.post("/anthropic/v1/messages", json=MESSAGE).status_code == 200  # another model is not


@pytest.mark.requirement("gateway:timeouts")
def test_a_stream_that_falls_silent_is_broken_off_and_settled(
    client: httpx.Client, upstream: LoopbackProviders
) -> None:
    before = len(upstream.aborted)
    body = CHAT | {"model": "gpt-4o-mini-c3-d3000", "stream": True}
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/openai/chat/completions", json=body)
    assert upstream.wait_for(lambda: len(upstream.aborted) > before)
    (item,) = costs(client, "model")
    assert item["estimated"] == 1


@pytest.mark.requirement("gateway:retries")
def test_whoever_hangs_up_while_a_call_waits_to_be_made_again_ends_it(
    reliable: Door, client: httpx.Client, upstream: LoopbackProviders
) -> None:
    async def tasks(_runtime: Any) -> int:
        return len(asyncio.all_tasks())

    async def settled(_runtime: Any) -> None:
        await until_async(lambda: len(asyncio.all_tasks()) <= idle)

    before, idle = len(upstream.requests), reliable.ask(tasks)
    upstream.answer_next(error(503, ("retry-after", "19")))
    body = json.dumps(CHAT).encode()
    key = client.headers["authorization"].removeprefix("Bearer ")
    with reliable.connect() as wire:
        wire.request("POST", "/openai/chat/completions", f"Content-Length: {len(body)}", body=body, key=key)
        assert upstream.wait_for(lambda: len(upstream.requests) > before)
    reliable.ask(settled)
    assert len(upstream.requests) == before + 1
