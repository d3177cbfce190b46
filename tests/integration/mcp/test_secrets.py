"""`set_secret` where the client can open pages: asked in the way of its era, and never a value in between."""

from __future__ import annotations

from typing import Any

import pytest
from mcp import Client
from mcp_types import ElicitRequestURLParams, ElicitResult
from tests.integration.mcp.fake_runtime import ANN, FakeRuntime
from tests.support.mcp_clients import Era, data_of, in_process, over_http, text_of

from codewords_mcp.mcp_server.limits import ServerLimits
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("mcp:secrets-by-page")]

VALUE = "sk-live-4f9a8c7b6d5e"


class Person:
    """Answers the client's question, typing the value on the page when told to."""

    def __init__(self, runtime: FakeRuntime, action: str, *, types: bool) -> None:
        self._runtime = runtime
        self._action: Any = action
        self._types = types
        self.asked: list[ElicitRequestURLParams] = []

    async def __call__(self, _: object, params: object) -> ElicitResult:
        assert isinstance(params, ElicitRequestURLParams)
        self.asked.append(params)
        if self._types:
            await self._runtime.secrets.redeem_link(ANN, params.url.rpartition("/")[2], VALUE)
        return ElicitResult(action=self._action)


async def _set(client: Client) -> Any:
    return await client.call_tool("set_secret", {"name": "STRIPE_API_KEY"})


async def test_a_person_who_types_the_value_on_the_page_has_it_stored(
    runtime: FakeRuntime, url: str, era: Era
) -> None:
    person = Person(runtime, "accept", types=True)
    async with over_http(url, "ann", era, elicitation_callback=person) as client:
        result = await _set(client)
    assert data_of(result)["status"] == "stored"
    assert VALUE not in result.model_dump_json()
    [asked] = person.asked
    assert asked.url.startswith("http://127.0.0.1:8765/secrets/")
    assert "STRIPE_API_KEY" in asked.message


async def test_a_person_who_declines_has_nothing_stored(runtime: FakeRuntime, url: str, era: Era) -> None:
    person = Person(runtime, "decline", types=False)
    async with over_http(url, "ann", era, elicitation_callback=person) as client:
        result = await _set(client)
    assert data_of(result)["status"] == "declined"
    assert await runtime.secrets.list(ANN) == []


async def test_a_person_who_does_not_type_in_time_leaves_the_page_waiting(
    runtime: FakeRuntime, settings: Settings, era: Era
) -> None:
    person, limits = Person(runtime, "accept", types=False), ServerLimits(typing_timeout=0.01)
    async with in_process(runtime, settings, ANN, era, limits=limits, elicitation_callback=person) as client:
        result = await _set(client)
    assert data_of(result)["status"] == "waiting"
    assert data_of(result)["url"] == person.asked[0].url


async def test_a_client_that_cannot_open_pages_gets_the_page_and_the_command_as_text(client: Client) -> None:
    result = await _set(client)
    assert data_of(result)["status"] == "waiting"
    assert data_of(result)["url"] in text_of(result)
    assert "codewords secrets set STRIPE_API_KEY" in text_of(result)
