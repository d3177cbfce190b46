"""Texts of runs, versions and schedules, for a host that shows only text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from codewords_mcp.mcp_server.run_format import format_run
from codewords_mcp.mcp_server.run_result import RunView, run_result
from codewords_mcp.runtime.model.run import Run
from codewords_mcp.runtime.model.schedule import Schedule
from codewords_mcp.tools import get_workflow
from codewords_mcp.tools._schedules import schedule_item, schedule_line

pytestmark = pytest.mark.requirement("mcp:runs-in-text")
AT = datetime(2026, 11, 27, 8, 0, tzinfo=UTC)


def schedule(**more: object) -> Schedule:
    facts = {
        "id": "sch_1", "service_id": "report_1234", "name": "", "cron": "0 9 * * *", "timezone": "Europe/Berlin",
        "method": "POST", "path": "/", "catch_up": "once", "overlap": "skip", "jitter": 0.0, "paused": False,
        "created_at": AT, "next_at": AT, "next": [AT],
    }  # fmt: skip
    return Schedule.model_validate(facts | more)


def test_a_schedule_that_fails_names_its_last_run_with_time_and_outcome() -> None:
    words = schedule_line(schedule_item(schedule(last_run_id="r1", last_at=AT, last_status="timed_out")))
    assert "last run r1 at 2026-11-27T09:00:00+01:00: timed out" in words
    assert "never ran yet" in schedule_line(schedule_item(schedule()))


def test_a_workflow_names_of_each_run_its_time_cause_and_cost_and_of_each_version_its_date() -> None:
    run = get_workflow.RunItem(
        run_id="r1", status="failed", created_at="2026-11-27T08:00:00Z", seconds=1.5, started_by="schedule sch_1", cost_usd=0.02,
    )  # fmt: skip
    words = get_workflow._run_line(run)  # pyright: ignore[reportPrivateUsage]
    for fact in ("r1", "failed", "2026-11-27T08:00", "1.5 s", "by schedule sch_1", "0.02 USD"):
        assert fact in words
    version = get_workflow.VersionItem(version=2, created_at="2026-11-26T10:30:00Z", active=True)
    assert get_workflow._version(version) == "2 of 2026-11-26T10:30 (live)"  # pyright: ignore[reportPrivateUsage]


def test_a_run_that_waits_for_a_person_is_not_only_called_queued() -> None:
    run = Run(
        id="r1",
        owner="ann",
        service_id="pay_1",
        status="queued",
        waits_for="answer",
        created_at=AT,
        background=True,
    )
    headline = format_run(run_result(RunView(run)))
    assert headline.startswith("The run is queued (a person's answer)")
    ended = run.model_copy(update={"status": "timed_out", "waits_for": None})
    assert format_run(run_result(RunView(ended))).startswith("Run r1 timed out")
