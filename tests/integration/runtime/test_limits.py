"""Limits of key, caller, workflow and home, on both databases: for runs in the background and runs that are waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.background_runs import WORK, cancel, says, start, with_options
from tests.support.runtime import ADMIN, deploy, fetch, finished, make_home, open_runtime, request, until_run
from tests.support.waiting import until_async

from codewords_mcp.errors import Conflict, TooBusy
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.caller import Caller

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("runs:limits", "store:postgres")]
GREEDY, MODEST = Caller("local", "user", key_id="greedy"), Caller("local", "user", key_id="modest")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
async def runtime(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Runtime]:
    home = make_home(tmp_path_factory.mktemp("home"))
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").migrated_url()
    settings = {"concurrency": 4, "key_concurrency": 3, "home_concurrency": 5, "home_queue_limit": 8}
    async with open_runtime(
        home, **settings, sync_timeout=60, database_url=url, shares_driver=True
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
async def work(runtime: Runtime) -> str:
    return await deploy(runtime, WORK, name="work")


@pytest.fixture(scope="module")
async def single(runtime: Runtime) -> str:
    """A workflow of which one run may go on and two may wait."""
    return await deploy(runtime, with_options(WORK, "concurrency = 1", "queue_limit = 2"), name="single")


async def began(runtime: Runtime, service: str, count: int, **more: Any) -> list[str]:
    """So many runs that go on until they are cancelled."""
    run_ids = [await start(runtime, service, f"holder {n}", seconds=600, **more) for n in range(count)]
    for run_id in run_ids:
        await says(runtime, run_id, "began")
    return run_ids


async def waits_for(runtime: Runtime, run_id: str, what: str) -> None:
    await until_run(runtime, run_id, lambda run: run.status != "queued" or run.waits_for == what)
    run = await runtime.runs.get(ADMIN, run_id)
    assert (run.status, run.waits_for) == ("queued", what)


async def test_a_workflow_s_own_limit_holds_for_both_kinds_of_runs_and_a_refusal_names_it(
    runtime: Runtime, single: str, work: str
) -> None:
    (holder,) = await began(runtime, single, 1)
    waiting = await start(runtime, single, "background")
    provisioned = await runtime.runs.provision(ADMIN)
    waited_for = asyncio.create_task(fetch(runtime, single, {"name": "sync"}, request_id=provisioned))
    await waits_for(runtime, waiting, "workflow")
    await until_run(runtime, provisioned, lambda run: run.waits_for == "workflow")
    for refused in (start(runtime, single, "third"), fetch(runtime, single, {"name": "third"})):
        with pytest.raises(TooBusy, match="of this workflow") as caught:
            await refused
        assert caught.value.details()["limit"] == "workflow"
        assert caught.value.retry_after > 0
    assert (await fetch(runtime, work, {"name": "another workflow"}))[0] == 200
    await cancel(runtime, holder)
    assert (await waited_for)[0] == 200
    runs = [await finished(runtime, run_id) for run_id in (waiting, provisioned)]
    assert [(run.status, run.waits_for) for run in runs] == [("succeeded", None)] * 2
    first, second = sorted(
        (run.started_at, run.completed_at) for run in runs if run.started_at and run.completed_at
    )
    assert second[0] >= first[1], "one at a time"


async def test_a_key_s_limit_leaves_its_callers_other_keys_alone(runtime: Runtime, work: str) -> None:
    holders = await began(runtime, work, 3, caller=GREEDY)
    fourth = await start(runtime, work, "greedy", caller=GREEDY)
    await waits_for(runtime, fourth, "key")
    assert (
        await finished(runtime, await start(runtime, work, "modest", caller=MODEST))
    ).status == "succeeded"
    assert (await fetch(runtime, work, {"name": "modest"}, caller=MODEST))[0] == 200
    await cancel(runtime, *holders)
    assert (await finished(runtime, fourth)).status == "succeeded"


async def test_one_workflow_s_long_line_does_not_hold_up_another(
    runtime: Runtime, single: str, work: str
) -> None:
    holders = await began(runtime, work, 3, caller=MODEST)
    (other,) = await began(runtime, work, 1)  # the caller's four are taken
    line = [await start(runtime, work, f"l{n}", seconds=600) for n in range(5)]
    late = await start(runtime, single, "late")
    for run_id in (*line, late):
        await waits_for(runtime, run_id, "caller")

    async def all_wait() -> bool:  # in memory, out of the table
        return (await runtime.status.describe(ADMIN))["runs"]["queued"] > len(line)

    await until_async(all_wait)
    await cancel(runtime, other)
    assert (await finished(runtime, late)).status == "succeeded"
    await cancel(runtime, *line, *holders)


async def test_the_homes_bounds_hold_over_callers_and_name_themselves(runtime: Runtime, work: str) -> None:
    grace = Caller("grace", "admin")
    theirs = (await runtime.workflows.deploy(grace, code=WORK, name="work")).service_id
    holders = [*await began(runtime, work, 3), *await began(runtime, work, 1, caller=MODEST)]
    fifth = await runtime.runs.start(request(theirs, {"name": "x", "seconds": 600}, caller=grace))
    line = [
        await runtime.runs.start(request(theirs, {"name": "y", "seconds": 600}, caller=grace))
        for _ in range(8)
    ]
    assert (await runtime.runs.get(grace, line[0])).waits_for == "home"
    with pytest.raises(TooBusy) as caught:
        await fetch(runtime, work, {"name": "too many"})
    assert caught.value.details()["limit"] == "home"
    for run_id in (*line, fifth):
        assert (await runtime.runs.cancel(grace, run_id)).status == "cancelled"
    await cancel(runtime, *holders)


async def test_runs_that_a_run_starts_count_for_the_key_that_began_the_chain(
    runtime: Runtime, work: str
) -> None:
    parent = await runtime.runs.start(request(work, {"name": "parent", "seconds": 600}, caller=GREEDY))
    await says(runtime, parent, "began")
    child_caller = Caller("local", "run", run_id=parent)
    status, _, child = await fetch(runtime, work, {"name": "child"}, caller=child_caller)
    assert status == 200
    background = await runtime.runs.start(request(work, {"name": "child"}, caller=child_caller))
    grandchild = (
        await fetch(runtime, work, {"name": "g"}, caller=Caller("local", "run", run_id=background))
    )[2]
    await cancel(runtime, parent)
    for run_id in (child, background, grandchild):
        assert (await finished(runtime, run_id)).status == "succeeded"
    sums = {one.of: one.runs for one in await runtime.runs.usage(ADMIN, by="key")}
    assert sums["greedy"] >= 4
    assert {(await runtime.runs.get(ADMIN, run_id)).parent_id for run_id in (child, background)} == {parent}


async def test_a_workflow_that_would_wait_for_itself_is_told_so(runtime: Runtime, single: str) -> None:
    (holder,) = await began(runtime, single, 1)
    with pytest.raises(Conflict, match="wait for itself"):
        await fetch(runtime, single, {"name": "again"}, caller=Caller("local", "run", run_id=holder))
    await cancel(runtime, holder)


async def test_a_run_that_is_waited_for_is_turned_away_when_its_turn_does_not_come_in_its_time(
    runtime: Runtime, single: str
) -> None:
    (holder,) = await began(runtime, single, 1)
    with pytest.raises(TooBusy, match=r"Timed out after 0\.1 s") as caught:
        await fetch(runtime, single, {"name": "impatient"}, timeout=0.1)
    assert caught.value.details()["limit"] == "workflow"
    await cancel(runtime, holder)
    assert (await fetch(runtime, single, {"name": "free again"}))[0] == 200
