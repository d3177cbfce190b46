"""Background runs whose request cannot be read when their turn comes: they end with the reason, and others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.integration.approvals.helpers import YES, approval_ground, ask, suspended
from tests.integration.recording.resume_ground import ResumeGround
from tests.support.runtime import ADMIN, until_run

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("runs:unreadable")]
_DAMAGE = text("UPDATE run_requests SET headers = '[[1]]' WHERE run_id = :run")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
async def ground(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ResumeGround]:
    folder: Path = tmp_path_factory.mktemp("unreadable")
    settings: dict[str, Any] = {"concurrency": 1}
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").migrated_url()
        settings |= {"database_url": url, "master_key": "a1" * 32}
    async with approval_ground(folder, grace=0, **settings) as opened:
        yield opened


async def damage(ground: ResumeGround, run_id: str) -> None:
    """Damage the stored request of a run."""
    database = ground.runtime._container.database  # pyright: ignore[reportPrivateUsage]
    await database.write(lambda connection: connection.execute(_DAMAGE, {"run": run_id}) and None)


async def test_a_run_that_its_answer_resumes_ends_with_the_reason(ground: ResumeGround) -> None:
    runtime = ground.runtime
    run_id = await ground.start([ask("Go on?")])
    question = await suspended(runtime, run_id)
    await damage(ground, run_id)
    await runtime.approvals.answer(ADMIN, question.id, YES)
    run = await runtime.runs.get(ADMIN, run_id, wait=30)
    assert run.status == "failed"
    assert run.error is not None
    assert "its request could not be read" in run.error.message
    # Its journal is settled too.
    await runtime._container.dispatcher.background.tidy()  # pyright: ignore[reportPrivateUsage]


async def test_a_run_whose_turn_comes_in_the_queue_ends_with_the_reason_and_the_next_one_runs(
    ground: ResumeGround,
) -> None:
    runtime, holds, going = ground.runtime, asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def fate(_key: str) -> int:
        if not holds.is_set():
            loop.call_soon_threadsafe(going.set)
            asyncio.run_coroutine_threadsafe(holds.wait(), loop).result(60)
        return 200

    ground.host.fate = fate
    first = await ground.start([ground.read("first")])
    await going.wait()
    second, third = await ground.start([ground.read("second")]), await ground.start([ground.read("third")])
    await damage(ground, second)
    holds.set()
    run = await until_run(runtime, second, lambda run: run.completed_at is not None)
    assert (run.status, run.error and run.error.code) == ("failed", "sandbox_failed")
    for run_id in (first, third):
        assert (await runtime.runs.get(ADMIN, run_id, wait=30)).status == "succeeded"
