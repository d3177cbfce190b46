"""Realtime sessions by OpenAI's own SDK: passed on, counted response by response, and ended by a budget."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter
from tests.integration.gateway.helpers import costs, new_key, sums
from tests.support import sdks
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home
from tests.support.waiting import until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from codewords_mcp.settings import Settings
from codewords_testing.providers.realtime import USAGE, LoopbackRealtime, loopback_realtime

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("gateway:realtime")]
KEY, MODEL = "sk-real-realtime-key", "gpt-realtime"
RESPONSE_USD = ((200 - 80 - 40) * 4 + 40 * 0.4 + (80 - 10) * 32 + 10 * 0.4 + 30 * 16 + 70 * 64) / 1e6
"""Price of the stand-in's usage, by gpt-realtime's own prices."""


@pytest.fixture(scope="module")
def provider() -> Iterator[LoopbackRealtime]:
    with loopback_realtime(KEY) as running:
        yield running


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, provider: LoopbackRealtime) -> Iterator[Door]:
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path_factory.mktemp("home")), "port": 0, "api_key": ADMIN_KEY,
            "openai_base_url": provider.url,
        }
    )  # fmt: skip
    with Door(settings) as opened:
        with opened.client() as client:
            assert client.put("/secrets/OPENAI_API_KEY", json={"value": KEY}).status_code == 200
        yield opened


@pytest.fixture
def http(door: Door) -> Iterator[httpx.Client]:
    with door.client() as client:
        yield client


def session(door: Door, key: str, query: str = f"?model={MODEL}") -> Any:
    address = door.url.replace("http", "ws") + "/openai/realtime" + query
    return connect(address, additional_headers={"Authorization": f"Bearer {key}"})


def until_done(socket: Any) -> list[str]:
    """Types of the events up to the end of a response, or of the session."""
    from openai.types.realtime import RealtimeServerEvent

    any_event: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
    seen: list[str] = []
    for message in socket:
        event = json.loads(message)
        any_event.validate_python(event)
        seen.append(event["type"])
        if seen[-1] in {"response.done", "error"}:
            return seen
    return seen


@pytest.mark.parametrize("base", ["/openai", "/openai/v1", "/run/openai/v1"])
async def test_the_sdk_talks_to_the_provider_with_the_providers_key(
    door: Door, http: httpx.Client, provider: LoopbackRealtime, base: str
) -> None:
    key, key_id = new_key(door, http)
    client = sdks.openai.AsyncOpenAI(api_key=key, base_url=door.url + base)
    async with client.realtime.connect(model=MODEL) as connection:
        await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        await connection.response.create()
        seen: list[str] = []
        async for event in connection:
            seen.append(event.type)
            if event.type == "response.done":
                break
    assert seen == ["session.created", "response.created", "response.output_text.delta", "response.done"]
    model, headers = provider.sessions[-1]
    assert (model, headers["authorization"]) == (MODEL, f"Bearer {KEY}")
    assert key not in str(headers)
    assert provider.events[-2]["session"] == {"type": "realtime", "output_modalities": ["text"]}
    counted = sums(http, key_id)
    assert (counted["calls"], counted["input_tokens"], counted["output_tokens"]) == (1, 200, 100)
    assert counted["cost"] == pytest.approx(RESPONSE_USD)


def test_each_response_is_counted_those_that_begin_by_themselves_and_transcriptions_too(
    door: Door, http: httpx.Client
) -> None:
    key, key_id = new_key(door, http, usd=50)
    with session(door, key) as socket:
        transcription = {"audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}}}
        socket.send(json.dumps({"type": "session.update", "session": {"type": "realtime"} | transcription}))
        for _ in range(2):
            socket.send(json.dumps({"type": "response.create"}))
            assert until_done(socket)[-1] == "response.done"
        socket.send(json.dumps({"type": "input_audio_buffer.commit"}))
        assert until_done(socket)[-1] == "response.done"
    counted = sums(http, key_id)
    assert (counted["calls"], counted["output_tokens"], counted["estimated"]) == (4, 310, 0)
    by_model = {item["model"] for item in costs(http, "model")}
    assert {MODEL, "gpt-4o-mini-transcribe"} <= by_model


def test_a_budget_ends_the_session_before_a_response_that_it_could_not_pay(
    door: Door, http: httpx.Client, provider: LoopbackRealtime
) -> None:
    # Room for the most that two responses may cost, and not for three.
    most = (32_000 * 32 + 4_096 * 64) / 1e6
    key, key_id = new_key(door, http, usd=most * 2.5)
    before = len(provider.events)
    with session(door, key) as socket:
        stuck = {"type": "response.create", "response": {"metadata": {"standin": "stuck"}}}
        socket.send(json.dumps(stuck))
        socket.send(json.dumps(stuck))
        seen = until_done(socket)
        assert seen[-1] == "error"
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
    until(lambda: len(provider.events) > before, "the first one at the provider")
    # The second one never reached it; the first was cut short, and counts as the most that it may cost.
    assert len(provider.events) == before + 1
    counted = sums(http, key_id)
    assert (counted["calls"], counted["estimated"]) == (1, 1)
    assert counted["cost"] == pytest.approx(most)
    budget = next(item for item in http.get("/budgets").json()["items"] if item["subject"] == key_id)
    assert (budget["spent"], budget["reserved"]) == (pytest.approx(most), 0)


def test_what_has_no_room_no_price_or_no_permission_is_refused_at_the_door(
    door: Door, http: httpx.Client
) -> None:
    poor, _ = new_key(door, http, usd=0.01)
    rich, _ = new_key(door, http, usd=50)
    few, _ = new_key(door, http, models=["gpt-4o*"])
    for key, query, status in (
        (poor, f"?model={MODEL}", 402),
        (rich, "?model=gpt-realtime-unheard-of", 403),
        (few, f"?model={MODEL}", 403),
        (rich, "", 400),
        (rich, f"?model={MODEL}&call_id=rtc_1", 400),
        (rich, "?intent=other", 400),
        (rich, f"?model={MODEL}&deployment={MODEL}", 400),
        ("cwk-unknown", f"?model={MODEL}", 401),
    ):
        with pytest.raises(InvalidStatus) as refused, session(door, key, query):
            pass
        assert refused.value.response.status_code == status, query


def test_a_response_without_usage_a_refused_one_and_a_message_that_is_none(
    door: Door, http: httpx.Client
) -> None:
    key, key_id = new_key(door, http, usd=50)
    with session(door, key) as socket:
        for manner, last in (("silent", "response.done"), ("refused", "error")):
            made = {"type": "response.create", "response": {"metadata": {"standin": manner}}}
            socket.send(json.dumps(made))
            assert until_done(socket)[-1] == last
    counted = sums(http, key_id)
    assert (counted["calls"], counted["estimated"]) == (1, 1)

    with session(door, key) as socket:
        assert json.loads(socket.recv())["type"] == "session.created"
        socket.send("[1]")
        assert json.loads(socket.recv())["error"]["code"] == "invalid_input"
    assert sums(http, key_id)["calls"] == 1


def test_a_key_that_is_refused_and_a_provider_that_is_away_are_told(
    door: Door, http: httpx.Client, provider: LoopbackRealtime
) -> None:
    assert http.put("/secrets/OPENAI_API_KEY", json={"value": "sk-wrong"}).status_code == 200
    try:
        with pytest.raises(InvalidStatus) as refused, session(door, ADMIN_KEY):
            pass
        assert refused.value.response.status_code == 502
    finally:
        assert http.put("/secrets/OPENAI_API_KEY", json={"value": KEY}).status_code == 200
    assert USAGE["total_tokens"] == 300


def test_a_session_that_transcribes_counts_what_was_heard_and_has_no_responses(
    door: Door, http: httpx.Client, provider: LoopbackRealtime
) -> None:
    heard = {"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}}
    key, key_id = new_key(door, http, usd=50)
    with session(door, key, "?intent=transcription") as socket:
        assert json.loads(socket.recv())["session"]["type"] == "transcription"
        socket.send(json.dumps({"type": "session.update", "session": heard}))
        socket.send(json.dumps({"type": "input_audio_buffer.commit"}))
        assert [json.loads(socket.recv())["type"].rpartition(".")[2] for _ in range(2)] == [
            "committed",
            "completed",
        ]
        budget = next(item for item in http.get("/budgets").json()["items"] if item["subject"] == key_id)
        assert budget["reserved"] > 0
        socket.send(json.dumps({"type": "response.create"}))
        assert json.loads(socket.recv())["error"]["code"] == "invalid_input"
    assert provider.paths[-1] == "/v1/realtime?intent=transcription"
    counted = sums(http, key_id)
    assert (counted["calls"], counted["output_tokens"], counted["estimated"]) == (1, 10, 0)
    assert counted["cost"] == pytest.approx((20 * 6 + 10 * 10) / 1e6)

    poor, _ = new_key(door, http, usd=0.01)
    few, _ = new_key(door, http, models=["gpt-realtime*"])
    for refused, code in ((poor, "budget_exceeded"), (few, "model_not_allowed")):
        with session(door, refused, "?intent=transcription") as socket:
            socket.recv()
            socket.send(json.dumps({"type": "session.update", "session": heard}))
            error = json.loads(socket.recv())["error"]
            assert error["code"] == code
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.reason.startswith(code)


def test_a_tool_that_the_provider_runs_ends_a_session_with_a_budget(door: Door, http: httpx.Client) -> None:
    key, _ = new_key(door, http, usd=50)
    with session(door, key) as socket:
        socket.recv()
        socket.send(
            json.dumps({"type": "session.update", "session": {"tools": [{"type": "function", "name": "f"}]}})
        )
        socket.send(json.dumps({"type": "session.update", "session": {"tools": [{"type": "web_search"}]}}))
        assert json.loads(socket.recv())["error"]["code"] == "unpriced_model"
