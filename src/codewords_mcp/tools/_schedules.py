"""A schedule as a tool tells it."""

from __future__ import annotations

from pydantic import BaseModel

from codewords_mcp.door.text import one_line
from codewords_mcp.runtime.schedule_info import Schedule
from codewords_mcp.tools._availability import lasting


class ScheduleItem(BaseModel):
    """When a workflow runs by itself; times are UTC."""

    schedule_id: str
    workflow_id: str
    cron: str | None = None
    timezone: str
    paused: bool
    next: list[str]
    last_run_id: str | None = None
    missed: int
    note: str | None = None
    availability: str | None = None


def item(schedule: Schedule) -> ScheduleItem:
    """Without what a model does not need."""
    return ScheduleItem(
        schedule_id=schedule.id,
        workflow_id=schedule.service_id,
        cron=schedule.cron,
        timezone=schedule.timezone,
        paused=schedule.paused,
        next=[moment.isoformat(timespec="seconds") for moment in schedule.next],
        last_run_id=schedule.last_run_id,
        missed=schedule.missed,
        note=one_line(schedule.note, 300) or None,
        availability=lasting(schedule.availability),
    )


def line(schedule: ScheduleItem) -> str:
    """One line of words."""
    when = f"{schedule.cron or 'once'} {schedule.timezone}"
    coming = "paused" if schedule.paused else f"next {schedule.next[0]}" if schedule.next else "over"
    note = f" {schedule.note}" if schedule.note else ""
    return f"{schedule.schedule_id}: {schedule.workflow_id}, {when}, {coming}.{note}"
