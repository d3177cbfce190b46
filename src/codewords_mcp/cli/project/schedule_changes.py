"""Compare the schedules that a project declares with those of its workflow at the runtime."""

from __future__ import annotations

from datetime import UTC, datetime

from codewords_mcp.cli._client import Json
from codewords_mcp.cli.project.live import moment
from codewords_mcp.cli.project.workflow_plan import PlannedChange, WorkflowPlan
from codewords_mcp.runtime.model.project import ProjectSchedule
from codewords_mcp.runtime.triggers import cron

_SCHEDULE_FIELDS = ("input", "catch_up", "overlap", "jitter", "method", "path")


def compare_schedules(plan: WorkflowPlan, *, prune: bool) -> None:
    """Add the changes of schedules to a plan. Without `prune` removals are held."""
    rest = list(plan.live.schedules) if plan.live else []
    for entry in plan.workflow.declared.schedule:
        same = [one for one in rest if _same_schedule(entry, one)]
        # A push that was broken off may have left two of one name; the nearer one stays.
        found = min(same, key=lambda one: len(_schedule_differences(entry, one)), default=None)
        if found is None:
            if _is_over(entry):
                plan.notes.append(f"The schedule {_describe_schedule(entry)} is over.")
            else:
                plan.changes.append(PlannedChange("add", "schedule", _describe_schedule(entry), after=entry))
            continue
        rest.remove(found)
        # What a push that was broken off left of a change: the name is the file's.
        for left in (one for one in same if one is not found and entry.name):
            rest.remove(left)
            plan.changes.append(
                PlannedChange("remove", "schedule", _describe_live_schedule(left), left["id"], before=left)
            )
        if differences := _schedule_differences(entry, found):
            text = _describe_schedule(entry)
            plan.changes.append(
                PlannedChange("change", "schedule", text, ", ".join(differences), before=found, after=entry)
            )
        elif entry.paused not in {None, found["paused"]}:
            verb = "paused" if entry.paused else "resumed"
            plan.changes.append(
                PlannedChange("change", "schedule", _describe_schedule(entry), verb, found, entry)
            )
    plan.changes += [
        PlannedChange(
            "remove", "schedule", _describe_live_schedule(one), one["id"], before=one, held=not prune
        )
        for one in rest
        # A single time that is over runs nothing any more.
        if one["cron"] or one["next_at"] or one["paused"]
    ]


def _same_schedule(entry: ProjectSchedule, found: Json) -> bool:
    if entry.name or found["name"]:
        return entry.name == found["name"]
    same = (entry.timezone, entry.method, "/" + entry.path.lstrip("/")) == (
        found["timezone"], found["method"], found["path"],
    )  # fmt: skip
    return same and _same_times(entry, found)


def _same_times(entry: ProjectSchedule, found: Json) -> bool:
    if entry.cron is not None:
        return found["cron"] is not None and cron.check(entry.cron) == cron.check(found["cron"])
    if found["cron"] is not None:
        return False
    at = moment(found["next_at"])
    # A paused one, and one that is over, does not tell its time.
    return at is None or at == cron.once_at(entry.at or "", cron.parse_zone(entry.timezone))


def _schedule_differences(entry: ProjectSchedule, found: Json) -> list[str]:
    """The names of the fields in which a schedule of the file differs from one at the runtime, pauses left out."""
    names = [] if _same_times(entry, found) else ["times"]
    if entry.timezone != found["timezone"]:
        names.append("timezone")
    for name in _SCHEDULE_FIELDS:
        value = getattr(entry, name)
        if name == "path":
            value = "/" + value.lstrip("/")
        if value != found[name]:
            names.append(name)
    return names


def _is_over(entry: ProjectSchedule) -> bool:
    return entry.at is not None and cron.once_at(entry.at, cron.parse_zone(entry.timezone)) <= datetime.now(
        UTC
    )


def _describe_schedule(entry: ProjectSchedule) -> str:
    times = f"{entry.cron or entry.at} {entry.timezone}"
    if entry.name:
        return f"{entry.name}: {times}"
    return times


def _describe_live_schedule(found: Json) -> str:
    times = f"{found['cron'] or found['next_at'] or 'once'} {found['timezone']}"
    if found["name"]:
        return f"{found['name']}: {times}"
    return times
