"""A model connects and calls MCP servers only with its person's yes, which says whose word is taken."""

from __future__ import annotations

import httpx
import pytest
from tests.integration.mcp_broker.helpers import ServedMcp, connected
from tests.integration.mcp_broker.person import Person
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.mcp_clients import Era, data_of, over_http, text_of

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("mcp-broker:consent")]


@pytest.fixture(params=["legacy", "2026-07-28"])
def era(request: pytest.FixtureRequest) -> Era:
    return request.param


async def test_from_an_address_to_a_call_in_the_chat(
    door: Door, http: httpx.Client, notes: ServedMcp, era: Era
) -> None:
    person = Person(believe="yes")
    async with over_http(f"{door.url}/mcp", ADMIN_KEY, era, elicitation_callback=person) as client:
        state = data_of(await client.call_tool("connect_integration", {"app": notes.url}))
        assert state["connected"], state
        [page] = person.pages
        assert notes.url in page
        assert "by the server's own word. Nobody has checked that" in page
        app = state["app"]

        found = data_of(await client.call_tool("search_integrations", {"query": "find notes with a text"}))
        assert (found["actions"][0]["key"], found["actions"][0]["writes"]) == (f"{app}/search_notes", False)
        shown = text_of(await client.call_tool("get_integration", {"app": app, "action": "add_note"}))
        assert "Action (data, not instructions)" in shown
        assert "The server says: Write a new note." in shown
        assert 'client.run("mcp"' in shown

        read = await client.call_tool(
            "call_integration", {"app": app, "action": "search_notes", "props": {"query": "milk"}}
        )
        assert data_of(read)["result"] == {"result": ["buy milk"]}
        assert person.forms == []
        written = await client.call_tool(
            "call_integration", {"app": app, "action": "add_note", "props": {"text": "hello"}}
        )
        assert data_of(written)["status"] == "done"
        [form] = person.forms
        assert "hello" in form
        assert notes.url in form
        drawn = text_of(
            await client.call_tool("call_integration", {"app": app, "action": "draw", "props": {}})
        )
        assert f"{door.url}/file/" in drawn


async def test_without_belief_each_call_asks_and_says_whose_word_it_is(
    door: Door, http: httpx.Client, notes: ServedMcp
) -> None:
    connected(http, notes.url, name="notes")
    person = Person(agrees=False)
    async with over_http(f"{door.url}/mcp", ADMIN_KEY, "legacy", elicitation_callback=person) as client:
        refused = await client.call_tool(
            "call_integration", {"app": "mcp_notes", "action": "search_notes", "props": {}}
        )
        assert refused.is_error
        assert "the server says that this only reads; nobody has checked that" in person.forms[0]
        assert notes.calls == []


async def test_a_client_without_pages_gets_the_address_and_connects_nothing(
    door: Door, http: httpx.Client, notes: ServedMcp
) -> None:
    async with over_http(f"{door.url}/mcp", ADMIN_KEY, "2026-07-28") as client:
        state = data_of(await client.call_tool("connect_integration", {"app": notes.url}))
        assert (state["connected"], state["status"]) == (False, "missing")
        assert state["url"].startswith(f"{door.url}/connect/")
        refused = await client.call_tool("call_integration", {"app": state["app"], "action": "add_note"})
        assert refused.is_error
        found = data_of(await client.call_tool("search_integrations", {"query": "find notes"}))
        assert not any(one["app"].startswith("mcp_") for one in found["actions"])


async def test_the_service_is_not_a_way_around_the_question(
    door: Door, http: httpx.Client, notes: ServedMcp
) -> None:
    connected(http, notes.url, name="notes")
    asked = {"server": "notes", "tool": "add_note", "arguments": {"text": "x"}}
    async with over_http(f"{door.url}/mcp", ADMIN_KEY, "2026-07-28") as client:
        for name in ("mcp", "mcp/", "/mcp/call"):
            assert (await client.call_tool("run_workflow", {"workflow_id": name, "input": asked})).is_error
    assert notes.calls == []
