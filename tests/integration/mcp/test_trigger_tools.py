"""Triggers from a chat: added with their newest item, listed, tested, changed and deleted; and by their earlier names."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from mcp import Client
from tests.support.mcp_clients import confirmed, data_of, over_http, serving, text_of
from tests.support.runtime import ADMIN, ECHO, deploy, fetch, workflow

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.settings import Settings

_STRICT = workflow(
    """
from pydantic import BaseModel

class Named(BaseModel):
    name: str

@app.post("/")
async def greet(one: Named):
    return {"greeted": one.name}
""",
    title="Strict",
)
pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
async def client(real: Runtime) -> AsyncGenerator[Client]:
    settings = Settings.model_construct(home=real.settings.home)
    async with serving(real, settings, {"admin": ADMIN}) as address:
        real.base_url = address.removesuffix("/mcp")
        async with over_http(address, "admin", "2026-07-28") as connected:
            yield connected


@pytest.mark.requirement("triggers:tools")
async def test_a_chat_adds_lists_tests_and_deletes_triggers(client: Client, real: Runtime) -> None:
    echo, watched = await deploy(real, ECHO), await deploy(real, ECHO, name="Watched")
    kinds = text_of(await client.call_tool("list_triggers", {"kinds": True}))
    for kind in ("schedule:", "plain:", "feed:", "url:", "run_ended:", "mail:"):
        assert f"\n{kind}" in kinds

    await fetch(real, watched, {"a": 1})
    asked = {"workflow_id": echo, "kind": "run_ended", "options": {"workflow": watched}}
    added = data_of(await client.call_tool("add_trigger", asked))
    assert added["sample"]["data"]["workflow_id"] == watched
    trigger_id = added["trigger_id"]
    hook = data_of(await client.call_tool("add_trigger", {"workflow_id": echo, "kind": "plain"}))
    times = {"cron": "0 9 * * *", "timezone": "Europe/Berlin"}
    timed = data_of(
        await client.call_tool("add_trigger", {"workflow_id": echo, "kind": "schedule", "options": times})
    )
    assert timed["next"].endswith(("+01:00", "+02:00"))

    shown = text_of(await client.call_tool("get_workflow", {"workflow_id": echo}))
    assert hook["url"] in shown
    listed = data_of(await client.call_tool("list_triggers", {"workflow_id": echo}))["triggers"]
    ids = [trigger_id, hook["trigger_id"], timed["trigger_id"]]
    assert {item["trigger_id"] for item in listed} == set(ids)

    tested = data_of(
        await client.call_tool(
            "run_workflow",
            {"workflow_id": echo, "test_trigger": hook["trigger_id"], "input": {"hello": 1}},
        )
    )
    assert tested["result"] == {"got": {"hello": 1}}
    sample = data_of(await client.call_tool("change_trigger", {"trigger_id": trigger_id, "action": "test"}))
    assert sample["sample"]["data"]["workflow_id"] == watched
    for action, state in (("pause", "paused"), ("resume", "active")):
        changed = await client.call_tool("change_trigger", {"trigger_id": trigger_id, "action": action})
        assert data_of(changed)["trigger"]["state"] == state
    for given in ids:
        await confirmed(client, "change_trigger", {"trigger_id": given, "action": "delete"}, real, ADMIN)
    assert data_of(await client.call_tool("list_triggers", {}))["triggers"] == []


@pytest.mark.requirement("triggers:sample", "triggers:refused")
async def test_a_chat_is_told_of_an_item_that_a_workflow_would_refuse_and_of_all_kinds(
    client: Client, real: Runtime
) -> None:
    strict, watched = await deploy(real, _STRICT), await deploy(real, ECHO, name="Seen")
    await fetch(real, watched, {"a": 1})
    asked = {"workflow_id": strict, "kind": "run_ended", "options": {"workflow": watched}}
    added = await client.call_tool("add_trigger", asked)
    assert "name" in data_of(added)["misfit"]
    assert "would refuse this item" in text_of(added)
    refused = text_of(await client.call_tool("add_trigger", asked | {"kind": "letter"}))
    assert all(kind in refused for kind in ("schedule", "hub", "feed"))


@pytest.mark.requirement("triggers:earlier-tools")
async def test_the_tools_of_schedules_go_on_to_work_and_are_not_listed(client: Client, real: Runtime) -> None:
    names = {tool.name for tool in (await client.list_tools()).tools}
    assert names & {"schedule_workflow", "list_schedules", "change_schedule"} == set()
    echo = await deploy(real, ECHO, name="Earlier")
    asked = {"workflow_id": echo, "when": "@daily", "timezone": "UTC"}
    made = data_of(await client.call_tool("schedule_workflow", asked))
    listed = data_of(await client.call_tool("list_schedules", {}))["schedules"]
    assert [item["schedule_id"] for item in listed] == [made["schedule_id"]]
    paused = {"schedule_id": made["schedule_id"], "action": "pause"}
    assert data_of(await client.call_tool("change_schedule", paused))["schedule"]["paused"]


@pytest.mark.requirement("triggers:headers")
async def test_a_run_gets_the_headers_that_a_chat_gives(client: Client, real: Runtime) -> None:
    from tests.integration.triggers.helpers import KEEPS

    keeps = await deploy(real, KEEPS)
    asked = {"workflow_id": keeps, "input": {}, "headers": {"X-GitHub-Event": "push"}}
    found = data_of(await client.call_tool("run_workflow", asked))
    assert found["result"]["headers"]["x-github-event"] == "push"
    refused = await client.call_tool("run_workflow", asked | {"headers": {"Content-Length": "1"}})
    assert "belongs to the connection" in text_of(refused)


@pytest.mark.requirement("published:by-chat")
async def test_a_workflow_becomes_a_tool_from_a_chat_once_a_person_agrees(
    client: Client, real: Runtime
) -> None:
    strict = await deploy(real, _STRICT, name="Greets strictly")
    asked = {"workflow_id": strict, "kind": "tool", "options": {"name": "greet_strictly"}}
    refused = await client.call_tool("add_trigger", asked)
    assert refused.is_error
    assert "Publish the workflow “Greets strictly”" in text_of(refused)
    assert await real.published.list(ADMIN) == []

    added = data_of(await confirmed(client, "add_trigger", asked, real, ADMIN))
    assert (added["trigger_id"], added["kind"]) == ("tool:greet_strictly", "tool")
    greeted = await client.call_tool("greet_strictly", {"name": "Ada"})
    assert data_of(greeted)["result"] == {"greeted": "Ada"}
    listed = await client.call_tool("list_triggers", {"workflow_id": strict})
    assert [item["trigger_id"] for item in data_of(listed)["triggers"]] == ["tool:greet_strictly"]
    assert f"a tool of your chats runs {strict}" in text_of(listed)
    other = await deploy(real, ECHO, name="No tool")
    assert data_of(await client.call_tool("list_triggers", {"workflow_id": other}))["triggers"] == []

    paused = await client.call_tool(
        "change_trigger", {"trigger_id": "tool:greet_strictly", "action": "pause"}
    )
    assert "can only be deleted" in text_of(paused)
    gone = {"trigger_id": "tool:greet_strictly", "action": "delete"}
    assert not (await confirmed(client, "change_trigger", gone, real, ADMIN)).is_error
    assert await real.published.list(ADMIN) == []
    wrong = await client.call_tool("add_trigger", asked | {"options": {"nmae": "x"}})
    assert "It has name." in text_of(wrong)
    absent = await client.call_tool("add_trigger", asked | {"workflow_id": "Greets strictl"})
    assert f"Did you mean {strict}?" in text_of(absent)
