"""Gemini's Live sessions by Google's own SDK: passed on, counted turn by turn, and ended by a budget."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.gateway.helpers import new_key, sums
from tests.integration.secrets.tls_host import Ca
from tests.support import sdks
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home
from tests.support.tls_proxy import TlsProxy, tls_proxy
from tests.support.waiting import until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from codewords_mcp.settings import Settings
from codewords_testing.providers.live import USAGE, LoopbackLive, loopback_live

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("gateway:live")]
KEY, MODEL = "AIza-real-live-key", "gemini-3.8-live"
PATH = "/gemini/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
TURN_USD = (50 * 0.75 + 150 * 3 + 50 * 1 + 60 * 12 + 10 * 4.5) / 1e6
"""Price of the stand-in's report, by the model's own prices of text, sound, pictures and thoughts."""
MOST_USD = (131_072 * 3 + 100 * 12) / 1e6
"""The most that a turn of 100 tokens may cost: a full window of sound, answered with sound."""
SHORT: Any = {"max_output_tokens": 100}


@pytest.fixture(scope="module")
def provider() -> Iterator[LoopbackLive]:
    with loopback_live(KEY) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsProxy]:
    """Google's SDK speaks TLS only, so a runtime that it reaches from outside is behind a proxy that ends it."""
    ca = Ca(tmp_path_factory.mktemp("ca"))
    with tls_proxy(ca.issue("localhost")) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(ca.file))
        yield running


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, provider: LoopbackLive, proxy: TlsProxy) -> Iterator[Door]:
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path_factory.mktemp("home")), "port": 0, "api_key": ADMIN_KEY,
            "gemini_base_url": provider.url,
            "providers": {"vertex": {"base_url": provider.url, "project": "team", "location": "europe-west1"}},
        }
    )  # fmt: skip
    with Door(settings) as opened:
        proxy.far = opened.port
        with opened.client() as client:
            for name in ("GEMINI_API_KEY", "VERTEX_API_KEY"):
                assert client.put(f"/secrets/{name}", json={"value": KEY}).status_code == 200
        yield opened


@pytest.fixture
def http(door: Door) -> Iterator[httpx.Client]:
    with door.client() as client:
        yield client


def sdk(proxy: TlsProxy, key: str, **options: Any) -> sdks.genai.Client:
    base = f"https://localhost:{proxy.port}"
    if options.get("vertexai"):
        return sdks.genai.Client(
            api_key=key, http_options={"base_url": f"{base}/providers/vertex"}, **options
        )
    return sdks.genai.Client(api_key=key, http_options={"base_url": f"{base}/gemini"}, **options)


def said(text: str) -> Any:
    return sdks.genai.types.Content(role="user", parts=[sdks.genai.types.Part(text=text)])


async def turn(session: Any, text: str) -> list[sdks.genai.types.LiveServerMessage]:
    await session.send_client_content(turns=said(text), turn_complete=True)
    answers: list[sdks.genai.types.LiveServerMessage] = [message async for message in session.receive()]
    return answers


def wire(door: Door, key: str, path: str = PATH, max_size: int | None = 1 << 20) -> Any:
    address = door.url.replace("http", "ws") + path
    return connect(address, additional_headers={"x-goog-api-key": key}, proxy=None, max_size=max_size)


def setup(socket: Any, model: str = MODEL, **more: Any) -> None:
    socket.send(json.dumps({"setup": {"model": f"models/{model}", **more}}))


def say(socket: Any, text: str) -> None:
    content = {"turns": [{"role": "user", "parts": [{"text": text}]}], "turnComplete": True}
    socket.send(json.dumps({"clientContent": content}))


def closing(socket: Any) -> tuple[int, str]:
    """Code and reason of the close frame, after whatever comes before it."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            socket.recv(timeout=60)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


async def test_the_sdk_talks_to_google_with_googles_key_and_each_turn_is_counted(
    door: Door, http: httpx.Client, provider: LoopbackLive, proxy: TlsProxy
) -> None:
    key, key_id = new_key(door, http)
    config: Any = {"response_modalities": ["TEXT"], "system_instruction": "Be brief."}
    async with sdk(proxy, key).aio.live.connect(model=MODEL, config=config) as opened:
        assert opened.session_id == "live-1"
        # Its types are partly unknown.
        session: Any = opened
        first = await turn(session, "hi")
        # As a person who stops speaking begins one.
        await session.send_realtime_input(
            audio=sdks.genai.types.Blob(data=b"\0\1" * 800, mime_type="audio/pcm;rate=16000")
        )
        await session.send_realtime_input(activity_end=sdks.genai.types.ActivityEnd())
        async for _ in session.receive():
            pass
        await session.send_client_content(turns=said("call"), turn_complete=True)
        async for message in session.receive():
            if message.tool_call is not None:
                answer = sdks.genai.types.FunctionResponse(
                    id="call-1", name="look", response={"seen": "waves"}
                )
                await session.send_tool_response(function_responses=[answer])
    assert "".join(message.text or "" for message in first) == "Hello"
    assert first[-1].usage_metadata is not None
    assert first[-1].usage_metadata.prompt_token_count == USAGE["promptTokenCount"]
    headers = provider.headers[-1]
    assert headers["x-goog-api-key"] == KEY
    assert key not in str(headers) + provider.paths[-1]
    [begun] = [message["setup"] for message in provider.messages if "setup" in message][-1:]
    assert begun["model"] == f"models/{MODEL}"
    assert begun["systemInstruction"]["parts"] == [{"text": "Be brief."}]
    until(lambda: sums(http, key_id).get("calls") == 4, "all four reports")
    counted = sums(http, key_id)
    assert (counted["input_tokens"], counted["output_tokens"], counted["estimated"]) == (1000, 280, 0)
    assert (counted["audio_tokens"], counted["image_tokens"]) == (4 * 210, 4 * 50)
    assert counted["cost"] == pytest.approx(4 * TURN_USD)


async def test_vertex_gets_the_operators_project_and_its_own_key(
    door: Door, http: httpx.Client, provider: LoopbackLive, proxy: TlsProxy
) -> None:
    key, key_id = new_key(door, http, usd=50)
    async with sdk(proxy, key, vertexai=True).aio.live.connect(model=MODEL, config=SHORT) as session:
        await turn(session, "hi")
    assert provider.headers[-1]["x-goog-api-key"] == KEY
    [begun] = [message["setup"] for message in provider.messages if "setup" in message][-1:]
    assert begun["model"] == f"projects/team/locations/europe-west1/publishers/google/models/{MODEL}"
    until(lambda: sums(http, key_id).get("calls") == 1, "the turn")
    assert sums(http, key_id)["cost"] == pytest.approx(TURN_USD)


def test_a_budget_ends_the_session_before_a_turn_that_it_could_not_pay(
    door: Door, http: httpx.Client, provider: LoopbackLive
) -> None:
    # Room for a turn that runs and the one that is reserved beside it, twice where the first was cheap.
    key, key_id = new_key(door, http, usd=MOST_USD * 2.01)
    short = {"maxOutputTokens": 100}
    with wire(door, key) as socket:
        setup(socket, generationConfig=short)
        say(socket, "hi")
        while b"turnComplete" not in socket.recv():
            pass
        say(socket, "stuck")
        assert b"modelTurn" in socket.recv()
    # The turn that was cut short counts as the most that it may cost, and all else is given back.
    until(lambda: sums(http, key_id).get("calls") == 2, "both turns")
    assert sums(http, key_id)["cost"] == pytest.approx(TURN_USD + MOST_USD)

    with wire(door, key) as socket:
        setup(socket, generationConfig=short)
        assert b"setupComplete" in socket.recv()
        # A turn that begins by itself: the next one could not be paid for.
        socket.send(json.dumps({"realtimeInput": {"activityEnd": {}}}))
        code, reason = closing(socket)
    assert (code, reason.partition(":")[0]) == (1008, "budget_exceeded")
    until(lambda: sums(http, key_id).get("calls") == 3, "the turn that the budget ended")
    assert sums(http, key_id)["cost"] == pytest.approx(TURN_USD + MOST_USD * 2)

    sessions = len(provider.paths)
    with wire(door, key) as socket:
        setup(socket, generationConfig=short)
        assert closing(socket)[0] == 1008
    assert len(provider.paths) == sessions
    budget = next(item for item in http.get("/budgets").json()["items"] if item["subject"] == key_id)
    assert budget["reserved"] == 0


async def test_the_sdk_tells_its_caller_why_a_session_was_refused(
    door: Door, http: httpx.Client, proxy: TlsProxy
) -> None:
    poor, _ = new_key(door, http, usd=0.01)
    rich, _ = new_key(door, http, usd=50)
    few, _ = new_key(door, http, models=["gemini-2*"])
    for key, model, why in (
        (poor, MODEL, "budget_exceeded"),
        (rich, "gemini-live-unheard-of", "unpriced_model"),
        (few, MODEL, "model_not_allowed"),
    ):
        with pytest.raises(sdks.genai.errors.APIError) as refused:
            async with sdk(proxy, key).aio.live.connect(model=model):
                pass
        assert refused.value.code == 1008
        assert why in str(refused.value), model


def test_usage_is_found_at_the_end_behind_it_or_not_at_all(door: Door, http: httpx.Client) -> None:
    for manner, estimated in (("late", 0), ("silent", 1)):
        key, key_id = new_key(door, http, usd=50)
        with wire(door, key) as socket:
            setup(socket)
            say(socket, manner)
            say(socket, "hi")
            seen = 0
            while seen < 2:
                seen += b"turnComplete" in socket.recv()
        until(lambda key_id=key_id: sums(http, key_id).get("calls") == 2, "both turns")
        assert sums(http, key_id)["estimated"] == estimated, manner


def test_searches_are_counted_and_reserved_and_none_can_be_added_later(
    door: Door, http: httpx.Client
) -> None:
    key, key_id = new_key(door, http, usd=50)
    with wire(door, key) as socket:
        setup(socket, tools=[{"googleSearch": {}}])
        say(socket, "search")
        while b"turnComplete" not in socket.recv():
            pass
    until(lambda: sums(http, key_id).get("calls") == 1, "the turn")
    assert sums(http, key_id)["cost"] == pytest.approx(TURN_USD + 2 * 0.014)

    with wire(door, key) as socket:
        setup(socket)
        assert b"setupComplete" in socket.recv()
        socket.send(json.dumps({"contextUpdate": {"tools": {"tools": [{"googleSearch": {}}]}}}))
        code, reason = closing(socket)
    assert (code, reason.partition(":")[0]) == (1008, "invalid_input")


@pytest.mark.parametrize(
    "first", ["[1]", "{}", '{"setup": {}}', '{"setup": {"model": "models/a/b"}}', '{"clientContent": {}}']
)
def test_a_session_that_is_not_set_up_reaches_nobody(door: Door, provider: LoopbackLive, first: str) -> None:
    before = len(provider.paths)
    with wire(door, ADMIN_KEY) as socket:
        socket.send(first)
        code, reason = closing(socket)
    assert (code, reason.partition(":")[0]) == (1008, "invalid_input")
    assert len(provider.paths) == before


def test_a_session_is_set_up_once(door: Door) -> None:
    with wire(door, ADMIN_KEY) as socket:
        setup(socket)
        assert b"setupComplete" in socket.recv()
        setup(socket, "gemini-live-2.5-flash")
        assert closing(socket)[0] == 1008


def test_a_provider_that_vanishes_or_says_too_much_ends_the_session(door: Door, http: httpx.Client) -> None:
    for manner in ("vanish", "huge"):
        key, key_id = new_key(door, http, usd=50)
        with wire(door, key, max_size=None) as socket:
            setup(socket)
            say(socket, manner)
            code, reason = closing(socket)
        assert (code, bool(reason)) == (1011, True), manner
        budget = next(item for item in http.get("/budgets").json()["items"] if item["subject"] == key_id)
        assert budget["reserved"] == 0


def test_a_caller_that_vanishes_ends_the_session_at_the_provider(
    door: Door, http: httpx.Client, provider: LoopbackLive
) -> None:
    while provider.ended.acquire(blocking=False):
        pass
    key, key_id = new_key(door, http, usd=50)
    with wire(door, key) as socket:
        setup(socket)
        say(socket, "stuck")
        while b"modelTurn" not in socket.recv():
            pass
        socket.socket.shutdown(2)
    assert provider.ended.acquire(timeout=60)
    until(lambda: sums(http, key_id).get("estimated") == 1, "the turn that was cut short")


def test_a_runtime_that_stops_ends_its_sessions_and_counts_them(
    door: Door, provider: LoopbackLive, tmp_path: Path
) -> None:
    settings = door.settings.model_copy(
        update={"home": make_home(tmp_path / "home"), "budgets": {"home": 5.0}}
    )
    with Door(settings) as stopping:
        with stopping.client() as client:
            client.put("/secrets/GEMINI_API_KEY", json={"value": KEY})
        socket = wire(stopping, ADMIN_KEY)
        with socket as talk:
            setup(talk, generationConfig={"maxOutputTokens": 100})
            say(talk, "stuck")
            while b"modelTurn" not in talk.recv():
                pass
            stopping.stop()
            assert closing(talk)[0] in {1001, 1012}
    with Door(settings) as again, again.client() as client:
        [budget] = client.get("/budgets").json()["items"]
        assert (budget["spent"], budget["reserved"]) == (pytest.approx(MOST_USD), 0)


def test_addresses_that_open_no_live_session_say_so(door: Door) -> None:
    for path, key, status in (
        (PATH, "cwk-unknown", 401),
        (PATH.replace("BidiGenerateContent", "BidiGenerateMusic"), ADMIN_KEY, 404),
        ("/gemini/ws/elsewhere", ADMIN_KEY, 404),
        ("/gemini/../openai/realtime", ADMIN_KEY, 404),
        ("/anthropic/v1/realtime", ADMIN_KEY, 404),
    ):
        with pytest.raises(InvalidStatus) as refused, wire(door, key, path):
            pass
        assert refused.value.response.status_code == status, path
