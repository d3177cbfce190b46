"""Library services that a model calls itself: what reads passes, what writes is asked about, once for each exact call."""

from __future__ import annotations

from typing import Any

import pytest
from mcp import Client
from mcp_types import ElicitRequestFormParams, ElicitResult
from tests.support.mcp_clients import Era, data_of, in_process, text_of
from tests.support.runtime import ADMIN, deploy, fetch, workflow

from codewords_mcp.mcp_server.limits import ServerLimits
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("services:direct")]
MAIL = {"to": "victim@example.org", "subject": "Hello", "text": "From a model"}


def connected(runtime: Runtime, era: Era = "2026-07-28", **options: Any) -> Client:
    limits = ServerLimits() if "elicitation_callback" in options else ServerLimits(answer_timeout=0.01)
    settings = Settings.model_construct(home=runtime.settings.home)
    return in_process(runtime, settings, ADMIN, era, limits=limits, **options)


async def unsent(runtime: Runtime) -> int:
    _, body, _ = await fetch(runtime, "send_email", {}, path="/outbox")
    return body.count(b"victim@example.org")


@pytest.mark.parametrize(
    ("service", "path", "data"),
    [
        ("send_email", "/", MAIL),
        ("send_email/", "/", MAIL),
        ("/send_email", "", MAIL),
        ("slack_trigger", "/send_message", {"channel": "C1", "text": "hi"}),
        ("slack_trigger", "/send", {"channel": "C1", "text": "hi"}),
        ("slack_trigger", "/%73end", {"channel": "C1", "text": "hi"}),
        ("slack_trigger", "/simulate", {"event": {"type": "app_mention"}}),
        ("whatsapp_trigger", "/send_message", {"to_phone_number": "+351912345678", "message_text": "hi"}),
        ("schedule_runs", "/", {"service_id": "greeting_99115e9a", "cron_expression": "0 9 * * *"}),
        ("chrome_extension", "/", {"actions": [{"type": "navigate", "url": "https://example.org/"}]}),
        ("web_automation_agent", "/", {"url": "https://example.org/", "instructions": "Do it."}),
        ("redis_coordinator", "/", {"action": "set", "key": "k", "value": 1}),
        ("files", "/upload", {"filename": "a.txt", "content": "a"}),
        ("user_login", "/start", {"email": "victim@example.org"}),
    ],
)
async def test_a_call_that_writes_is_not_made_before_a_person_agrees(
    real: Runtime, service: str, path: str, data: dict[str, Any]
) -> None:
    before = await unsent(real)
    async with connected(real) as client:
        asked = {"workflow_id": service, "path": path, "input": data}
        told = await client.call_tool("run_workflow", asked)
        assert text_of(told).startswith("needs_consent: "), text_of(told)
        token = (told.meta or {})["codewords/confirm"]
        again = await client.call_tool("run_workflow", asked | {"confirm": token})
        assert text_of(again).startswith("needs_consent: "), "the model's token is no answer"
    assert await unsent(real) == before


@pytest.mark.parametrize(
    ("service", "path", "data"),
    [
        ("send_email", "/outbox", {}),
        ("redis_coordinator", "/", {"action": "get", "key": "k"}),
        ("schedule_runs", "/", {"operation": "list"}),
        ("files", "/list", {}),
    ],
)
async def test_a_call_that_reads_passes(real: Runtime, service: str, path: str, data: dict[str, Any]) -> None:
    async with connected(real) as client:
        told = data_of(
            await client.call_tool("run_workflow", {"workflow_id": service, "path": path, "input": data})
        )
    assert told["status"] == "succeeded"


async def test_a_yes_is_for_one_call_and_its_very_input(real: Runtime) -> None:
    async with connected(real) as client:
        asked = {"workflow_id": "send_email", "input": MAIL}
        first = await client.call_tool("run_workflow", asked)
        token = (first.meta or {})["codewords/confirm"]
        shown = (await real.consents.peek(ADMIN, token)).rows
        assert ("to", ["“victim@example.org”"]) in shown
        await real.consents.decide(ADMIN, token, agreed=True)
        other = await client.call_tool(
            "run_workflow",
            {"workflow_id": "send_email", "input": MAIL | {"to": "b@example.org"}, "confirm": token},
        )
        assert text_of(other).startswith("needs_consent: ")
        before = await unsent(real)
        assert (
            data_of(await client.call_tool("run_workflow", asked | {"confirm": token}))["status"]
            == "succeeded"
        )
        assert await unsent(real) == before + 1
        assert text_of(await client.call_tool("run_workflow", asked)).startswith("needs_consent: ")


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
@pytest.mark.parametrize("action", ["accept", "decline", "cancel"])
async def test_a_person_is_asked_in_the_chat_where_it_can(real: Runtime, era: Era, action: Any) -> None:
    heard: list[str] = []

    async def person(_: object, params: Any) -> ElicitResult:
        assert isinstance(params, ElicitRequestFormParams)
        heard.append(params.message)
        return ElicitResult(action=action, content={} if action == "accept" else None)

    before = await unsent(real)
    async with connected(real, era, elicitation_callback=person) as client:
        told = await client.call_tool("run_workflow", {"workflow_id": "send_email", "input": MAIL})
    assert bool(told.is_error) == (action != "accept"), text_of(told)
    [question] = heard
    assert question.startswith("May the assistant call send_email now, once?")
    assert "to: “victim@example.org”" in question
    assert await unsent(real) == before + (action == "accept")


async def test_nobody_is_asked_about_a_schedule_of_a_service_since_there_is_none(real: Runtime) -> None:
    async with connected(real) as client:
        asked = {"workflow_id": "send_email", "when": "@hourly", "timezone": "UTC", "input": MAIL}
        told = await client.call_tool("schedule_workflow", asked)
        assert text_of(told).startswith("not_found: ")
        assert "needs_consent" not in text_of(told)


async def test_what_does_not_fit_is_refused_before_anybody_is_asked(real: Runtime) -> None:
    async with connected(real) as client:
        for wrong in (
            {"workflow_id": "send_email", "input": {"no": 1}},
            {"workflow_id": "send_email", "path": "/nothing"},
        ):
            told = await client.call_tool("run_workflow", wrong)
            assert told.is_error
            assert "needs_consent" not in text_of(told)


async def test_nobody_is_asked_about_a_rollback_to_what_is_not_there_or_is_live(real: Runtime) -> None:
    async with connected(real) as client:
        live = data_of(
            await client.call_tool("deploy_workflow", {"template_id": "greeting", "name": "rolled"})
        )
        same = await client.call_tool("rollback_workflow", {"workflow_id": live["workflow_id"], "version": 1})
        assert data_of(same)["version"] == 1
        for wrong in (
            {"workflow_id": live["workflow_id"], "version": 9},
            {"workflow_id": "none_00000000", "version": 1},
        ):
            told = await client.call_tool("rollback_workflow", wrong)
            assert text_of(told).startswith("not_found: ")


async def test_a_rollback_is_asked_about_with_what_the_version_may_do_that_the_live_one_may_not(
    real: Runtime,
) -> None:
    """It was agreed to once, and may have been taken back for just that."""
    going = 'import httpx\n\n@app.get("/")\nasync def go():\n    return httpx.get("https://api.example.com/").text\n'
    service = await deploy(real, workflow(going, title="Wide once"), name="Wide once")
    narrow = workflow('@app.get("/")\nasync def go():\n    return 1\n', title="Wide once")
    assert (await real.workflows.deploy(ADMIN, code=narrow, service_id=service)).version == 2
    async with connected(real) as client:
        told = await client.call_tool("rollback_workflow", {"workflow_id": service, "version": 1})
        assert text_of(told).startswith("needs_consent: ")
        assert "api.example.com" in text_of(told)
    assert (await real.workflows.get(ADMIN, service)).version == 2
