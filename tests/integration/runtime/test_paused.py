"""A restored home does nothing by itself that the home of the backup may have done since, until a person resumes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.background_runs import WORK, start
from tests.support.runtime import ADMIN, deploy, finished, make_home, open_runtime

from codewords_mcp.errors import Forbidden
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.schedule import ScheduleRequest
from codewords_mcp.runtime.runs import pausing
from codewords_mcp.runtime.store import runs as run_rows
from codewords_mcp.runtime.store import schedules as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("cli:restored-paused")]


class Backup:
    """A home as its backup has it: a schedule that is due, a run whose time has come, and one in line."""

    def __init__(self, home: Path, service: str, schedule: str, once: str, runs: list[str]) -> None:
        self.home = home
        self.service = service
        self.schedule = schedule
        self.once = once
        self.runs = runs

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Runtime]:
        async with open_runtime(self.home, sandbox="process") as runtime:
            yield runtime


@pytest.fixture
async def backup(tmp_path: Path) -> Backup:
    home = make_home(tmp_path / "home")
    async with open_runtime(home, sandbox="process") as runtime:
        service = await deploy(runtime, WORK)
        schedule = await runtime.schedules.create(
            ADMIN,
            ScheduleRequest(service_id=service, cron="0 0 1 1 *", catch_up="all", input={"name": "tick"}),
        )
        once = await runtime.schedules.create(
            ADMIN,
            ScheduleRequest(
                service_id=service, at="2100-01-01T00:00", catch_up="once", input={"name": "once"}
            ),
        )
        runs = [await start(runtime, service, f"delayed {n}", delay=3600) for n in range(2)]
    database = Database.open(home)
    due = now() - 3_600_000_000
    for each in (schedule.id, once.id):
        database.write_blocking(rows.change, each, {"next_at": due})
    for run_id in runs:  # their time comes while the home is restored
        database.write_blocking(run_rows.change, run_id, {"not_before": due, "in_queue": False})
    database.write_blocking(pausing.pause)
    database.close()
    return Backup(home, service, schedule.id, once.id, runs)


async def test_it_starts_paused_says_what_waits_and_still_does_what_it_is_asked(backup: Backup) -> None:
    async with backup.open() as runtime:
        paused = (await runtime.status.describe(ADMIN))["paused"]
        assert (paused["runs"], paused["schedules"], paused["deliveries"]) == (2, 2, 0)
        # a run that is asked for now goes by the line, which the runs of the backup are in too
        asked = await finished(runtime, await start(runtime, backup.service, "asked", delay=0.01))
        assert asked.status == "succeeded"
        for run_id in backup.runs:
            assert (await runtime.runs.get(ADMIN, run_id)).status == "queued"
        assert (await runtime.schedules.get(ADMIN, backup.schedule)).last_run_id is None
    async with backup.open() as again:
        assert (await again.status.describe(ADMIN))["paused"] is not None, "a restart resumes nothing"
        assert (await again.runs.get(ADMIN, backup.runs[0])).status == "queued"


async def test_resumed_it_carries_out_what_waited_and_no_time_that_passed_before_the_restore(
    backup: Backup,
) -> None:
    async with backup.open() as runtime:
        assert await runtime.status.resume(ADMIN, cancel_waiting=False)
        for run_id in backup.runs:
            assert (await finished(runtime, run_id)).status == "succeeded"
        schedule = await runtime.schedules.get(ADMIN, backup.schedule)
        assert schedule.next_at is not None
        assert schedule.next_at > datetime.now(UTC)
        assert schedule.last_run_id is None, "the home of the backup had these times"
        once = await runtime.schedules.get(ADMIN, backup.once)
        assert (once.next_at, once.last_run_id) == (None, None)
        assert "restored" in once.note
        assert (await runtime.status.describe(ADMIN))["paused"] is None
        assert not await runtime.status.resume(ADMIN, cancel_waiting=False)
    async with backup.open() as again:
        assert (await again.status.describe(ADMIN))["paused"] is None


async def test_resumed_without_what_waited_it_cancels_that_on_record(backup: Backup) -> None:
    async with backup.open() as runtime:
        await runtime.status.resume(ADMIN, cancel_waiting=True)
        for run_id in backup.runs:
            run = await runtime.runs.get(ADMIN, run_id)
            assert run.status == "cancelled"
            assert run.error is not None
            assert "backup" in run.error.message
        asked = await asyncio.wait_for(
            finished(runtime, await start(runtime, backup.service, "new", delay=0.01)), 60
        )
        assert asked.status == "succeeded"


async def test_only_an_admin_resumes(backup: Backup) -> None:
    async with backup.open() as runtime:
        with pytest.raises(Forbidden):
            await runtime.status.resume(Caller("ann", "user", key_id="k"), cancel_waiting=False)
        assert (await runtime.status.describe(ADMIN))["paused"] is not None
