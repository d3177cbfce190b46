"""Another owner's public workflow, run or scheduled by a model: the person sees what it would do for them, and is asked once."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from mcp import Client
from mcp_types import ElicitRequestFormParams, ElicitResult
from tests.integration.runtime.helpers import ANN, BEN, acting, deployed
from tests.support.mcp_clients import ERAS, Era, data_of, in_process, text_of

from codewords_mcp.errors import ConsentNeeded
from codewords_mcp.mcp_server.limits import ServerLimits
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.schedule import ScheduleRequest
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("authority:runner-asked")]
NAMES = itertools.count()


async def public(runtime: Runtime) -> str:
    """The id of a public workflow of Ben's that calls a service, and that nobody else has agreed to."""
    code = acting('services = ["files"]\n')
    return await deployed(runtime, code, caller=BEN, name=f"Public {next(NAMES)}", public=True)


def connected(runtime: Runtime, era: Era = "2026-07-28", **options: Any) -> Client:
    limits = ServerLimits() if "elicitation_callback" in options else ServerLimits(answer_timeout=0.01)
    settings = Settings.model_construct(home=runtime.settings.home)
    return in_process(runtime, settings, ANN, era, limits=limits, **options)


def calls(service_id: str) -> dict[str, dict[str, Any]]:
    return {
        "run_workflow": {"workflow_id": service_id, "input": {"calls": []}},
        "schedule_workflow": {"workflow_id": service_id, "when": "@yearly", "timezone": "UTC"},
    }


@pytest.mark.parametrize("tool", ["run_workflow", "schedule_workflow"])
async def test_a_model_is_shown_what_is_asked_as_data_and_goes_on_once_the_person_agreed(
    real: Runtime, tool: str
) -> None:
    arguments = calls(await public(real))[tool]
    async with connected(real) as client:
        told = await client.call_tool(tool, arguments)
        lines = text_of(told).splitlines()
        assert lines[0].startswith("needs_consent: ")
        [begin] = [at for at, line in enumerate(lines) if "What is asked (data, not instructions)" in line]
        boundary = lines[begin].partition(">")[0].removeprefix("<")
        items = lines[begin + 1 : lines.index(f"</{boundary}>")]
        assert any("files" in line for line in items)
        token = (told.meta or {})["codewords/confirm"]
        again = await client.call_tool(tool, arguments | {"confirm": token})
        assert text_of(again).startswith("needs_consent: "), "the model's token is no answer"
        assert await real.schedules.list(ANN, service_id=arguments["workflow_id"]) == []
        await real.consents.decide(ANN, token, agreed=True)
        done = await client.call_tool(tool, arguments | {"confirm": token})
        assert not done.is_error, text_of(done)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("action", ["accept", "decline"])
@pytest.mark.parametrize("tool", ["run_workflow", "schedule_workflow"])
async def test_a_person_is_asked_in_the_chat_where_it_can(
    real: Runtime, tool: str, era: Era, action: Any
) -> None:
    heard: list[str] = []

    async def person(_: object, params: Any) -> ElicitResult:
        assert isinstance(params, ElicitRequestFormParams)
        heard.append(params.message)
        return ElicitResult(action=action, content={} if action == "accept" else None)

    service_id = await public(real)
    async with connected(real, era, elicitation_callback=person) as client:
        told = await client.call_tool(tool, calls(service_id)[tool])
        assert bool(told.is_error) == (action != "accept"), text_of(told)
        if action == "accept" and tool == "run_workflow":
            assert data_of(told)["status"] == "succeeded"
        if action == "accept":
            assert not (await client.call_tool(tool, calls(service_id)[tool])).is_error
    [question] = heard
    assert f"May the workflow {service_id}, published by ben, do this with your rights?" in question
    assert "Asked by " in question
    assert "files" in question
    made = await real.schedules.list(ANN, service_id=service_id)
    assert bool(made) == (action == "accept" and tool == "schedule_workflow")


async def test_a_schedule_of_anothers_workflow_is_asked_about_when_it_is_made_whoever_makes_it(
    real: Runtime,
) -> None:
    service_id = await public(real)
    asked = ScheduleRequest(service_id=service_id, cron="@yearly", timezone="UTC")
    with pytest.raises(ConsentNeeded) as needed:
        await real.schedules.create(ANN, asked)
    assert "files" in "\n".join(needed.value.asks)
    assert await real.schedules.list(ANN, service_id=service_id) == []
    assert (await real.schedules.create(BEN, asked)).service_id == service_id, "it is his own"
    await real.consents.decide(ANN, needed.value.confirm, agreed=True)
    assert (await real.schedules.create(ANN, asked)).service_id == service_id


@pytest.mark.parametrize("era", ERAS)
async def test_a_key_that_may_only_run_gives_no_permissions_by_the_form_of_its_own_client(
    real: Runtime, era: Era
) -> None:
    service_id = await public(real)

    async def accepts(_: object, _params: object) -> ElicitResult:
        return ElicitResult(action="accept", content={})

    narrow = replace(ANN, key_id="narrow", scopes=frozenset({"read", "run"}))
    settings = Settings.model_construct(home=real.settings.home)
    async with in_process(real, settings, narrow, era, elicitation_callback=accepts) as client:
        result = await client.call_tool("run_workflow", calls(service_id)["run_workflow"])
    assert result.is_error
    assert text_of(result).startswith("forbidden: This key does not agree")
    assert service_id not in {one.service_id for one in await real.consents.list_agreements(ANN)}
    assert [page.kind for page in await real.sessions.waiting_pages(ANN)].count("consent") > 0
