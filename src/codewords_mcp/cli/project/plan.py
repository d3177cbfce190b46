"""Compare a project's folder with what is live: the changes that a push would make, in order, and what stops it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from codewords_mcp.cli._client import Json, RuntimeClient
from codewords_mcp.cli.project.file import FolderWorkflow, ProjectFolder
from codewords_mcp.cli.project.history import digest_of, last_pushed, was_in_history
from codewords_mcp.cli.project.live import (
    LiveWorkflow,
    find_live,
    moment,
    read_version,
    secret_names,
)
from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.authoring.edits import unified_diff
from codewords_mcp.runtime.model.modules import split_modules
from codewords_mcp.runtime.model.project import ProjectSchedule, ProjectTrigger, ProjectWorkflow
from codewords_mcp.runtime.triggers import cron
from codewords_mcp.runtime.triggers.event_triggers import check_options
from codewords_mcp.runtime.triggers.sources.registry import find_source, source_kinds

Action = Literal["add", "change", "remove"]
Subject = Literal["code", "module", "name", "schedule", "trigger", "config", "workflow", "permission"]
MARKS: dict[Action, str] = {"add": "+", "change": "~", "remove": "-"}
_SCHEDULE_FIELDS = ("input", "catch_up", "overlap", "jitter", "method", "path")


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One line of a plan. `before` is the record at the runtime, `after` the entry of the file, None where there is none.

    `held`: a removal that only `--prune` makes.
    """

    action: Action
    subject: Subject
    item: str
    detail: str = ""
    before: Any = None
    after: Any = None
    held: bool = False

    def record(self) -> Json:
        """The change as JSON."""
        return {
            "action": self.action, "subject": self.subject, "item": self.item, "detail": self.detail, "held": self.held,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class VersionConflict:
    """The live version is not the one that the folder began from. Differences are unified diffs, "" where unknown."""

    live_version: int
    base_version: int | None
    live_changes: str
    own_changes: str


@dataclass(slots=True)
class WorkflowPlan:
    """The changes of one workflow. `problems` are sentences that stop a push, `notes` those that do not."""

    workflow: FolderWorkflow
    live: LiveWorkflow | None
    changes: list[PlannedChange] = field(default_factory=list[PlannedChange])
    conflict: VersionConflict | None = None
    problems: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])

    @property
    def title(self) -> str:
        """The workflow in a line: its file, and its name and id."""
        declared = self.workflow.declared
        return f"{declared.file} → {declared.title}" + (f" ({self.live.id})" if self.live else " (new)")

    @property
    def deploys(self) -> bool:
        """Whether a new version is made."""
        return any(change.subject in {"code", "module"} for change in self.changes)

    @property
    def to_do(self) -> list[PlannedChange]:
        """The changes that a push makes."""
        return [change for change in self.changes if not change.held and change.subject != "permission"]

    def record(self) -> Json:
        """The plan of this workflow as JSON."""
        conflict = self.conflict
        return {
            "file": self.workflow.declared.file,
            "name": self.workflow.declared.title,
            "service_id": self.live.id if self.live else None,
            "live_version": self.live.version if self.live else None,
            "changes": [change.record() for change in self.changes],
            "problems": self.problems,
            "notes": self.notes,
            "conflict": None if conflict is None else {
                "live_version": conflict.live_version, "base_version": conflict.base_version,
                "live_changes": conflict.live_changes, "own_changes": conflict.own_changes,
            },
        }  # fmt: skip


def plan_folder(
    client: RuntimeClient,
    folder: ProjectFolder,
    *,
    prune: bool = False,
    replace: frozenset[str] = frozenset(),
) -> list[WorkflowPlan]:
    """The plan of each workflow of the folder. `replace` names those whose live version may be replaced in any case."""
    if any(one.declared.secrets for one in folder.workflows):
        known = secret_names(client)
    else:
        known = set[str]()
    return [plan_workflow(client, one, known, prune=prune, replace=replace) for one in folder.workflows]


def plan_workflow(
    client: RuntimeClient,
    workflow: FolderWorkflow,
    secrets: set[str],
    *,
    prune: bool,
    replace: frozenset[str],
) -> WorkflowPlan:
    """The plan of one workflow."""
    live = find_live(client, workflow)
    plan = WorkflowPlan(workflow, live)
    declared = workflow.declared
    plan.problems += [
        f"{declared.file} needs the secret {name}, which has no value there: codewords secrets set {name}"
        for name in declared.secrets
        if name not in secrets
    ]

    if live is None:
        lines = len(split_modules(workflow.code)[0].splitlines())
        plan.changes.append(PlannedChange("add", "code", f"{lines} lines", "version 1", after=workflow.code))
        plan.changes += _module_changes("", workflow.code)
    else:
        _compare_code(client, plan, live, replaced=bool(replace & {declared.title, declared.file, live.id}))
    _compare_config(plan, prune=prune)
    _compare_schedules(plan, prune=prune)
    _compare_triggers(plan, prune=prune)
    return plan


def plan_parts(declared: ProjectWorkflow, live: LiveWorkflow) -> list[PlannedChange]:
    """The changes of schedules and triggers that bring a workflow to what is declared of it."""
    plan = WorkflowPlan(FolderWorkflow(declared, Path(declared.file), live.code, 1), live)
    _compare_schedules(plan, prune=False)
    _compare_triggers(plan, prune=False)
    return plan.changes


def _compare_code(client: RuntimeClient, plan: WorkflowPlan, live: LiveWorkflow, *, replaced: bool) -> None:
    workflow = plan.workflow
    title = workflow.declared.title
    if live.name != title:
        plan.changes.append(PlannedChange("change", "name", f"{live.name} → {title}", after=title))
    if live.code == workflow.code:
        return

    names = (f"version {live.version}", workflow.declared.file)
    difference = unified_diff(live.code, workflow.code, names)
    own = unified_diff(_program(live.code), _program(workflow.code), names)
    modules = _module_changes(live.code, workflow.code)
    # Newlines alone are a change of the code too.
    if own or not modules:
        detail = f"beside version {live.version}"
        plan.changes.append(
            PlannedChange("change", "code", _counts(own), detail, before=own, after=workflow.code)
        )
    plan.changes += modules
    if not replaced:
        plan.conflict = _conflict(client, workflow, live, difference)


def _program(code: str) -> str:
    return split_modules(code)[0]


def _counts(difference: str) -> str:
    lines = [line for line in difference.splitlines() if not line.startswith(("+++", "---", "@@"))]
    added, gone = sum(line.startswith("+") for line in lines), sum(line.startswith("-") for line in lines)
    return f"+{added} -{gone} lines"


def _module_changes(live: str, code: str) -> list[PlannedChange]:
    """The changes of shared modules between two codes, by their paths."""
    before = {module.path: module.text for module in split_modules(live)[1]}
    after = {module.path: module.text for module in split_modules(code)[1]}
    changes: list[PlannedChange] = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old == new:
            continue
        action: Action = "change"
        if old is None or new is None:
            action = "add" if old is None else "remove"
        difference = unified_diff(old or "", new or "", (path, path))
        changes.append(PlannedChange(action, "module", path, _counts(difference), difference, code))
    return changes


def _conflict(
    client: RuntimeClient, workflow: FolderWorkflow, live: LiveWorkflow, difference: str
) -> VersionConflict | None:
    """The conflict of a changed file, None where its live version is what the folder began from."""
    known = last_pushed(workflow.path)
    # Nobody has deployed other code since the last push or pull of this folder.
    if known is not None and known.workflow == live.id and known.digest == digest_of(live.code):
        return None
    # A live version in the history of HEAD is part of this folder already, whoever pushed it.
    if was_in_history(workflow.path, live.code):
        return None

    base = None
    if known is not None and known.workflow == live.id:
        base = read_version(client, live.id, known.version)
    if known is None or base is None:
        return VersionConflict(live.version, None, "", difference)
    old = f"version {known.version}"
    return VersionConflict(
        live.version,
        known.version,
        unified_diff(base, live.code, (old, f"version {live.version}")),
        unified_diff(base, workflow.code, (old, workflow.declared.file)),
    )


def _compare_config(plan: WorkflowPlan, *, prune: bool) -> None:
    # A file without a table `config` leaves the values to the runtime, so nothing of them is removed.
    entry = plan.workflow.declared.config_values
    if entry is None:
        return
    have = plan.live.config if plan.live else {}
    for name, value in entry.items():
        if name not in have:
            plan.changes.append(
                PlannedChange("add", "config", f"{name} = {_short(value)}", after=(name, value))
            )
        elif have[name] != value:
            text = f"{name}: {_short(have[name])} → {_short(value)}"
            plan.changes.append(
                PlannedChange("change", "config", text, before=have[name], after=(name, value))
            )
    plan.changes += [
        PlannedChange("remove", "config", name, before=name, held=not prune)
        for name in have
        if name not in entry
    ]


def _compare_schedules(plan: WorkflowPlan, *, prune: bool) -> None:
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


def _compare_triggers(plan: WorkflowPlan, *, prune: bool) -> None:
    rest = list(plan.live.triggers) if plan.live else []
    for entry in plan.workflow.declared.trigger:
        try:
            options = _options_of(entry)
        except CodewordsError as error:
            plan.problems.append(
                f"{plan.workflow.declared.file}: the trigger {_describe_trigger(entry)}: {error.message}"
            )
            continue

        found = next((one for one in rest if _same_trigger(entry, options, one)), None)
        if found is None:
            plan.changes.append(PlannedChange("add", "trigger", _describe_trigger(entry), after=entry))
            continue
        rest.remove(found)
        _compare_trigger(plan, entry, options, found)
    plan.changes += [
        PlannedChange("remove", "trigger", _describe_live_trigger(one), one["id"], before=one, held=not prune)
        for one in rest
    ]


def _compare_trigger(plan: WorkflowPlan, entry: ProjectTrigger, options: Json, found: Json) -> None:
    names = [] if options == live_options(found) else ["options"]
    if found.get("webhook") is None:
        if entry.interval_s not in {None, found["interval_s"]}:
            names.append("interval_s")
        if found["catch_up"] is not None and entry.catch_up != found["catch_up"]:
            names.append("catch_up")
    if "/" + entry.path.lstrip("/") != found["path"]:
        names.append("path")

    text = _describe_trigger(entry)
    if names and found.get("webhook") is not None:
        plan.problems.append(
            f"{plan.workflow.declared.file}: the webhook {text} differs in {', '.join(names)}, and another one would have "
            f"another address: remove it first (codewords triggers delete {found['id']}), or give the new one another `name`"
        )
    elif names:
        plan.changes.append(
            PlannedChange("change", "trigger", text, ", ".join(names), before=found, after=entry)
        )
    elif entry.paused not in {None, found["state"] == "paused"}:
        verb = "paused" if entry.paused else "resumed"
        plan.changes.append(PlannedChange("change", "trigger", text, verb, before=found, after=entry))


def _same_trigger(entry: ProjectTrigger, options: Json, found: Json) -> bool:
    if entry.kind != found["kind"] or entry.name != found["name"]:
        return False
    if entry.name:
        return True
    same_path = "/" + entry.path.lstrip("/") == found["path"]
    return same_path and (found.get("webhook") is not None or options == live_options(found))


def _options_of(entry: ProjectTrigger) -> Json:
    """The options with the defaults of their kind, as a runtime stores them. Raises InvalidInput."""
    if entry.kind not in source_kinds():
        return dict(entry.options)
    stored: Json = check_options(find_source(entry.kind), entry.options).model_dump(
        mode="json", exclude_none=True
    )
    return stored


def live_options(found: Json) -> Json:
    """The options of a trigger at a runtime, as a file would have them."""
    if found.get("webhook") is not None:
        if not found.get("secret"):
            return {}
        return {"secret": found["secret"]}
    return dict(found["options"])


def _describe_trigger(entry: ProjectTrigger) -> str:
    return " ".join(
        word for word in (entry.kind, entry.name, _short(entry.options) if entry.options else "") if word
    )


def _describe_live_trigger(found: Json) -> str:
    options = live_options(found)
    return " ".join(
        word for word in (found["kind"], found["name"], _short(options) if options else "") if word
    )


def _short(value: Any, most: int = 60) -> str:
    if isinstance(value, str):
        text = value
    else:
        text = json.dumps(value, ensure_ascii=False)
    if len(text) <= most:
        return text
    return text[: most - 1] + "…"
