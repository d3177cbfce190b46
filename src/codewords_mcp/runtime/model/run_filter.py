"""Conditions by which a list of runs is made."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from typing_extensions import TypedDict

from codewords_mcp.runtime.model.run import ExecutionMode, Run

RunTrigger = Literal["schedule", "event", "run", "caller"]
"""The cause of a run: a schedule, an event of a source, another run, or a caller (a person, a program, a webhook)."""
EVENT_TRIGGER = "trg_"
"""The beginning of the ids of the triggers of event sources."""


class RunConditions(TypedDict, total=False):
    """Conditions that a run meets all; None is none. Without a `mode` all but replays. `since` is inclusive, `until` is not."""

    service_id: str | None
    version: int | None
    status: str | None
    mode: ExecutionMode | None
    trigger: RunTrigger | None
    since: datetime | None
    until: datetime | None


def trigger_of(run: Run) -> RunTrigger:
    """The cause of a run, in the words by which a list is filtered."""
    if run.schedule_id is not None:
        return "schedule"
    if run.trigger is not None and (run.trigger.id or "").startswith(EVENT_TRIGGER):
        return "event"
    return "caller" if run.parent_id is None else "run"
