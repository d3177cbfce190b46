"""Kept answers: off unless asked for, the same bytes, whole ones only, at no cost, and each says what it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.integration.gateway.helpers import ASKING, CHAT, MESSAGE, costs, with_table
from tests.support.http_runtime import Door
from tests.support.runtime import HEADER, workflow

from codewords_testing.providers import LoopbackProviders

pytestmark = pytest.mark.requirement("gateway:cache")
KEEP = {"x-codewords-cache": "60"}
ANSWERED: list[tuple[str, dict[str, Any]]] = [
    ("/openai/chat/completions", CHAT),
    ("/openai/chat/completions", CHAT | {"stream": True}),
    ("/openai/embeddings", {"model": "text-embedding-3-small", "input": "hi"}),
    ("/openai/responses", {"model": "gpt-4o-mini", "input": "hi", "store": False}),
    ("/anthropic/v1/messages", MESSAGE),
    ("/anthropic/v1/messages", MESSAGE | {"stream": True}),
    ("/gemini/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse", {"contents": []}),
]


@pytest.fixture
def client(door: Door) -> Iterator[httpx.Client]:
    with door.client(key=door.make_key(owner=f"keeper-{time.monotonic_ns()}")) as opened:
        yield opened


@pytest.fixture
def count(providers: LoopbackProviders) -> Callable[[], int]:
    return lambda: len(providers.requests)


@pytest.mark.parametrize(("path", "body"), ANSWERED)
def test_the_same_question_gets_the_same_bytes_without_a_call(
    client: httpx.Client, count: Callable[[], int], path: str, body: dict[str, Any]
) -> None:
    first, asked = client.post(path, json=body, headers=KEEP), count()
    again = client.post(path, json=body, headers=KEEP)
    assert (first.headers["x-codewords-cache"], again.headers["x-codewords-cache"]) == ("miss", "hit")
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert count() == asked
    (item,) = costs(client, "model")
    once = item["cost"]
    assert (item["calls"], item["cached"]) == (2, 1)
    assert once > 0
    told = client.post(path, json=body, headers={"x-codewords-cache": "no"})
    assert "x-codewords-cache" not in told.headers
    assert count() == asked + 1
    (item,) = costs(client, "model")
    assert item["cost"] == pytest.approx(2 * once)


def test_nothing_is_kept_unless_asked_for_nor_given_to_others_or_for_another_question(
    door: Door, client: httpx.Client, count: Callable[[], int]
) -> None:
    before = count()
    path = "/openai/chat/completions"
    for _ in range(2):
        assert "x-codewords-cache" not in client.post(path, json=CHAT).headers
    client.post(path, json=CHAT, headers=KEEP)
    with door.client(key=door.make_key(owner="someone else")) as other:
        assert other.post(path, json=CHAT, headers=KEEP).headers["x-codewords-cache"] == "miss"
    other_body = CHAT | {"temperature": 0.5}
    assert client.post(path, json=other_body, headers=KEEP).headers["x-codewords-cache"] == "miss"
    assert client.post(f"{path}?a=b", json=CHAT, headers=KEEP).headers["x-codewords-cache"] == "miss"
    assert count() == before + 6


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/openai/chat/completions", CHAT | {"model": "err-400"}),
        ("/openai/chat/completions", CHAT | {"model": "gpt-4o-mini-nousage"}),
        ("/openai/chat/completions", CHAT | {"model": "gpt-4o-mini-midstream", "stream": True}),
        ("/openai/responses", {"model": "gpt-4o-mini", "input": "hi"}),
        ("/openai/responses", {"model": "gpt-4o-mini", "input": "hi", "previous_response_id": "resp_1"}),
        ("/openai/chat/completions", CHAT | {"store": True}),
    ],
)
def test_errors_and_what_is_not_whole_or_has_effects_are_not_kept(
    client: httpx.Client, count: Callable[[], int], path: str, body: dict[str, Any]
) -> None:
    client.post(path, json=body, headers=KEEP)
    asked = count()
    assert client.post(path, json=body, headers=KEEP).headers.get("x-codewords-cache") != "hit"
    assert count() == asked + 1


def test_a_stream_that_is_cut_or_left_is_not_kept(client: httpx.Client, providers: LoopbackProviders) -> None:
    path, cut = "/openai/chat/completions", CHAT | {"model": "gpt-4o-mini-cut", "stream": True}
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(path, json=cut, headers=KEEP)
    long, left = CHAT | {"model": "gpt-4o-mini-c300-d10", "stream": True}, len(providers.aborted)
    with client.stream("POST", path, json=long, headers=KEEP) as answer:
        next(answer.iter_bytes())
    assert providers.wait_for(lambda: len(providers.aborted) > left)
    with client.stream("POST", path, json=long, headers=KEEP) as answer:
        assert answer.headers["x-codewords-cache"] == "miss"


def test_a_workflows_header_keeps_its_answers_and_its_record_says_so(http: httpx.Client) -> None:
    table = "# [tool.codewords]\n# cache = 600\n# ///"
    code = workflow(ASKING, title="Keeping").replace(HEADER.format(more=""), with_table(table))
    made = http.post("/deploy", json={"code": code, "name": "Keeping", "allow": True}, timeout=300)
    assert made.status_code == 200, made.text
    ran = http.post(f"/run/{made.json()['service_id']}/", json={"chat": CHAT, "calls": 3})
    assert ran.json()[0] == 200
    (model,) = http.get(f"/request/{ran.headers['x-request-id']}").json()["usage"]["models"]
    assert (model["calls"], model["cached"]) == (3, 2)
