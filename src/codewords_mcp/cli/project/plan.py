"""Compare a project's folder with what is live: the changes that a push would make, in order, and what stops it."""

from __future__ import annotations

from pathlib import Path

from codewords_mcp.cli._client import RuntimeClient
from codewords_mcp.cli.project.file import FolderWorkflow, ProjectFolder
from codewords_mcp.cli.project.history import digest_of, last_pushed, was_in_history
from codewords_mcp.cli.project.live import LiveWorkflow, find_live, read_version, secret_names
from codewords_mcp.cli.project.schedule_changes import compare_schedules
from codewords_mcp.cli.project.trigger_changes import compare_triggers
from codewords_mcp.cli.project.workflow_plan import (
    Action,
    PlannedChange,
    VersionConflict,
    WorkflowPlan,
    shortened,
)
from codewords_mcp.common.counts import counted
from codewords_mcp.runtime.model.code_difference import CodeDifference, code_difference
from codewords_mcp.runtime.model.modules import split_modules
from codewords_mcp.runtime.model.project import ProjectWorkflow


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
        plan.changes.append(
            PlannedChange("add", "code", counted(lines, "line"), "version 1", after=workflow.code)
        )
        plan.changes += _module_changes("", workflow.code)
    else:
        _compare_code(client, plan, live, replaced=bool(replace & {declared.title, declared.file, live.id}))
    _compare_config(plan, prune=prune)
    compare_schedules(plan, prune=prune)
    compare_triggers(plan, prune=prune)
    return plan


def plan_parts(declared: ProjectWorkflow, live: LiveWorkflow) -> list[PlannedChange]:
    """The changes of schedules and triggers that bring a workflow to what is declared of it."""
    plan = WorkflowPlan(FolderWorkflow(declared, Path(declared.file), live.code, 1), live)
    compare_schedules(plan, prune=False)
    compare_triggers(plan, prune=False)
    return plan.changes


def _compare_code(client: RuntimeClient, plan: WorkflowPlan, live: LiveWorkflow, *, replaced: bool) -> None:
    workflow = plan.workflow
    title = workflow.declared.title
    if live.name != title:
        plan.changes.append(PlannedChange("change", "name", f"{live.name} → {title}", after=title))
    if live.code == workflow.code:
        return

    own = code_difference(_program(live.code), _program(workflow.code))
    modules = _module_changes(live.code, workflow.code)
    # Newlines alone are a change of the code too.
    if own.hunks or not modules:
        detail = f"beside version {live.version}"
        plan.changes.append(
            PlannedChange("change", "code", _counts(own), detail, before=own.text(), after=workflow.code)
        )
    plan.changes += modules
    if not replaced:
        plan.conflict = _conflict(client, workflow, live)


def _program(code: str) -> str:
    return split_modules(code)[0]


def _counts(difference: CodeDifference) -> str:
    return f"+{difference.added} -{difference.removed} lines"


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
        difference = code_difference(old or "", new or "")
        changes.append(PlannedChange(action, "module", path, _counts(difference), difference.text(), code))
    return changes


def _conflict(client: RuntimeClient, workflow: FolderWorkflow, live: LiveWorkflow) -> VersionConflict | None:
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
        return VersionConflict(live.version, None, "", code_difference(live.code, workflow.code).text())
    return VersionConflict(
        live.version,
        known.version,
        code_difference(base, live.code).text(),
        code_difference(base, workflow.code).text(),
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
                PlannedChange("add", "config", f"{name} = {shortened(value)}", after=(name, value))
            )
        elif have[name] != value:
            text = f"{name}: {shortened(have[name])} → {shortened(value)}"
            plan.changes.append(
                PlannedChange("change", "config", text, before=have[name], after=(name, value))
            )
    plan.changes += [
        PlannedChange("remove", "config", name, before=name, held=not prune)
        for name in have
        if name not in entry
    ]
