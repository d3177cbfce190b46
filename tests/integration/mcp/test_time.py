"""Every tool answers in time; what takes longer goes on, tells how far it is, and ends when nobody wants it."""

from __future__ import annotations

import asyncio
import re

import anyio
import pytest
from mcp import Client
from tests.integration.mcp.fake_runtime import ANN, FakeRuntime, Gate
from tests.support.mcp_clients import Era, data_of, in_process, over_http, text_of
from tests.support.waiting import until_async

from codewords_mcp.mcp_server.limits import ServerLimits
from codewords_mcp.settings import Settings

pytestmark = pytest.mark.anyio


async def _deployed(client: Client) -> str:
    return data_of(await client.call_tool("deploy_workflow", {"code": "print('hi')"}))["workflow_id"]


@pytest.mark.requirement("mcp:long-run")
async def test_a_run_that_goes_on_answers_with_its_id_and_the_exact_next_call(
    client: Client, runtime: FakeRuntime
) -> None:
    workflow_id = await _deployed(client)
    runtime.gate = Gate()
    result = await client.call_tool("run_workflow", {"workflow_id": workflow_id, "wait_seconds": 0})
    run = data_of(result)
    assert run["status"] == "running"
    assert run["next"] == f'get_run(run_id="{run["run_id"]}", wait_seconds=40)'
    assert run["next"] in text_of(result)
    runtime.finish(run["run_id"], {"done": True})
    arguments = dict(re.findall(r'(\w+)="?([^",)]+)', run["next"].partition("(")[2]))
    ended = await client.call_tool("get_run", arguments | {"wait_seconds": int(arguments["wait_seconds"])})
    assert data_of(ended)["result"] == {"done": True}


@pytest.mark.requirement("mcp:long-run")
async def test_get_run_waits_for_the_end(client: Client, runtime: FakeRuntime) -> None:
    workflow_id = await _deployed(client)
    runtime.gate = gate = Gate()
    run_id = data_of(await client.call_tool("run_workflow", {"workflow_id": workflow_id, "wait_seconds": 0}))[
        "run_id"
    ]

    async def end() -> None:
        await gate.started.wait()
        runtime.finish(run_id, "late")

    waiting = client.call_tool("get_run", {"run_id": run_id, "wait_seconds": 40})
    result, _ = await asyncio.gather(waiting, end())
    assert data_of(result)["result"] == "late"


@pytest.mark.requirement("mcp:long-work")
@pytest.mark.parametrize("limits", [ServerLimits(work_timeout=0.05)])
@pytest.mark.parametrize("tool", ["validate_workflow", "deploy_workflow"])
async def test_building_that_takes_longer_is_said_and_the_same_call_joins_it(
    client: Client, runtime: FakeRuntime, tool: str
) -> None:
    runtime.gate = gate = Gate()
    first = await client.call_tool(tool, {"code": "x"})
    assert data_of(first)["status"] == "building"
    assert f"Call {tool} again" in text_of(first)
    await gate.started.wait()
    gate.go_on.set()

    async def ended() -> str:
        status = data_of(await client.call_tool(tool, {"code": "x"}))["status"]
        return "" if status == "building" else status

    assert await until_async(ended) in {"done", "deployed"}
    assert gate.calls == 1


@pytest.mark.requirement("mcp:long-work")
@pytest.mark.parametrize("limits", [ServerLimits(call_timeout=0.05)])
async def test_a_tool_whose_runtime_hangs_answers_in_time_all_the_same(
    client: Client, runtime: FakeRuntime
) -> None:
    async def hangs(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    runtime.workflows.list = hangs  # pyright: ignore[reportAttributeAccessIssue]
    result = await client.call_tool("list_workflows", {})
    assert result.is_error
    assert text_of(result).startswith("took_too_long: ")


@pytest.mark.requirement("mcp:long-work")
def test_the_limits_keep_every_answer_within_45_seconds() -> None:
    limits = ServerLimits()
    assert limits.work_timeout < limits.call_timeout <= 45


@pytest.mark.requirement("mcp:progress")
async def test_progress_of_a_build_reaches_the_client(client: Client) -> None:
    heard: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    await client.call_tool("deploy_workflow", {"code": "x"}, progress_callback=hear)
    assert heard == [(1, 2, "Building the environment")]


@pytest.mark.requirement("mcp:progress")
async def test_a_long_run_tells_how_long_it_is_waited_for(client: Client, runtime: FakeRuntime) -> None:
    workflow_id = await _deployed(client)
    runtime.gate = Gate()
    heard: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)
        runtime.finish(runtime.newest, "end")

    await client.call_tool(
        "run_workflow", {"workflow_id": workflow_id, "wait_seconds": 40}, progress_callback=hear
    )
    assert heard
    assert heard[0] == f"Run {runtime.newest}: running"


@pytest.mark.requirement("mcp:cancellation")
async def test_cancelling_a_call_cancels_the_deployment_that_only_it_waited_for(
    runtime: FakeRuntime, url: str, era: Era
) -> None:
    runtime.gate = gate = Gate()
    async with over_http(url, "ann", era) as client, anyio.create_task_group() as group:
        group.start_soon(client.call_tool, "deploy_workflow", {"code": "x"})
        await gate.started.wait()
        group.cancel_scope.cancel()
    with anyio.fail_after(5):
        await gate.cancelled.wait()


@pytest.mark.requirement("mcp:cancellation")
async def test_cancelling_a_call_cancels_the_run_it_started(runtime: FakeRuntime, url: str, era: Era) -> None:
    async with over_http(url, "ann", era) as client:
        workflow_id = await _deployed(client)
        runtime.gate = gate = Gate()
        async with anyio.create_task_group() as group:
            group.start_soon(
                client.call_tool, "run_workflow", {"workflow_id": workflow_id, "wait_seconds": 40}
            )
            await gate.started.wait()
            group.cancel_scope.cancel()
        with anyio.fail_after(5):
            await gate.cancelled.wait()


@pytest.mark.requirement("mcp:long-work")
async def test_the_end_of_a_server_ends_the_work_it_began(
    runtime: FakeRuntime, settings: Settings, era: Era
) -> None:
    runtime.gate = gate = Gate()
    limits = ServerLimits(work_timeout=0.01)
    async with in_process(runtime, settings, ANN, era, limits=limits) as client:
        await client.call_tool("validate_workflow", {"code": "x"})
        await gate.started.wait()
    assert gate.cancelled.is_set()
