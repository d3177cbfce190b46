"""Conditions by which a list of runs is made."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from typing_extensions import TypedDict

from codewords_mcp.runtime.model.run import ExecutionMode, Run

RunTrigger = Literal["schedule", "event", "webhook", "run", "on_failure", "caller"]
"""The cause of a run: a schedule, an event of a source, a webhook, another run, the failure of one, or a caller (a person,
a program).
"""
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
    if run.parent_id is not None:
        return "run"
    kind = run.trigger.kind if run.trigger is not None else ""
    # A webhook's run from before triggers were recorded has the delivery's id alone.
    if kind == "webhook" or (run.correlation_id or "").startswith("whd_"):
        return "webhook"
    return "on_failure" if kind == "on_failure" else "caller"
