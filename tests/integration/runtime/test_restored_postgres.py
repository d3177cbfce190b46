"""A PostgreSQL home that `pg_restore` made starts paused by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.support.background_runs import WORK, start
from tests.support.postgres import Postgres
from tests.support.runtime import ADMIN, deploy, finished, make_home, open_runtime

from codewords_mcp.runtime.model.schedule import ScheduleRequest
from codewords_mcp.runtime.runs import pausing
from codewords_mcp.runtime.store import runs as run_rows
from codewords_mcp.runtime.store import schedules as schedule_rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("postgres:restored-paused")]


def paused_at(home: Path, url: str) -> int | None:
    """Open the database as a runtime's start does; when it was paused."""
    database = Database.open(home, url)
    try:
        return database.write_blocking(pausing.pause_if_restored)
    finally:
        database.close()


async def test_a_database_that_pg_restore_made_starts_nothing_by_itself_until_it_is_resumed(
    tmp_path: Path, postgres: Postgres
) -> None:
    home, source = make_home(tmp_path / "home"), postgres.url()
    async with open_runtime(home, sandbox="process", database_url=source) as runtime:
        assert (await runtime.status.describe(ADMIN))["paused"] is None, "a new database is no restored one"
        service = await deploy(runtime, WORK)
        request = ScheduleRequest(
            service_id=service, cron="0 0 1 1 *", catch_up="all", input={"name": "tick"}
        )
        schedule = await runtime.schedules.create(ADMIN, request)
        waiting = await start(runtime, service, "waiting", delay=3600)
    database = Database.open(home, source)
    due = now() - 3_600_000_000
    database.write_blocking(lambda c: schedule_rows.change(c, schedule.id, {"next_at": due}))
    database.write_blocking(lambda c: run_rows.change(c, waiting, {"not_before": due, "in_queue": False}))
    database.close()

    file = await asyncio.to_thread(postgres.dump, source)
    target = postgres.url()
    await asyncio.to_thread(postgres.restore, file, target)

    for _ in range(2):  # a restart resumes nothing
        async with open_runtime(home, sandbox="process", database_url=target) as restored:
            paused = (await restored.status.describe(ADMIN))["paused"]
            assert (paused["runs"], paused["schedules"]) == (1, 1)
            new = await finished(restored, await start(restored, service, "new", delay=0.01))
            assert new.status == "succeeded"
            assert (await restored.runs.get(ADMIN, waiting)).status == "queued"
            assert (await restored.schedules.get(ADMIN, schedule.id)).last_run_id is None
    async with open_runtime(home, sandbox="process", database_url=target) as restored:
        await restored.status.resume(ADMIN, cancel_waiting=False)
        assert (await finished(restored, waiting)).status == "succeeded"
    assert paused_at(home, target) is None, "noticed once"
    assert paused_at(home, source) is None, "the home of the backup goes on"


async def test_a_restore_over_the_same_database_is_noticed_and_restarts_are_not(
    tmp_path: Path, postgres: Postgres
) -> None:
    home, url = make_home(tmp_path / "home"), postgres.url()
    assert [paused_at(home, url) for _ in range(3)] == [None, None, None]
    file = await asyncio.to_thread(postgres.dump, url)
    await asyncio.to_thread(postgres.restore, file, url, "--clean")
    assert paused_at(home, url) is not None


async def test_of_several_runtimes_that_start_at_once_on_a_restored_database_each_is_paused(
    tmp_path: Path, postgres: Postgres
) -> None:
    home, source, target = make_home(tmp_path / "home"), postgres.url(), postgres.url()
    assert paused_at(home, source) is None
    await asyncio.to_thread(postgres.restore, await asyncio.to_thread(postgres.dump, source), target)
    starts = await asyncio.gather(*(asyncio.to_thread(paused_at, home, target) for _ in range(6)))
    assert len(set(starts)) == 1
    assert starts[0] is not None
