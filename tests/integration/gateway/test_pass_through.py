"""What crosses the gateway: bytes as they are, the right key and no other, and the end of either side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.integration.gateway.helpers import KEYS, MAX_BODY
from tests.support.http_runtime import ADMIN_KEY, Door

from codewords_mcp.settings import Settings
from codewords_testing.providers import LoopbackProviders

CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.requirement("gateway:bytes")
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/openai/chat/completions",
            b'{ "model":"gpt-4o-mini",\n\t"messages": [], "x": 1.50e1, "u": "\\u00e9" }',
        ),
        ("/run/openai/v1/embeddings", b'{"model" : "text-embedding-3-small", "input":"a"}'),
        ("/openai/v1/files", b"\x00\xff\x00not json at all"),
        ("/anthropic/v1/messages", b'{"model":"claude-sonnet-4-6","max_tokens":9,  "messages":[]}'),
        (
            "/gemini/v1beta/models/gemini-2.5-flash:generateContent",
            b'{"contents":[ {"parts":[{"text":"x"}]} ]}',
        ),
    ],
)
def test_body_query_and_answer_are_the_same_bytes_on_both_sides(
    http: httpx.Client, providers: LoopbackProviders, path: str, body: bytes
) -> None:
    answer = http.post(f"{path}?beta=a%2Fb&x=1", content=body, headers={"x-stainless-lang": "python"})
    seen = providers.requests[-1]
    assert (seen.body, seen.query) == (body, "beta=a%2Fb&x=1")
    assert seen.headers["x-stainless-lang"] == "python"
    direct = httpx.request(
        "POST",
        f"{providers.url}{seen.path}?{seen.query}",
        content=body,
        headers=_sent(seen.headers),
        trust_env=False,
    )
    assert (answer.status_code, answer.content) == (direct.status_code, direct.content)
    for name in ("content-type", "content-length", "request-id", "openai-processing-ms", "server-timing"):
        assert answer.headers.get(name) == direct.headers.get(name)


def _sent(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in {"host", "content-length"}}


@pytest.mark.requirement("gateway:keys", "gateway:provider-key")
@pytest.mark.parametrize(
    ("path", "sent", "arrives"),
    [
        ("/openai/models", {"Authorization": f"Bearer {ADMIN_KEY}"}, ("authorization", "Bearer ")),
        ("/openai/models", {"Authorization": ADMIN_KEY}, ("authorization", "Bearer ")),
        ("/run/openai/v1/models", {"X-API-Key": ADMIN_KEY}, ("authorization", "Bearer ")),
        (
            "/anthropic/v1/models",
            {"X-Api-Key": ADMIN_KEY, "anthropic-version": "2023-06-01"},
            ("x-api-key", ""),
        ),
        (
            "/run/anthropic/v1/models",
            {"Authorization": f"Bearer {ADMIN_KEY}", "anthropic-version": "2026-10-21"},
            ("authorization", "Bearer "),
        ),
        (
            "/anthropic/v1/models",
            {"Authorization": f"Bearer {ADMIN_KEY}", "anthropic-version": "2023-06-01"},
            ("x-api-key", ""),
        ),
        ("/gemini/v1/models", {"x-goog-api-key": ADMIN_KEY}, ("x-goog-api-key", "")),
        ("/run/gemini/v1/models", {"Authorization": f"Bearer {ADMIN_KEY}"}, ("authorization", "Bearer ")),
        (f"/gemini/v1beta/models?key={ADMIN_KEY}&pageSize=5", {}, ("x-goog-api-key", "")),
    ],
)
def test_a_codewords_key_comes_in_and_the_providers_key_goes_out(
    door: Door, providers: LoopbackProviders, path: str, sent: dict[str, str], arrives: tuple[str, str]
) -> None:
    with door.client(key=None) as client:
        answer = client.get(path, headers=sent | {"Cookie": "a=b", "X-Correlation-Id": "chain"})
    assert answer.status_code == 200, answer.text
    seen = providers.requests[-1]
    name, scheme = arrives
    assert seen.headers[name] == scheme + KEYS[seen.provider]
    assert ADMIN_KEY not in f"{seen.headers}{seen.query}"
    assert not {"cookie", "x-correlation-id"} & seen.headers.keys()
    assert "pageSize" not in path or seen.query == "pageSize=5"


@pytest.mark.requirement("gateway:routes")
def test_a_method_override_does_not_reach_the_provider(
    http: httpx.Client, providers: LoopbackProviders
) -> None:
    http.get("/gemini/v1/models", headers={"X-HTTP-Method-Override": "POST"})
    assert not {name for name in providers.requests[-1].headers if "override" in name}


@pytest.mark.requirement("gateway:streaming", "gateway:hang-up")
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/openai/chat/completions", CHAT | {"model": "gpt-4o-mini-c5000-d100", "stream": True}),
        (
            "/anthropic/v1/messages",
            {"model": "claude-sonnet-4-6-c5000-d100", "max_tokens": 9, "stream": True},
        ),
        ("/gemini/v1/models/gemini-2.5-flash-c5000-d100:streamGenerateContent?alt=sse", {}),
    ],
)
def test_pieces_arrive_while_the_provider_still_speaks_and_hanging_up_ends_its_call(
    http: httpx.Client, providers: LoopbackProviders, path: str, body: dict[str, Any]
) -> None:
    before = len(providers.aborted)
    with http.stream("POST", path, json=body) as answer:
        pieces = answer.iter_raw()
        assert b"data:" in next(pieces)
        assert len(providers.aborted) == before
    assert providers.wait_for(lambda: len(providers.aborted) > before)


@pytest.mark.requirement("gateway:hang-up")
def test_hanging_up_before_the_first_byte_ends_the_providers_call(
    door: Door, providers: LoopbackProviders
) -> None:
    before = len(providers.aborted)
    body = json.dumps(CHAT | {"model": "gpt-4o-mini-w600000"}).encode()
    asked = len(providers.requests)
    with door.connect() as wire:
        wire.request("POST", "/openai/chat/completions", f"Content-Length: {len(body)}", body=body)
        assert providers.wait_for(lambda: len(providers.requests) > asked)
    assert providers.wait_for(lambda: len(providers.aborted) > before)


@pytest.mark.requirement("gateway:errors")
@pytest.mark.parametrize("model", ["err-429", "err-429-ra2", "err-500", "err-400"])
def test_a_providers_own_error_passes_with_its_status_and_its_time_to_come_back(
    http: httpx.Client, model: str
) -> None:
    answer = http.post("/openai/chat/completions", json=CHAT | {"model": model})
    assert answer.status_code == int(model[4:7])
    assert answer.json()["error"]["message"] == f"stand-in error {model[4:7]}"
    assert answer.headers.get("retry-after") == ("2" if "ra2" in model else None)
    assert "x-should-retry" not in answer.headers
    assert answer.headers["x-request-id"] == "req_openai_standin"


SHAPES: list[tuple[str, tuple[str, ...]]] = [
    ("/openai/chat/completions", ("type", "code")),
    ("/run/gemini/v1/chat/completions", ("type", "code")),
    ("/anthropic/v1/messages", ("type",)),
    ("/gemini/v1/models/m:generateContent", ("status", "code")),
]


@pytest.mark.requirement("gateway:errors")
@pytest.mark.parametrize(
    ("at", "refused"),
    [
        (0, ("authentication_error", "unauthenticated")),
        (1, ("authentication_error", "unauthenticated")),
        (2, ("authentication_error",)),
        (3, ("UNAUTHENTICATED", 401)),
    ],
)
def test_a_wrong_key_is_refused_in_the_providers_words_and_not_worth_repeating(
    door: Door, providers: LoopbackProviders, at: int, refused: tuple[Any, ...]
) -> None:
    path, fields = SHAPES[at]
    asked = len(providers.requests)
    with door.client(key="cwk-wrong") as client:
        answer = client.post(path, json=CHAT)
    assert answer.status_code == 401
    assert tuple(answer.json()["error"][field] for field in fields) == refused
    assert answer.json()["error"]["message"].startswith("That API key is not valid here.")
    assert (answer.headers["x-should-retry"], answer.headers["error-origin"]) == ("false", "platform")
    assert len(providers.requests) == asked


@pytest.mark.requirement("gateway:errors")
def test_a_body_over_the_limit_is_413_in_the_providers_words(door: Door) -> None:
    with door.connect() as wire:
        wire.request("POST", "/anthropic/v1/messages", f"Content-Length: {MAX_BODY + 1}")
        assert " 413 " in wire.head()
        assert b"request_too_large" in wire.until(b"}}}")


@pytest.mark.requirement("gateway:routes")
@pytest.mark.parametrize(
    "path", ["/openai/v1/files/../chat/completions", "/openai/v1//chat", "/gemini/v1/%2e%2e/x"]
)
def test_a_path_that_means_another_one_is_not_passed_on(
    door: Door, providers: LoopbackProviders, path: str
) -> None:
    asked = len(providers.requests)
    with door.connect() as wire:
        wire.request("GET", path)
        assert " 404 " in wire.head()
    assert len(providers.requests) == asked


@pytest.mark.requirement("gateway:uploads")
def test_an_uploads_second_leg_needs_the_ticket_of_its_first(door: Door, http: httpx.Client) -> None:
    begun = http.post("/gemini/upload/v1beta/files", headers={"X-Goog-Upload-Command": "start"}, json={})
    there = begun.headers["x-goog-upload-url"]
    assert there.startswith(f"{door.url}/gemini/upload/v1beta/files?upload_id=")
    with door.client(key=None) as nobody:
        ended = nobody.post(there, content=b"abc", headers={"X-Goog-Upload-Command": "upload, finalize"})
        assert ended.json()["file"]["sizeBytes"] == "3"
        assert nobody.post(there[:-1] + "?", content=b"abc").status_code == 401


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, providers: LoopbackProviders) -> Iterator[httpx.Client]:
    """A runtime without a key for OpenAI, that cannot reach Anthropic, and is impatient with Gemini."""
    settings = Settings.model_validate(
        {
            "home": tmp_path_factory.mktemp("bare"),
            "port": 0,
            "api_key": ADMIN_KEY,
            "openai_base_url": providers.url,
            "anthropic_base_url": "http://127.0.0.1:9",
            "gemini_base_url": providers.url,
            "provider_timeout": 0.3,
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OPENAI_API_KEY", raising=False)
        patch.setenv("ANTHROPIC_API_KEY", KEYS["anthropic"])
        patch.setenv("GEMINI_API_KEY", KEYS["gemini"])
        with Door(settings) as opened, opened.client() as client:
            yield client


@pytest.mark.requirement("gateway:provider-key")
def test_without_a_key_for_the_provider_the_answer_says_how_to_add_one(bare: httpx.Client) -> None:
    answer = bare.post("/openai/chat/completions", json=CHAT)
    assert answer.status_code == 501
    error = answer.json()["error"]
    assert error["code"] == "service_not_available"
    assert "Set the secret OPENAI_API_KEY" in error["message"]
    assert answer.headers["x-should-retry"] == "false"
    bare.put("/secrets/OPENAI_API_KEY", json={"value": KEYS["openai"]})
    assert bare.post("/openai/chat/completions", json=CHAT).status_code == 200
    bare.delete("/secrets/OPENAI_API_KEY")
    assert bare.post("/openai/chat/completions", json=CHAT).status_code == 501
    assert bare.get("/status").json()["providers"] == ["anthropic", "gemini"]


@pytest.mark.requirement("gateway:unreachable")
def test_a_provider_out_of_reach_or_silent_is_told_so_that_sdks_may_repeat(bare: httpx.Client) -> None:
    answer = bare.post("/anthropic/v1/messages", json={"model": "claude-sonnet-4-6", "max_tokens": 5})
    assert (answer.status_code, answer.json()["error"]["type"]) == (502, "api_error")
    assert "x-should-retry" not in answer.headers
    answer = bare.post("/gemini/v1/models/gemini-2.5-flash-w60000:generateContent", json={})
    assert (answer.status_code, answer.json()["error"]["status"]) == (504, "DEADLINE_EXCEEDED")
