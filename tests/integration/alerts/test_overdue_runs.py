"""Runs that wait though nothing holds them up: they are a problem of the runtime's status and an alert, and go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update
from tests.integration.alerts.helpers import alert_of
from tests.integration.approvals.helpers import ask, asking, suspended
from tests.integration.runtime.helpers import serving
from tests.support.runtime import ADMIN, deploy, finished, make_home, open_runtime
from tests.support.runtime import request as request_of

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.tables import run_waits

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def end_unnoticed(connection: Connection, run_id: str) -> None:
    """End the wait of a run a minute ago, in a way that resumes nothing."""
    over = {"status": "timed_out", "closed_at": now() - 60_000_000, "taken": True}
    connection.execute(update(run_waits).where(run_waits.c.run_id == run_id).values(over))


async def overdue(runtime: Runtime) -> list[dict[str, Any]]:
    status = await runtime.status.describe(ADMIN)
    return [problem for problem in status["problems"] if problem["part"] == "runs"]


@pytest.mark.requirement("alerts:overdue")
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_a_run_that_waits_past_its_reason_is_a_problem_and_one_alert_and_goes_on(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    settings: dict[str, Any] = {"waiting_grace": 0}
    if database == "postgres":
        settings["database_url"] = request.getfixturevalue("postgres").migrated_url()
        settings["master_key"] = "a1" * 32
    home = make_home(tmp_path / "home")
    async with open_runtime(home, **settings) as runtime, serving(runtime):
        service = await deploy(runtime, asking())
        run_id = await runtime.runs.start(request_of(service, {"steps": [[ask("Go on?")]]}))
        await suspended(runtime, run_id)
        assert await overdue(runtime) == []
        store = runtime._container.database  # pyright: ignore[reportPrivateUsage]
        await store.write(end_unnoticed, run_id)
        (problem,) = await overdue(runtime)
        assert run_id in problem["message"]

    async with open_runtime(home, **settings) as runtime, serving(runtime):
        alert = await alert_of(runtime, "run_overdue", run_id=run_id, status="resolved")
        assert alert.count == 1
        assert (await finished(runtime, run_id)).status == "succeeded"
        assert await overdue(runtime) == []
