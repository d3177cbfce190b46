"""Tasks: what takes longer than a moment is asked about later, by whom it belongs to, after a restart too."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from tests.integration.mcp.conformance_server import long_tools
from tests.integration.mcp.fake_runtime import ANN, BOB, FakeRuntime, Gate
from tests.support.mcp_clients import Bare, serving

from codewords_mcp.cli.mcp_app import create_server
from codewords_mcp.mcp_server.limits import ServerLimits
from codewords_mcp.mcp_server.tasks import TASKS
from codewords_mcp.settings import Settings
from codewords_mcp.tools import all_tools

pytestmark = pytest.mark.anyio

CAN: dict[str, Any] = {"extensions": {TASKS: {}}, "elicitation": {"form": {}}}


LIMITS = ServerLimits(immediate_timeout=0.05, heartbeat_interval=0.05)


@pytest.fixture
def limits() -> ServerLimits:
    return LIMITS


@pytest.fixture
def ann(url: str) -> Bare:
    return Bare(url, "ann", CAN)


async def _deployed(client: Bare) -> str:
    result = await client.call("deploy_workflow", {"code": "print('hi')"})
    return result["structuredContent"]["workflow_id"]


@pytest.mark.requirement("tasks:quick")
async def test_a_call_that_ends_at_once_is_answered_as_ever(ann: Bare) -> None:
    workflow_id = await _deployed(ann)
    result = await ann.call("run_workflow", {"workflow_id": workflow_id, "input": 1})
    assert result["resultType"] == "complete"
    assert result["structuredContent"]["result"] == 1


@pytest.mark.requirement("tasks:long")
async def test_a_longer_run_is_a_task_that_ends_with_the_runs_result(ann: Bare, runtime: FakeRuntime) -> None:
    workflow_id = await _deployed(ann)
    runtime.gate = Gate()
    task = await ann.call("run_workflow", {"workflow_id": workflow_id, "wait_seconds": 0})
    assert task["resultType"] == "task"
    assert (task["status"], task["pollIntervalMs"], task["ttlMs"]) == ("working", 1000, 86_400_000)
    working = await ann.result("tasks/get", {"taskId": task["taskId"]})
    assert working["statusMessage"] == f"Run {runtime.newest}: running"
    runtime.finish(runtime.newest, {"done": True})
    ended = await ann.until_task(task["taskId"], "completed")
    assert ended["result"]["structuredContent"]["result"] == {"done": True}


@pytest.mark.requirement("tasks:negotiated")
async def test_a_client_without_tasks_gets_the_answer_with_a_handle(url: str, runtime: FakeRuntime) -> None:
    client = Bare(url, "ann")
    workflow_id = await _deployed(client)
    runtime.gate = Gate()
    result = await client.call("run_workflow", {"workflow_id": workflow_id, "wait_seconds": 0})
    assert result["structuredContent"]["next"].startswith("get_run(")
    refused = await client.ask("tasks/get", {"taskId": "any"})
    assert refused["error"]["code"] == -32021


@pytest.mark.requirement("tasks:cancel")
async def test_cancelling_a_task_ends_the_run_behind_it(ann: Bare, runtime: FakeRuntime) -> None:
    workflow_id = await _deployed(ann)
    runtime.gate = gate = Gate()
    task = await ann.call("run_workflow", {"workflow_id": workflow_id})
    assert (await ann.result("tasks/cancel", {"taskId": task["taskId"]}))["resultType"] == "complete"
    assert "result" not in await ann.until_task(task["taskId"], "cancelled")
    assert gate.cancelled.is_set()
    await ann.result("tasks/cancel", {"taskId": task["taskId"]})  # after its end it is no error


@pytest.mark.requirement("tasks:owner")
async def test_a_task_is_found_by_the_key_that_began_it_and_by_no_other(
    ann: Bare, url: str, runtime: FakeRuntime
) -> None:
    workflow_id = await _deployed(ann)
    runtime.gate = Gate()
    task = await ann.call("run_workflow", {"workflow_id": workflow_id})
    asked: dict[str, dict[str, Any]] = {"get": {}, "cancel": {}, "update": {"inputResponses": {"1.sure": {}}}}
    for method, more in asked.items():
        told = await Bare(url, "bob", CAN).ask(f"tasks/{method}", {"taskId": task["taskId"], **more})
        assert told["error"]["code"] == -32602
        assert "no task of that id" in told["error"]["message"]
    assert (await ann.result("tasks/get", {"taskId": task["taskId"]}))["status"] == "working"


@pytest.mark.requirement("tasks:restart")
async def test_a_run_goes_on_as_the_same_task_after_a_restart_and_is_begun_once(
    runtime: FakeRuntime, settings: Settings
) -> None:
    keys = {"ann": ANN}
    async with serving(runtime, settings, keys) as url:
        ann = Bare(url, "ann", CAN)
        workflow_id = await _deployed(ann)
        runtime.gate = gate = Gate()
        task = await ann.call("run_workflow", {"workflow_id": workflow_id})
        run_id = runtime.newest
    assert not gate.cancelled.is_set(), "a runtime that ends leaves the run to the next one"
    runtime.restarted()
    async with serving(runtime, settings, keys) as url:
        ann = Bare(url, "ann", CAN)
        assert (await ann.result("tasks/get", {"taskId": task["taskId"]}))["status"] == "working"
        runtime.finish(run_id, "late")
        ended = await ann.until_task(task["taskId"], "completed")
    assert runtime.newest == run_id
    assert ended["result"]["structuredContent"]["result"] == "late"


@pytest.mark.requirement("tasks:restart")
async def test_what_may_not_be_done_twice_is_told_as_interrupted(
    runtime: FakeRuntime, settings: Settings
) -> None:
    slow = next(one for one in long_tools() if one.name == "slow_compute")
    slow.retryable = False
    arguments = {"name": "slow_compute", "arguments": {"seconds": 60}}
    async with serving(
        runtime, settings, {"ann": ANN}, create_server(runtime, settings, more=[slow], limits=LIMITS)
    ) as url:
        task = await Bare(url, "ann", CAN).result("tools/call", arguments)
    runtime.restarted()
    async with serving(
        runtime, settings, {"ann": ANN}, create_server(runtime, settings, more=[slow], limits=LIMITS)
    ) as url:
        ended = await Bare(url, "ann", CAN).until_task(task["taskId"], "completed")
    assert ended["result"]["isError"]
    assert ended["result"]["content"][0]["text"].startswith("interrupted: ")


@pytest.mark.requirement("tasks:asks")
async def test_a_task_that_needs_a_person_asks_in_the_task_and_goes_on_with_the_answer(
    runtime: FakeRuntime, settings: Settings
) -> None:
    server = create_server(runtime, settings, more=long_tools(), limits=LIMITS)
    async with serving(runtime, settings, {"ann": ANN}, server) as url:
        ann = Bare(url, "ann", CAN)
        task = await ann.call("confirm_delete", {"filename": "a.txt"})
        asking = await ann.until_task(task["taskId"], "input_required")
        [(key, asked)] = asking["inputRequests"].items()
        assert asked["params"]["message"] == "Delete a.txt?"
        wrong = {"taskId": task["taskId"], "inputResponses": {"never-asked": {"action": "accept"}}}
        await ann.result("tasks/update", wrong)
        assert (await ann.result("tasks/get", {"taskId": task["taskId"]}))["status"] == "input_required"
        answers = {key: {"action": "accept", "content": {"confirm": True}}}
        await ann.result("tasks/update", {"taskId": task["taskId"], "inputResponses": answers})
        ended = await ann.until_task(task["taskId"], "completed")
    assert ended["result"]["content"][0]["text"] == "a.txt is gone"


@pytest.mark.requirement("tasks:bounded")
@pytest.mark.parametrize("limits", [ServerLimits(immediate_timeout=0.05, max_tasks=1)])
async def test_beyond_the_most_tasks_a_call_is_answered_without_one(ann: Bare, runtime: FakeRuntime) -> None:
    workflow_id = await _deployed(ann)
    runtime.gate = Gate()
    calls = [{"workflow_id": workflow_id, "wait_seconds": 0}] * 2
    first, second = [await ann.call("run_workflow", call) for call in calls]
    assert first["resultType"] == "task"
    assert second["structuredContent"]["status"] == "running"


@pytest.mark.requirement("tasks:owner")
async def test_the_header_of_a_request_must_name_its_task(ann: Bare, runtime: FakeRuntime) -> None:
    workflow_id = await _deployed(ann)
    runtime.gate = Gate()
    task = await ann.call("run_workflow", {"workflow_id": workflow_id})
    told = await ann.ask("tasks/get", {"taskId": task["taskId"]}, **{"Mcp-Name": "another"})
    assert told["error"]["code"] == -32020


@pytest.mark.requirement("tasks:replicas")
async def test_another_replica_answers_for_a_task_and_hands_a_cancellation_over(
    runtime: FakeRuntime, settings: Settings
) -> None:
    keys = {"ann": ANN, "bob": BOB}
    async with (
        serving(runtime, settings, keys, limits=LIMITS) as here,
        serving(runtime, settings, keys, limits=LIMITS) as there,
    ):
        ann = Bare(here, "ann", CAN)
        workflow_id = await _deployed(ann)
        runtime.gate = gate = Gate()
        task = await ann.call("run_workflow", {"workflow_id": workflow_id})
        other = Bare(there, "ann", CAN)
        assert (await other.result("tasks/get", {"taskId": task["taskId"]}))["status"] == "working"
        await other.result("tasks/cancel", {"taskId": task["taskId"]})
        await other.until_task(task["taskId"], "cancelled")
        with anyio.fail_after(5):
            await gate.cancelled.wait()


@pytest.mark.requirement("tasks:declared")
async def test_the_extension_is_announced_and_every_long_tool_can_be_a_task(ann: Bare) -> None:
    told = await ann.result("server/discover")
    assert {TASKS, "io.modelcontextprotocol/skills"} <= told["capabilities"]["extensions"].keys()
    long = {tool.name for tool in all_tools() if tool.task != "never"}
    assert {"validate_workflow", "deploy_workflow", "run_workflow"} <= long
