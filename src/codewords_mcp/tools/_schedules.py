"""Format a schedule for tools."""

from __future__ import annotations

from datetime import datetime
from typing import overload
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from codewords_mcp.mcp_server.text import one_line
from codewords_mcp.runtime.model.schedule import Schedule
from codewords_mcp.tools._availability import availability_text


class ScheduleItem(BaseModel):
    """A schedule of a workflow; times are in its zone."""

    schedule_id: str
    workflow_id: str
    cron: str | None = None
    timezone: str
    paused: bool
    next: list[str]
    last_run_id: str | None = None
    last_run_at: str | None = None
    last_run_status: str | None = None
    missed: int
    note: str | None = None
    availability: str | None = None
    forecast: list[str] = []


@overload
def _zoned_time(moment: datetime, zone: str) -> str: ...
@overload
def _zoned_time(moment: datetime | None, zone: str) -> str | None: ...
def _zoned_time(moment: datetime | None, zone: str) -> str | None:
    """Format a moment with the offset of the schedule's zone."""
    if moment:
        return moment.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")
    return None


def schedule_item(schedule: Schedule) -> ScheduleItem:
    """Make the structured form of a schedule, reduced to the fields that a model needs."""
    return ScheduleItem(
        schedule_id=schedule.id,
        workflow_id=schedule.service_id,
        cron=schedule.cron,
        timezone=schedule.timezone,
        paused=schedule.paused,
        next=[_zoned_time(moment, schedule.timezone) for moment in schedule.next],
        last_run_id=schedule.last_run_id,
        last_run_at=_zoned_time(schedule.last_at, schedule.timezone),
        last_run_status=schedule.last_status,
        missed=schedule.missed,
        note=one_line(schedule.note, 300) or None,
        availability=availability_text(schedule.availability),
        forecast=schedule.forecast.lines if schedule.forecast else [],
    )


def schedule_line(schedule: ScheduleItem) -> str:
    """Format a schedule as a line."""
    when = f"{schedule.cron or 'once'} {schedule.timezone}"
    if schedule.paused:
        coming = "paused"
    elif schedule.next:
        coming = f"next {schedule.next[0]}"
    else:
        coming = "over"

    last = "never ran yet"
    if schedule.last_run_id:
        outcome = (schedule.last_run_status or "not on record").replace("_", " ")
        last = f"last run {schedule.last_run_id} at {schedule.last_run_at}: {outcome}"

    note = f" {schedule.note}" if schedule.note else ""
    return f"{schedule.schedule_id}: {schedule.workflow_id}, {when}, {coming}, {last}.{note}"
