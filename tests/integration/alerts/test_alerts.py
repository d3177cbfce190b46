"""Alerts: failures that nobody waited for are told, counted, answered, and over when things work again."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, update
from tests.integration.alerts.helpers import alert_of, scheduled, tick
from tests.support.runtime import ADMIN, finished, request
from tests.support.waiting import until_async

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.schedule import Schedule
from codewords_mcp.runtime.store import alert_causes, alerts
from codewords_mcp.runtime.store import schedules as schedule_rows
from codewords_mcp.runtime.store.alerts import Failure
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.tables import schedules

pytestmark = pytest.mark.anyio
DAY = 86_400_000_000


@pytest.mark.requirement("alerts:runs")
async def test_equal_failures_of_a_schedule_are_one_alert_that_a_run_that_succeeds_ends(
    runtime: Runtime, fails: str
) -> None:
    schedule = await scheduled(runtime, fails)
    first = await tick(runtime, schedule)
    alert = await alert_of(runtime, "run_failed", service_id=fails, run_id=first.id)
    assert (alert.count, alert.path) == (1, f"/console/runs/{first.id}")
    assert "Fails" in alert.title
    assert "500" in alert.message

    second = await tick(runtime, schedule)
    again = await alert_of(runtime, "run_failed", service_id=fails, count=2)
    assert (again.id, again.run_id, again.first_at) == (alert.id, second.id, alert.first_at)

    assert (
        await finished(runtime, await runtime.runs.start(request(fails, {"status": 200})))
    ).status == "succeeded"
    over = await alert_of(runtime, "run_failed", status="resolved", service_id=fails)
    assert over.resolved_at is not None
    assert await runtime.alerts.list(ADMIN) == []

    await tick(runtime, schedule)
    anew = await alert_of(runtime, "run_failed", service_id=fails)
    assert (anew.id, anew.count) == (alert.id, 1)
    await _forget(runtime, schedule)


@pytest.mark.requirement("alerts:exception")
async def test_an_alert_names_the_exception_without_secrets(runtime: Runtime, fails: str) -> None:
    schedule = await scheduled(runtime, fails, input={"raises": "of Monday"})
    run = await tick(runtime, schedule)
    alert = await alert_of(runtime, "run_failed", service_id=fails, run_id=run.id)
    assert "answered 500: “LookupError: no order of Monday”. A schedule" in alert.message
    await runtime.alerts.dismiss(ADMIN, alert.id)
    await _forget(runtime, schedule)


@pytest.mark.requirement("alerts:runs")
async def test_a_run_whose_caller_sees_its_failure_is_no_alert(runtime: Runtime, fails: str) -> None:
    response = await runtime.runs.execute(request(fails, {"status": 500}))
    async for _ in response.body:
        pass
    background = await finished(runtime, await runtime.runs.start(request(fails, {"status": 500})))
    assert (response.status, background.status) == (500, "failed")
    schedule = await scheduled(runtime, fails, status=418)
    told = await tick(runtime, schedule)
    await alert_of(runtime, "run_failed", run_id=told.id)
    assert [alert.run_id for alert in await runtime.alerts.list(ADMIN)] == [told.id]
    await _forget(runtime, schedule)


@pytest.mark.requirement("alerts:schedules")
async def test_a_schedule_that_fails_again_and_again_or_missed_its_times_is_told_as_such(
    runtime: Runtime, fails: str
) -> None:
    schedule = await scheduled(runtime, fails, cron="* * * * *")
    await tick(runtime, schedule)
    await tick(runtime, schedule)
    last = await tick(runtime, schedule)
    failing = await alert_of(runtime, "schedule_failing", schedule_id=schedule.id)
    assert (failing.run_id, "nightly" in failing.title) == (last.id, True)

    database = runtime._container.database  # pyright: ignore[reportPrivateUsage]
    await database.write(schedule_rows.change, schedule.id, {"next_at": now() - DAY // 144})
    runtime._container.scheduler.wake()  # pyright: ignore[reportPrivateUsage]
    missed = await alert_of(runtime, "schedule_missed", schedule_id=schedule.id)
    assert missed.count >= 8
    assert "missed" in missed.message
    await _forget(runtime, schedule)


@pytest.mark.requirement("alerts:schedules")
async def test_a_schedule_whose_workflow_is_gone_is_told_once(runtime: Runtime, fails: str) -> None:
    schedule = await scheduled(runtime, fails)
    database = runtime._container.database  # pyright: ignore[reportPrivateUsage]
    gone = update(schedules).where(schedules.c.id == schedule.id)
    gone = gone.values(service_id="gone_00000000", next_at=now() - 1)
    await database.write(lambda connection: connection.execute(gone))
    runtime._container.scheduler.wake()  # pyright: ignore[reportPrivateUsage]
    stopped = await alert_of(runtime, "schedule_stopped", schedule_id=schedule.id)
    assert (stopped.count, "gone" in stopped.message) == (1, True)
    await _forget(runtime, schedule)


@pytest.mark.requirement("alerts:answers")
async def test_an_acknowledged_alert_stays_and_a_dismissed_one_comes_back_with_the_next_failure(
    runtime: Runtime, fails: str
) -> None:
    schedule = await scheduled(runtime, fails)
    await tick(runtime, schedule)
    alert = await alert_of(runtime, "run_failed", service_id=fails)
    assert (await runtime.alerts.acknowledge(ADMIN, alert.id)).status == "acknowledged"
    await tick(runtime, schedule)
    known = await alert_of(runtime, "run_failed", status="acknowledged", count=2)
    assert known.id == alert.id

    assert (await runtime.alerts.dismiss(ADMIN, alert.id)).status == "dismissed"
    assert await runtime.alerts.list(ADMIN) == []
    await tick(runtime, schedule)
    assert (await alert_of(runtime, "run_failed", service_id=fails)).count == 1
    with pytest.raises(NotFound):
        await runtime.alerts.dismiss(Caller("ben", "user"), alert.id)
    await _forget(runtime, schedule)


@pytest.mark.requirement("alerts:floods")
async def test_a_flood_of_failures_is_a_bounded_number_of_alerts(runtime: Runtime) -> None:
    database = runtime._container.database  # pyright: ignore[reportPrivateUsage]

    def flood(connection: Connection) -> None:
        for number in range(10_000):
            app = f"rare{number}" if number < 1_000 else f"often{number % 5}"
            detail = {"owner": "ann", "app": app}
            alert_causes.note(connection, f"flood {number}", "connection_lost", detail)

    await database.write(flood)
    runtime._container.alerts.watcher.wake()  # pyright: ignore[reportPrivateUsage]

    async def counted() -> bool:
        return not await database.read(alert_causes.has_any)

    await until_async(counted)
    ann = Caller("ann", "user")
    found = await runtime.alerts.list(ann, limit=1000)
    assert len(found) == alerts.MAX_ALERTS
    assert [alert.count for alert in found if "often" in alert.title] == [1_800] * 5


@pytest.mark.requirement("alerts:clocks")
async def test_an_alert_of_a_time_to_come_is_over_with_the_next_success(runtime: Runtime, fails: str) -> None:
    database = runtime._container.database  # pyright: ignore[reportPrivateUsage]
    later = Failure("local", "run_failed", "run_failed/later", "A", "B", now() + DAY, service_id=fails)
    await database.write(alerts.add, later)
    assert (
        await finished(runtime, await runtime.runs.start(request(fails, {"status": 200})))
    ).status == "succeeded"
    await alert_of(runtime, "run_failed", status="resolved", title="A")


async def _forget(runtime: Runtime, schedule: Schedule) -> None:
    """Put the schedule and all alerts away."""
    await runtime.schedules.delete(ADMIN, schedule.id)
    database = runtime._container.database  # pyright: ignore[reportPrivateUsage]

    async def all_told() -> bool:
        waiting = [
            await database.read(alert_causes.has_any),
            await database.read(alert_causes.has_unfinished),
        ]
        return not any(waiting)

    await until_async(all_told, "no failure that is not told")
    for alert in await runtime.alerts.list(ADMIN):
        await runtime.alerts.dismiss(ADMIN, alert.id)
