"""Data models of triggers: what starts the runs of workflows. Times are timezone-aware UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.schedule import CatchUp, Overlap, Schedule
from codewords_mcp.runtime.model.webhook import Webhook

EventStatus = Literal["pending", "started", "skipped"]
"""`pending`: its run is about to be started. `skipped`: it starts none, since it was too many or too large."""
TriggerState = Literal["active", "failing", "paused"]
"""`failing`: the last look at the source failed, and the next one follows later."""
DEFAULT_CATCH_UP = 1000
"""Events that are started of those that came while nobody looked."""


class Trigger(Model):
    """A trigger of any kind: `schedule`, a kind of webhook, or a kind of event source.

    `options` are those of an event source. `next_at` is the next time or look, `last_at` the time of the last event.
    `waiting` events have no run yet; `missed` ones came while nobody looked and were too many. `note` tells why it is
    paused, `problem` why the last look failed. `url` is the address of a webhook.
    """

    id: str
    kind: str
    service_id: str
    name: str = ""
    path: str = "/"
    state: TriggerState
    note: str = ""
    problem: str = ""
    options: dict[str, Any] = Field(default_factory=dict[str, Any])
    interval_s: float | None = None
    catch_up: int | None = None
    created_at: datetime
    next_at: datetime | None = None
    polled_at: datetime | None = None
    last_at: datetime | None = None
    last_run_id: str | None = None
    waiting: int = 0
    missed: int = 0
    url: str | None = None
    secret: str | None = None
    schedule: Schedule | None = None
    webhook: Webhook | None = None


class ScheduleOptions(BaseModel):
    """Options of the kind `schedule`: either `cron` or `at`, in `timezone`."""

    model_config = ConfigDict(extra="forbid")

    cron: str | None = Field(default=None, description='Five fields, as "0 9 * * MON-FRI", or "@daily".')
    at: str | None = Field(default=None, description='One time, as "2026-12-24T18:00".')
    timezone: str = Field(default="UTC", description="IANA name, as Europe/Berlin.")
    input: Any = Field(default=None, description="JSON body of its runs.")
    method: str = Field(default="POST", description="HTTP method of its runs.")
    catch_up: CatchUp = Field(default="once", description="Missed times that are made up for.")
    overlap: Overlap = Field(
        default="skip", description="For a time that comes while the run before goes on."
    )
    jitter: float = Field(default=0.0, description="Seconds over which its runs are spread.")
    dry_run: bool = Field(default=False, description="The first time is a dry run.")


class WebhookOptions(BaseModel):
    """Options of the kinds of webhooks."""

    model_config = ConfigDict(extra="forbid")

    secret: str | None = Field(
        default=None, description="Name of the secret that the sender signs with; none for `plain`."
    )


class TriggerRequest(Model):
    """A trigger to add. `interval_s` None: the source's own pause between two looks.

    `check`: look at the source once before, so that wrong options are refused now.
    """

    kind: str
    service_id: str
    options: dict[str, Any] = Field(default_factory=dict[str, Any])
    path: str = "/"
    name: str = ""
    interval_s: float | None = None
    catch_up: int = DEFAULT_CATCH_UP
    paused: bool = False
    check: bool = True


class TriggerChanges(Model):
    """Changes of a trigger; None leaves as it is."""

    name: str | None = None
    path: str | None = None
    options: dict[str, Any] | None = None
    interval_s: float | None = None
    catch_up: int | None = None


class TriggerEvent(BaseModel):
    """An event of an event source. `at` is its time by the source."""

    key: str
    status: EventStatus
    at: datetime | None = None
    received_at: datetime
    run_id: str | None = None


class TriggerSample(Model):
    """The newest item of a source as an event, or nothing where it has none; `run_id` where a run was started with it."""

    found: bool
    key: str = ""
    data: Any = None
    at: datetime | None = None
    run_id: str | None = None


class AddedTrigger(Model):
    """A new trigger, with the newest item of its source as the events will be. `misfit`: why the workflow refuses that item."""

    trigger: Trigger
    sample: TriggerSample | None = None
    misfit: str | None = None


class TriggerTest(Model):
    """A test of a trigger. `run`: start a run with the sample. `data`: the JSON to send to a webhook, or to run with."""

    run: bool = False
    data: Any = None


class TriggerKind(Model):
    """A kind of trigger: `options` is the JSON Schema of what a person gives.

    `has_items`: it is an event source, whose newest item can be shown.
    """

    kind: str
    title: str
    options: dict[str, Any] = Field(default_factory=dict[str, Any])
    interval_s: float | None = None
    min_interval_s: float | None = None
    has_items: bool = False
