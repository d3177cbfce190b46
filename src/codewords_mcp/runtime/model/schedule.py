"""Data models of schedules. Times are timezone-aware UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from codewords_mcp.runtime.model.availability import Availability
from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.forecast import Forecast
from codewords_mcp.runtime.model.run import RunStatus

CatchUp = Literal["skip", "once", "all"]
Overlap = Literal["skip", "queue", "parallel"]


class Schedule(Model):
    """A schedule of a workflow. `cron` is None for a single run. `next` are the next times, at most
    three.

    `catch_up`: which missed times are made up for: none, the latest, or each (at most 100).
    `overlap`: a time that comes during the previous run is skipped, queued, or run in parallel.
    `jitter`: seconds over which its runs are spread. `note` describes an incident at its last time.
    `last_status` and `last_error` belong to the run `last_run_id`, while it is on record. `missed`
    counts times at which nothing could run. `first_dry`: the first time is a dry run, after which it is paused until a person
    applies that run or resumes the schedule. `forecast` comes with a new schedule. `maker` is the workflow whose run made it,
    None for a person.
    """

    id: str
    service_id: str
    name: str
    cron: str | None
    timezone: str
    method: str
    path: str
    input: Any = None
    catch_up: CatchUp
    overlap: Overlap
    jitter: float
    paused: bool
    first_dry: bool = False
    created_at: datetime
    next_at: datetime | None = None
    next: list[datetime] = Field(default_factory=list[datetime])
    last_at: datetime | None = None
    last_run_id: str | None = None
    last_status: RunStatus | None = None
    last_error: str | None = None
    missed: int = 0
    note: str = ""
    availability: Availability | None = None
    forecast: Forecast | None = None
    maker: str | None = None


class ScheduleRequest(Model):
    """`cron` (five fields, or @daily and its siblings) or `at` (a time like 2026-12-24T18:00), in `timezone`."""

    service_id: str
    cron: str | None = None
    at: str | None = None
    timezone: str = "UTC"
    input: Any = None
    name: str = ""
    method: str = "POST"
    path: str = "/"
    catch_up: CatchUp = "once"
    overlap: Overlap = "skip"
    jitter: float = 0.0
    dry_run: bool = False
