"""Format triggers for tools."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from codewords_mcp.mcp_server.text import clean_json, compact, cut, fence, one_line
from codewords_mcp.runtime.model.trigger import Trigger, TriggerKind, TriggerSample
from codewords_mcp.tools._availability import availability_text
from codewords_mcp.tools._schedules import schedule_item, schedule_line

_MAX_SAMPLE = 3_000


class TriggerItem(BaseModel):
    """A trigger; times are in a schedule's zone, or UTC."""

    trigger_id: str
    kind: str
    workflow_id: str
    name: str | None = None
    state: str
    url: str | None = None
    options: dict[str, Any] = {}
    next: str | None = None
    last_at: str | None = None
    last_run_id: str | None = None
    waiting: int = 0
    missed: int = 0
    note: str | None = None
    availability: str | None = None
    forecast: list[str] = []


class TriggerSampleItem(BaseModel):
    """The newest item of a source as an event; `run_id` of the run that was started with it."""

    found: bool = True
    data: Any = None
    run_id: str | None = None


def trigger_item(trigger: Trigger) -> TriggerItem:
    """Make the structured form of a trigger, reduced to the fields that a model needs."""
    common: dict[str, Any] = {
        "trigger_id": trigger.id,
        "kind": trigger.kind,
        "workflow_id": trigger.service_id,
        "name": one_line(trigger.name, 80) or None,
        "state": trigger.state,
        "last_run_id": trigger.last_run_id,
        "missed": trigger.missed,
        "note": one_line(trigger.note or trigger.problem, 400) or None,
    }
    if trigger.schedule is not None:
        schedule = schedule_item(trigger.schedule)
        options = {"cron": schedule.cron, "timezone": schedule.timezone}
        return TriggerItem(
            **common,
            options={name: value for name, value in options.items() if value},
            next=schedule.next[0] if schedule.next else None,
            last_at=schedule.last_run_at,
            availability=availability_text(trigger.schedule.availability),
            forecast=schedule.forecast,
        )

    return TriggerItem(
        **common,
        url=trigger.url,
        options=clean_json(trigger.options),
        next=trigger.next_at.isoformat(timespec="seconds") if trigger.next_at else None,
        last_at=trigger.last_at.isoformat(timespec="seconds") if trigger.last_at else None,
        waiting=trigger.waiting,
    )


def trigger_line(trigger: Trigger) -> str:
    """Format a trigger as a line."""
    if trigger.schedule is not None:
        return schedule_line(schedule_item(trigger.schedule))

    item = trigger_item(trigger)
    facts = [item.kind, item.state]
    if item.url:
        facts.append(item.url)
    if item.options:
        facts.append(f"options {cut(compact(item.options), 300)}")
    if item.next:
        facts.append(f"next look {item.next}")
    if item.last_at:
        facts.append(f"last event {item.last_at} started {item.last_run_id}")
    if item.waiting:
        facts.append(f"{item.waiting} events wait")
    if item.missed:
        facts.append(f"{item.missed} missed")

    note = f" {item.note}" if item.note else ""
    return f"{item.trigger_id}: {item.workflow_id}, {', '.join(facts)}.{note}"


def sample_item(sample: TriggerSample) -> TriggerSampleItem:
    """Make the structured form of a sample."""
    return TriggerSampleItem(found=sample.found, data=clean_json(sample.data), run_id=sample.run_id)


def sample_lines(sample: TriggerSample) -> list[str]:
    """Format a sample."""
    lines: list[str] = []
    if not sample.found:
        lines.append("Its source has no item yet.")
    elif sample.data is not None:
        lines.append(
            fence("Its newest item, as its runs get them", compact(clean_json(sample.data)), _MAX_SAMPLE)
        )
    if sample.run_id is not None:
        lines.append(f"Run {sample.run_id} was started with it.")
    return lines


def kind_line(kind: TriggerKind) -> str:
    """Format a kind of trigger with its options as a line."""
    options: dict[str, Any] = kind.options.get("properties", {})
    required: list[str] = kind.options.get("required", [])
    named = [
        f"{name}{'' if name in required else '?'} ({one_line(str(field.get('description', '')), 120)})"
        for name, field in options.items()
    ]
    return f"{kind.kind}: {kind.title}. {', '.join(named) or 'No options.'}"
