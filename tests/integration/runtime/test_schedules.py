"""Schedules through the real facade: their times are put back in the store, and what they start is real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.runtime.helpers import come, started
from tests.support.background_runs import WORK, cancel, says
from tests.support.runtime import ADMIN, deploy, fetch, finished, make_home, open_runtime
from tests.support.waiting import until_async

from codewords_mcp.errors import CodewordsError, Conflict, InvalidInput, NotFound, TooBusy
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.schedule import Schedule, ScheduleRequest
from codewords_mcp.runtime.store import schedules as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.rows import ScheduleChange

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
MINUTE = 60_000_000


@pytest.fixture(scope="module")
async def runtime(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Runtime]:
    home = make_home(tmp_path_factory.mktemp("home"))
    async with open_runtime(home, schedule_limit=20, shares_driver=True) as opened:
        yield opened


@pytest.fixture(scope="module")
async def work(runtime: Runtime) -> str:
    return await deploy(runtime, WORK)


async def make(runtime: Runtime, service: str, **more: Any) -> Schedule:
    asked: dict[str, Any] = {"cron": "0 0 1 1 *", "input": {"name": "by itself"}} | more
    return await runtime.schedules.create(ADMIN, ScheduleRequest(service_id=service, **asked))


async def noted(runtime: Runtime, schedule: Schedule, word: str) -> Schedule:
    async def read() -> Schedule | None:
        found = await runtime.schedules.get(ADMIN, schedule.id)
        return found if word in found.note else None

    found = await until_async(read)
    assert found is not None
    return found


@pytest.mark.requirement("schedules:runs")
async def test_a_time_that_comes_starts_a_run_with_its_input_that_names_its_schedule(
    runtime: Runtime, work: str
) -> None:
    schedule = await make(runtime, work)
    assert schedule.next == sorted(schedule.next)
    assert schedule.next[0] > datetime.now(UTC)
    assert runtime.awaits_schedule
    await come(runtime, schedule)
    run = await finished(runtime, await started(runtime, schedule))
    assert (run.status, run.response_json) == ("succeeded", {"name": "by itself"})
    assert (run.schedule_id, run.background) == (schedule.id, True)
    after = await runtime.schedules.get(ADMIN, schedule.id)
    assert (after.missed, after.note, after.next_at) == (0, "", schedule.next_at)
    await runtime.schedules.delete(ADMIN, schedule.id)


@pytest.mark.requirement("schedules:once")
async def test_a_schedule_for_one_time_runs_once_and_is_over(runtime: Runtime, work: str) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1.2)
    schedule = await make(runtime, work, cron=None, at=soon.isoformat())
    run = await finished(runtime, await started(runtime, schedule))
    assert run.status == "succeeded"
    assert run.created_at >= soon
    over = await runtime.schedules.get(ADMIN, schedule.id)
    assert (over.next_at, over.next) == (None, [])
    await runtime.schedules.delete(ADMIN, schedule.id)
    assert (await runtime.runs.get(ADMIN, run.id)).status == "succeeded"


@pytest.mark.requirement("schedules:missed")
async def test_a_schedule_tells_what_it_missed_and_makes_up_as_it_was_asked(
    runtime: Runtime, work: str
) -> None:
    once, skip = [await make(runtime, work, cron="* * * * *", catch_up=policy) for policy in ("once", "skip")]
    for schedule in (once, skip):
        await runtime.schedules.pause(ADMIN, schedule.id)
        container = runtime._container  # pyright: ignore[reportPrivateUsage]
        slept: ScheduleChange = {"paused": False, "next_at": now() // MINUTE * MINUTE - 10 * MINUTE}
        await container.database.write(rows.change, schedule.id, slept)
    runtime._container.scheduler.wake()  # pyright: ignore[reportPrivateUsage]
    for schedule, words in ((once, "made up for"), (skip, "none made up for")):
        told = await noted(runtime, schedule, words)
        assert told.missed >= 9
        assert "missed" in told.note
        await runtime.schedules.delete(ADMIN, schedule.id)


@pytest.mark.requirement("schedules:overlap")
async def test_a_time_at_which_the_run_before_goes_on_is_skipped_queued_or_run_beside_it(
    runtime: Runtime, work: str
) -> None:
    long = {"name": "long", "seconds": 600}
    skip, queue, parallel = [
        await make(runtime, work, overlap=policy, input=long) for policy in ("skip", "queue", "parallel")
    ]
    first: dict[str, str] = {}
    for schedule in (skip, queue, parallel):
        await come(runtime, schedule)
        first[schedule.id] = await started(runtime, schedule)
        await says(runtime, first[schedule.id], "began")
        await come(runtime, schedule, ago=2_000_000)
    assert "had not ended" in (await noted(runtime, skip, "Skipped")).note
    beside = await started(runtime, parallel, after=first[parallel.id])
    assert (await runtime.runs.get(ADMIN, first[parallel.id])).status == "running"
    assert (await runtime.schedules.get(ADMIN, queue.id)).last_run_id == first[queue.id]
    await cancel(runtime, first[queue.id])
    behind = await started(runtime, queue, after=first[queue.id])
    await cancel(runtime, behind, beside, first[parallel.id], first[skip.id])
    for schedule in (skip, queue, parallel):
        await runtime.schedules.delete(ADMIN, schedule.id)


@pytest.mark.requirement("schedules:pause")
async def test_a_paused_schedule_starts_nothing_and_a_resumed_one_has_missed_nothing(
    runtime: Runtime, work: str
) -> None:
    schedule = await make(runtime, work)
    paused = await runtime.schedules.pause(ADMIN, schedule.id)
    assert (paused.paused, paused.next) == (True, [])
    await come(runtime, schedule, ago=3600 * 1_000_000)
    other = await make(runtime, work)
    await come(runtime, other)
    await started(runtime, other)
    assert (await runtime.schedules.get(ADMIN, schedule.id)).last_run_id is None
    resumed = await runtime.schedules.resume(ADMIN, schedule.id)
    assert (resumed.paused, resumed.missed, resumed.next_at) == (False, 0, schedule.next_at)
    assert await runtime.schedules.resume(ADMIN, schedule.id) == resumed
    for one in (schedule, other):
        await runtime.schedules.delete(ADMIN, one.id)


@pytest.mark.requirement("schedules:exactly-once")
async def test_one_time_starts_one_run_however_many_look_at_it(runtime: Runtime, work: str) -> None:
    schedules = [await make(runtime, work, overlap="parallel") for _ in range(5)]
    container = runtime._container  # pyright: ignore[reportPrivateUsage]
    at = now() - 1_000_000
    for _ in range(2):  # the second time as if the clock had been put back
        for schedule in schedules:
            await container.database.write(rows.change, schedule.id, {"next_at": at})
        await asyncio.gather(*(container.scheduler.fire() for _ in range(4)))
    ids = [await started(runtime, schedule) for schedule in schedules]
    assert [(await finished(runtime, run_id)).status for run_id in ids] == ["succeeded"] * 5
    listed = (await runtime.runs.list(ADMIN, service_id=work, limit=100)).items
    fired = [run for run in listed if run.schedule_id in {schedule.id for schedule in schedules}]
    assert len(fired) == 5
    for schedule in schedules:
        await runtime.schedules.delete(ADMIN, schedule.id)


@pytest.mark.requirement("schedules:bad-input")
async def test_what_cannot_be_scheduled_is_refused_with_a_sentence(runtime: Runtime, work: str) -> None:
    wrong: list[tuple[dict[str, Any], type[CodewordsError], str]] = [
        ({"cron": "61 * * * *"}, InvalidInput, "\\^\\^"),
        ({"cron": None}, InvalidInput, "either"),
        ({"at": "2030-01-01T00:00"}, InvalidInput, "either"),
        ({"cron": None, "at": "2020-01-01T00:00"}, InvalidInput, "past"),
        ({"timezone": "Mars/Olympus"}, InvalidInput, "zone"),
        ({"jitter": -1.0}, InvalidInput, "jitter"),
        ({"jitter": float("nan")}, InvalidInput, "jitter"),
        ({"method": "BREW"}, InvalidInput, "method"),
    ]
    for fields, error, word in wrong:
        with pytest.raises(error, match=word):
            await make(runtime, work, **fields)
    with pytest.raises(NotFound):
        await make(runtime, "nothing_00000000")
    stranger = Caller("stranger", "user")
    schedule = await make(runtime, work)
    for attempt in (
        runtime.schedules.get(stranger, schedule.id),
        runtime.schedules.pause(stranger, schedule.id),
        runtime.schedules.resume(stranger, schedule.id),
        runtime.schedules.delete(stranger, schedule.id),
        runtime.schedules.create(stranger, ScheduleRequest(service_id=work, cron="@daily")),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await runtime.schedules.list(stranger) == []
    with pytest.raises(TooBusy):
        for _ in range(30):
            await make(runtime, work)
    for one in await runtime.schedules.list(ADMIN):
        await runtime.schedules.delete(ADMIN, one.id)
    done = await make(runtime, work, cron=None, at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    await runtime.schedules.pause(ADMIN, done.id)
    await come(runtime, done)
    with pytest.raises(Conflict, match="in the past"):
        await runtime.schedules.resume(ADMIN, done.id)


@pytest.mark.requirement("schedules:service")
async def test_the_library_service_makes_and_changes_schedules_as_workflows_ask_it(
    runtime: Runtime, work: str
) -> None:
    async def call(data: dict[str, Any]) -> Any:
        import json

        status, body, run_id = await fetch(runtime, "schedule_runs", data)
        assert status == 200
        assert (await runtime.runs.get(ADMIN, run_id)).service_id == "schedule_runs"
        return json.loads(body)

    made = await call({"service_id": work, "cron_expression": "0 9 * * *", "input_data": {"name": "n"}})
    assert made["next_run_at"]
    by_id = {"schedule_id": made["schedule_id"]}
    assert made in (await call({"operation": "list"}))["schedules"]
    assert (await call({"operation": "pause"} | by_id))["paused"] is True
    assert (await call({"operation": "resume"} | by_id)) == made
    assert (await call({"operation": "delete"} | by_id))["deleted"] is True
    for wrong in (
        {"operation": "sing"}, {"operation": "get"}, {"service_id": work}, {"cron_expression": "@daily"},
        {"service_id": work, "cron_expression": 5}, {"service_id": work, "cron_expression": "@daily", "x": 1},
    ):  # fmt: skip
        with pytest.raises(InvalidInput) as caught:
            await call(wrong)
        assert caught.value.run_id is not None
        assert (await runtime.runs.get(ADMIN, caught.value.run_id)).status == "failed"


@pytest.mark.requirement("schedules:clock-set-back")
async def test_a_clock_that_was_ahead_and_is_right_again_silences_no_schedule(
    runtime: Runtime, work: str
) -> None:
    often = await make(runtime, work, cron="*/5 * * * *")
    seldom = await make(runtime, work, cron="0 0 1 1 *")
    container = runtime._container  # pyright: ignore[reportPrivateUsage]
    ahead = now() + 60 * MINUTE
    await container.database.write(lambda c: rows.change(c, often.id, {"next_at": ahead}))
    scheduler = container.scheduler
    assert scheduler._ahead is not None  # pyright: ignore[reportPrivateUsage]
    scheduler._ahead += 3600  # pyright: ignore[reportPrivateUsage]  # as it was while the clock was an hour ahead
    scheduler.wake()

    async def comes_soon() -> bool:
        coming = (await runtime.schedules.get(ADMIN, often.id)).next_at
        assert coming is not None
        return coming <= datetime.now(UTC) + timedelta(minutes=5)

    await until_async(comes_soon)
    assert (await runtime.schedules.get(ADMIN, seldom.id)).next_at == seldom.next_at
    for schedule in (often, seldom):
        await runtime.schedules.delete(ADMIN, schedule.id)
