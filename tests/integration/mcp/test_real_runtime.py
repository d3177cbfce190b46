"""The loop on the real runtime: a template deployed, run in a sandbox and looked into, through the door over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from mcp import Client
from tests.support.mcp_clients import confirmed, data_of, over_http, serving, text_of
from tests.support.runtime import ADMIN, workflow

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SLOW = workflow(
    '@app.post("/")\n'
    "async def slow():\n"
    "    import asyncio\n"
    '    print("STEPLOG START counting", flush=True)\n'
    "    await asyncio.sleep(600)\n",
    title="Slow",
)
CRASHES = workflow('@app.post("/")\nasync def crash():\n    raise KeyError("missing")\n', title="Crashes")


@pytest.fixture(scope="module")
async def url(real: Runtime) -> AsyncGenerator[str]:
    keys = {"admin": ADMIN, "run": Caller("local", "run", run_id="run-1")}
    async with serving(real, Settings.model_construct(home=real.settings.home), keys) as address:
        real.base_url = address.removesuffix("/mcp")
        yield address


@pytest.fixture(params=["legacy", "2026-07-28"])
async def client(request: pytest.FixtureRequest, url: str) -> AsyncGenerator[Client]:
    async with over_http(url, "admin", request.param) as connected:
        yield connected


@pytest.mark.requirement("mcp:loop")
async def test_every_template_passes_validation_and_the_greeting_answers_by_name(client: Client) -> None:
    listed = data_of(await client.call_tool("list_templates", {}))["templates"]
    template = data_of(await client.call_tool("list_templates", {"template_id": listed[0]["id"]}))[
        "templates"
    ][0]
    heard: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    checked = await client.call_tool("validate_workflow", {"code": template["code"]}, progress_callback=hear)
    assert data_of(checked)["all_passed"], text_of(checked)
    assert heard
    live = data_of(
        await client.call_tool("deploy_workflow", {"template_id": template["id"], "name": "hello"})
    )
    ran = await client.call_tool(
        "run_workflow",
        {"workflow_id": live["workflow_id"], "input": template["example_input"], "wait_seconds": 40},
    )
    run = data_of(ran)
    assert run["status"] == "succeeded", text_of(ran)
    looked = data_of(await client.call_tool("get_run", {"run_id": run["run_id"]}))
    assert looked["result"] == run["result"]
    assert looked["isolation"] == live["isolation"]


@pytest.mark.requirement("mcp:deploy-answer")
async def test_the_same_code_again_is_said_to_be_live_already(client: Client) -> None:
    first = data_of(await client.call_tool("deploy_workflow", {"code": CRASHES, "name": "crashes"}))
    again = data_of(
        await client.call_tool("deploy_workflow", {"code": CRASHES, "workflow_id": first["workflow_id"]})
    )
    assert (again["status"], again["version"]) == ("unchanged", first["version"])


@pytest.mark.requirement("mcp:run-failure")
async def test_a_handler_that_raises_gives_a_failed_run_with_its_line(client: Client) -> None:
    live = data_of(await client.call_tool("deploy_workflow", {"code": CRASHES, "name": "crashes"}))
    ran = data_of(
        await client.call_tool("run_workflow", {"workflow_id": live["workflow_id"], "wait_seconds": 40})
    )
    assert ran["status"] == "failed"
    assert ran["http_status"] == 500
    assert ran["diagnosis"]["error"] == "KeyError: 'missing'"
    assert ran["diagnosis"]["at"][-1].startswith("line ")


@pytest.mark.requirement("mcp:list-runs")
async def test_runs_are_listed_with_times_and_found_by_status_time_and_text(client: Client) -> None:
    live = data_of(await client.call_tool("deploy_workflow", {"code": CRASHES, "name": "crashes"}))
    asked = {"workflow_id": live["workflow_id"], "wait_seconds": 40, "input": {"order": "No 4711"}}
    run_id = data_of(await client.call_tool("run_workflow", asked))["run_id"]
    newest = {"workflow_id": live["workflow_id"], "status": "failed", "since": "1h", "limit": 1}
    for more in ({}, {"query": "no 4711"}):
        listed = await client.call_tool("list_runs", newest | more)
        [run] = data_of(listed)["runs"]
        assert run["run_id"] == run_id
        assert (run["workflow"], run["started_by"], run["input_preview"]) == (
            "crashes",
            "caller",
            "order: No 4711",
        )
        line = next(line for line in text_of(listed).splitlines() if run_id in line)
        assert "failed, 20" in line
        assert f"by a call, {live['workflow_id']} v" in line
    assert (
        data_of(await client.call_tool("list_runs", {"query": "4711", "trigger": "schedule"}))["runs"] == []
    )
    for wrong in ({"status": "broken"}, {"since": "yesterday"}):
        refused = await client.call_tool("list_runs", wrong)
        assert refused.is_error
        assert "must be" in text_of(refused)
    looked = text_of(await client.call_tool("get_run", {"run_id": run_id})).splitlines()[0]
    assert "started by a call at 20" in looked
    assert looked.count(" UTC") == 1


@pytest.mark.requirement("mcp:query-runs")
async def test_a_question_about_runs_is_answered_by_sql(client: Client) -> None:
    columns = text_of(await client.call_tool("query_runs", {}))
    for view in ("runs: id, workflow_id", "calls: run_id", "model_calls: day", "triggers: id"):
        assert view in columns
    sql = "SELECT error_code, count(*) AS n FROM runs WHERE status = 'failed' GROUP BY 1"
    found = await client.call_tool("query_runs", {"sql": sql})
    assert data_of(found)["columns"] == ["error_code", "n"]
    assert data_of(found)["rows"][0][0] == "workflow_answered_error"
    assert "workflow_answered_error | " in text_of(found)
    refused = await client.call_tool("query_runs", {"sql": "SELECT * FROM secrets"})
    assert refused.is_error
    assert "model_calls: day" in text_of(refused)


@pytest.mark.requirement("mcp:repair")
async def test_code_that_is_not_a_workflow_comes_back_with_what_to_change(client: Client) -> None:
    report = data_of(await client.call_tool("validate_workflow", {"code": "print('no header')"}))
    assert not report["all_passed"]
    assert all(check["message"] for check in report["checks"])
    refused = await client.call_tool("deploy_workflow", {"code": "print('no header')"})
    assert refused.is_error
    assert text_of(refused).startswith("validation_failed: ")


@pytest.mark.requirement("mcp:long-run", "mcp:cancellation")
async def test_a_long_run_is_left_and_found_again_while_it_goes_on(client: Client) -> None:
    live = data_of(await client.call_tool("deploy_workflow", {"code": SLOW, "name": "slow"}))
    left = data_of(
        await client.call_tool("run_workflow", {"workflow_id": live["workflow_id"], "wait_seconds": 0})
    )
    assert left["next"] == f'get_run(run_id="{left["run_id"]}", wait_seconds=40)'
    found = data_of(await client.call_tool("get_run", {"run_id": left["run_id"], "wait_seconds": 1}))
    assert found["status"] in {"queued", "starting", "running"}


@pytest.mark.requirement("mcp:callers")
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("deploy_workflow", {"code": CRASHES}),
        ("set_secret", {"name": "SOME_KEY"}),
        ("delete_secret", {"name": "SOME_KEY"}),
        ("list_secrets", {}),
        ("rollback_workflow", {"workflow_id": "some_00000000", "version": 1}),
        ("change_schedule", {"schedule_id": "sch_0", "action": "pause"}),
    ],
)
async def test_a_workflows_own_key_administers_nothing(
    url: str, tool: str, arguments: dict[str, str]
) -> None:
    async with over_http(url, "run", "2026-07-28") as client:
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert text_of(result).startswith("forbidden: ")


@pytest.mark.requirement("mcp:schedules")
async def test_a_workflow_is_scheduled_paused_and_deleted_and_a_run_cancelled(
    client: Client, real: Runtime
) -> None:
    live = data_of(await client.call_tool("deploy_workflow", {"code": SLOW, "name": "slow"}))
    asked = {"workflow_id": live["workflow_id"], "when": "@daily", "timezone": "Europe/Berlin"}
    made = data_of(await client.call_tool("schedule_workflow", asked))
    assert len(made["next"]) == 3
    once = data_of(await client.call_tool("schedule_workflow", asked | {"when": "2998-01-01T09:00"}))
    assert once["next"] == ["2998-01-01T09:00:00+01:00"]
    listed = data_of(await client.call_tool("list_schedules", {}))["schedules"]
    assert [one["schedule_id"] for one in listed] == [made["schedule_id"], once["schedule_id"]]
    for one in (made, once):
        change = {"schedule_id": one["schedule_id"]}
        paused = data_of(await client.call_tool("change_schedule", change | {"action": "pause"}))
        assert paused["schedule"]["paused"]
        await confirmed(client, "change_schedule", change | {"action": "delete"}, real, ADMIN)
    assert data_of(await client.call_tool("list_schedules", {}))["schedules"] == []
    wrong = await client.call_tool("schedule_workflow", asked | {"when": "0 25 * * *"})
    assert wrong.is_error
    assert "0 25 * * *\n  ^^" in text_of(wrong)
    left = data_of(
        await client.call_tool("run_workflow", {"workflow_id": live["workflow_id"], "wait_seconds": 0})
    )
    ended = data_of(await client.call_tool("cancel_run", {"run_id": left["run_id"]}))
    assert ended["status"] == "cancelled"
