"""A task of the real runtime outlives a kill -9, and any replica answers for it, under the same id."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.chaos.helpers import starting
from tests.support.background_runs import WORK, with_options
from tests.support.browser_client import sign_in
from tests.support.mcp_clients import Bare
from tests.support.postgres import Postgres
from tests.support.runtime import make_home
from tests.support.served_runtime import ServedRuntime, start_runtime

from codewords_mcp.mcp_server.tasks import TASKS

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CAN: dict[str, Any] = {"extensions": {TASKS: {}}}


@pytest.fixture(scope="module")
def two(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServedRuntime]]:
    """Of which the last test kills one."""
    with starting(postgres.url(), tmp_path_factory.mktemp("two")) as replicas:
        yield replicas(2)


def _client(runtime: ServedRuntime, **can: Any) -> Bare:
    return Bare(f"{runtime.url}/mcp", runtime.key, CAN | can)


async def _begun(client: Bare, service: str, name: str, seconds: float) -> str:
    task = await client.call(
        "run_workflow", {"workflow_id": service, "input": {"name": name, "seconds": seconds}}
    )
    assert task["resultType"] == "task"
    return task["taskId"]


def _run(task: dict[str, Any]) -> dict[str, Any]:
    return task["result"]["structuredContent"]


@pytest.mark.requirement("tasks:killed")
async def test_a_task_goes_on_after_a_kill_and_tells_what_became_of_its_run(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    with start_runtime(home) as runtime:
        service = runtime.deploy(with_options(WORK, "retries = 1"), "again")
        retried = await _begun(_client(runtime), service, "x", 1.5)
        runtime.kill()
    with start_runtime(home) as runtime:
        ended = _run(await _client(runtime).until_task(retried, "completed"))
        assert ended["status"] == "succeeded"
        [run] = runtime.call("GET", "/runs")["items"]
        assert [attempt["outcome"] for attempt in run["attempts"]] == ["interrupted", "succeeded"]


@pytest.mark.requirement("mcp:replicas")
async def test_sealed_state_and_tokens_of_one_replica_are_good_at_another(two: list[ServedRuntime]) -> None:
    one, other = two
    here, there = _client(one, elicitation={"url": {}}), _client(other, elicitation={"url": {}})
    asked = await here.call("set_secret", {"name": "A_NAME"})
    answers = {"secret": {"action": "decline"}}
    told = await there.call(
        "set_secret", {"name": "A_NAME"}, requestState=asked["requestState"], inputResponses=answers
    )
    assert told["structuredContent"]["status"] == "declined"
    other.call("PUT", "/secrets/A_NAME", {"value": "v"})
    here, there = _client(one), _client(other)  # neither asks its person itself
    question = await here.call("delete_secret", {"name": "A_NAME"})
    token = question["_meta"]["codewords/confirm"]
    with sign_in(other.url, other.key) as person:
        agreed = person.submit(f"{other.url}/consents/{token}", {"answer": "agree"})
        assert agreed.status_code == 200, agreed.text
    assert (await there.call("delete_secret", {"name": "A_NAME", "confirm": token}))["structuredContent"]
    spent = await here.call("delete_secret", {"name": "A_NAME", "confirm": token})
    assert spent["isError"]


@pytest.mark.requirement("tasks:replicas")
async def test_any_replica_answers_cancels_and_takes_over(two: list[ServedRuntime]) -> None:
    one, other = two
    service = one.deploy(with_options(WORK, "retries = 2"), "work")
    here, there = _client(one), _client(other)
    dropped = await _begun(here, service, "dropped", 60)
    assert (await there.result("tasks/get", {"taskId": dropped}))["status"] == "working"
    await there.result("tasks/cancel", {"taskId": dropped})
    await there.until_task(dropped, "cancelled")
    left = await _begun(here, service, "left", 1.5)
    one.kill()
    assert _run(await there.until_task(left, "completed"))["status"] == "succeeded"
