"""Realtime sessions of named providers by OpenAI's own SDK: Azure in both forms, xAI by the hour, any compatible server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.integration.gateway.helpers import costs
from tests.support import sdks
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home
from tests.support.waiting import until, until_async
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.estimates import SLICE_MESSAGES, SLICE_SECONDS
from codewords_mcp.runtime.gateway.providers import ProviderRoute
from codewords_mcp.runtime.gateway.realtime.calls import SessionCalls
from codewords_mcp.runtime.gateway.realtime.clock import SessionClock
from codewords_mcp.runtime.gateway.request_facts import RequestFacts
from codewords_mcp.runtime.model.model_errors import BudgetExceeded
from codewords_mcp.settings import Settings
from codewords_testing.providers.realtime import LoopbackRealtime, loopback_realtime

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("gateway:named-realtime")]
KEY = "key-of-all-providers"
HOUR_USD, MESSAGE_USD = 4.8, 0.004
"""xAI's prices of an hour of a session, and of a text message."""


@pytest.fixture(scope="module")
def provider() -> Iterator[LoopbackRealtime]:
    with loopback_realtime(KEY) as running:
        yield running


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, provider: LoopbackRealtime) -> Iterator[Door]:
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path_factory.mktemp("home")), "port": 0, "api_key": ADMIN_KEY,
            "providers": {
                "azure": {"base_url": provider.url},
                "xai": {"base_url": f"{provider.url}/v1"},
                "mine": {"base_url": f"{provider.url}/v1", "prices": {"voice-1": {"input": 1, "output": 2}}},
            },
        }
    )  # fmt: skip
    with Door(settings) as opened:
        with opened.client() as client:
            for name in ("AZURE_API_KEY", "XAI_API_KEY", "MINE_API_KEY"):
                assert client.put(f"/secrets/{name}", json={"value": KEY}).status_code == 200
        yield opened


@pytest.fixture
def http(door: Door) -> Iterator[httpx.Client]:
    with door.client() as client:
        yield client


def opened(door: Door, path: str, key: str = ADMIN_KEY) -> Any:
    address = door.url.replace("http", "ws") + path
    return connect(address, additional_headers={"Authorization": f"Bearer {key}"}, proxy=None)


def by_model(http: httpx.Client, provider: str, model: str) -> dict[str, Any]:
    found = [item for item in costs(http, "model") if (item["provider"], item["model"]) == (provider, model)]
    return found[0] if found else {}


async def one_response(client: sdks.openai.AsyncOpenAI, model: str) -> list[str]:
    """Types of the events of one response."""
    seen: list[str] = []
    async with client.realtime.connect(model=model) as connection:
        await connection.response.create()
        async for event in connection:
            seen.append(event.type)
            if event.type == "response.done":
                break
    return seen


async def test_azures_client_opens_sessions_in_its_older_form_and_by_version_1(
    door: Door, http: httpx.Client, provider: LoopbackRealtime
) -> None:
    base = f"{door.url}/providers/azure"
    older = sdks.openai.AsyncAzureOpenAI(
        azure_endpoint=base, api_key=ADMIN_KEY, api_version="2025-04-01-preview",
        # By itself it speaks TLS only.
        websocket_base_url=f"{base}/openai".replace("http", "ws", 1),
    )  # fmt: skip
    newer = sdks.openai.AsyncOpenAI(base_url=f"{base}/openai/v1", api_key=ADMIN_KEY)
    for client, path in (
        (older, "/openai/realtime?api-version=2025-04-01-preview&deployment=gpt-realtime"),
        (newer, "/openai/v1/realtime?model=gpt-realtime"),
        (
            sdks.openai.AsyncOpenAI(base_url=f"{door.url}/openai", api_key=ADMIN_KEY),
            "/openai/v1/realtime?model=gpt-realtime",
        ),
    ):
        model = "azure/gpt-realtime" if client.base_url.path.endswith("/openai/") else "gpt-realtime"
        model = "gpt-realtime" if client is older else model
        assert (await one_response(client, model))[-1] == "response.done"
        asked = provider.paths[-1].partition("?")
        assert asked[0] + "?" + "&".join(sorted(asked[2].split("&"))) == path
        headers = provider.sessions[-1][1]
        assert (headers["api-key"], "authorization" in headers) == (KEY, False)
    until(lambda: by_model(http, "azure", "gpt-realtime").get("calls") == 3, "three responses")
    assert by_model(http, "azure", "gpt-realtime")["unpriced"] == 0


async def test_any_compatible_server_is_counted_by_what_it_reports(
    door: Door, http: httpx.Client, provider: LoopbackRealtime
) -> None:
    client = sdks.openai.AsyncOpenAI(base_url=f"{door.url}/providers/mine/v1", api_key=ADMIN_KEY)
    await one_response(client, "voice-1")
    await one_response(client, "voice-2")
    assert provider.sessions[-1][1]["authorization"] == f"Bearer {KEY}"
    until(lambda: by_model(http, "mine", "voice-2").get("calls") == 1, "both")
    assert by_model(http, "mine", "voice-1")["cost"] == pytest.approx((200 * 1 + 100 * 2) / 1e6)
    # Without a price it is counted, and said to have none.
    assert by_model(http, "mine", "voice-2")["unpriced"] == 1


async def test_xai_is_counted_by_the_time_of_the_session_and_its_messages(
    door: Door, http: httpx.Client, provider: LoopbackRealtime
) -> None:
    client = sdks.openai.AsyncOpenAI(base_url=f"{door.url}/providers/xai/v1", api_key=ADMIN_KEY)
    message: Any = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    async with client.realtime.connect(model="grok-voice-latest") as connection:
        await connection.conversation.item.create(item=message)
        await connection.response.create()
        async for event in connection:
            if event.type == "response.done":
                break
    until(lambda: by_model(http, "xai", "grok-voice-latest").get("calls") == 1, "the session")
    counted = by_model(http, "xai", "grok-voice-latest")
    assert (counted["unpriced"], counted["estimated"]) == (0, 0)
    assert MESSAGE_USD < counted["cost"] < MESSAGE_USD + HOUR_USD / 60


def test_a_session_by_the_hour_needs_room_for_its_next_minute(door: Door, http: httpx.Client) -> None:
    path = "/providers/xai/v1/realtime?model=grok-voice-latest"
    minute = SLICE_SECONDS * HOUR_USD / 3600 + SLICE_MESSAGES * MESSAGE_USD
    key = door.make_key(owner="speaker")
    found = next(item for item in http.get("/keys").json()["items"] if key.startswith(item["prefix"]))
    http.put("/budgets/key", json={"usd": minute * 0.99, "subject": found["id"]})
    with pytest.raises(InvalidStatus) as refused, opened(door, path, key):
        pass
    assert refused.value.response.status_code == 402

    http.put("/budgets/key", json={"usd": minute * 1.01, "subject": found["id"]})
    with opened(door, path, key) as socket:
        socket.recv()
        # The messages of this minute are paid for; the next would need another.
        for _ in range(SLICE_MESSAGES + 1):
            socket.send(json.dumps({"type": "conversation.item.create", "item": {}}))
        assert json.loads(socket.recv())["error"]["code"] == "budget_exceeded"


async def test_minutes_are_counted_one_after_another_until_the_budget_is_used_up(door: Door) -> None:
    route = ProviderRoute("xai", "openai", "/realtime", "metered", "realtime", "grok-voice-latest")
    most = SLICE_SECONDS * HOUR_USD / 3600 + SLICE_MESSAGES * MESSAGE_USD

    async def talk(runtime: Any) -> Any:
        gateway = runtime._container.gateway  # pyright: ignore[reportPrivateUsage]
        origin = CallAttribution("speaker", "", limits=({"call": most},))
        meter = gateway.realtime.meter
        # A limit of each call holds for a minute; one that is lower refuses the second.
        calls = SessionCalls(origin, meter, await meter.limits(origin), [], lambda: None)
        clock = SessionClock(calls, RequestFacts(route, b"", {}, route.model), slice_seconds=0.05)
        await clock.open()
        ticking = asyncio.ensure_future(clock.run())
        await until_async(lambda: calls.used("").tokens.get("audio_ms", 0) >= 150, "three slices")
        calls._limits = [limit._replace(amount=1) for limit in calls._limits]  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(BudgetExceeded):
            await ticking
        before = calls.used("")
        clock.release()
        return before, calls.used("")

    before, after = door.ask(talk)
    assert before.tokens["audio_ms"] % 50 == 0
    assert before.cost == pytest.approx(before.tokens["audio_ms"] * HOUR_USD / 3_600_000, rel=1e-6)
    assert after == before


def test_providers_without_such_an_interface_say_so(door: Door) -> None:
    for path, status in (
        ("/providers/azure/elsewhere?model=x", 404),
        ("/providers/unknown/v1/realtime?model=x", 404),
        ("/providers/xai/v1/realtime?model=x&conversation=y", 400),
        ("/providers/azure/openai/realtime?api-version=%20&deployment=x", 400),
    ):
        with pytest.raises(InvalidStatus) as refused, opened(door, path):
            pass
        assert refused.value.response.status_code == status, path
