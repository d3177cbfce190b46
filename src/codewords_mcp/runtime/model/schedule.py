"""The nouns of schedules. Times are timezone-aware UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from codewords_mcp.runtime.model.availability import Availability
from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.run import RunStatus

CatchUp = Literal["skip", "once", "all"]
Overlap = Literal["skip", "queue", "parallel"]


class Schedule(Model):
    """When a workflow runs by itself. `cron` is None for one that runs once. `next` are its next times, at most three.

    `catch_up`: what becomes of times at which nothing could run: none, the latest, or each (at most 100) is made up
    for. `overlap`: what becomes of a time at which the run before still goes on: nothing, a run after it, or a run
    beside it. `jitter`: seconds over which its runs are spread. `note` says what happened at its last time, if anything
    did; `last_status` and `last_error` are of the run `last_run_id`, while it is
    on record. `missed` counts the times at which nothing could run.
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
