"""Print the plan of a project, as a person reads it and as JSON."""

from __future__ import annotations

from codewords_mcp.cli import _output
from codewords_mcp.cli._checks import print_checks
from codewords_mcp.cli._client import Json
from codewords_mcp.cli._difference import print_rows
from codewords_mcp.cli.project.review import PlanReview
from codewords_mcp.cli.project.workflow_plan import MARKS, PlannedChange, VersionConflict, WorkflowPlan

_STYLES = {"add": "green", "change": "yellow", "remove": "red"}


def print_plans(reviews: list[PlanReview], *, code: bool) -> None:
    """Print what a push would do, and what stops it. `code`: with the differences of the code."""
    for review in reviews:
        plan = review.plan
        if not plan.changes and not plan.problems and not plan.notes:
            continue
        _output.line(plan.title, "bold")
        for change in plan.changes:
            _print_change(change)
            if code and change.subject in {"code", "module"} and change.before is not None:
                print_rows(str(change.before), indent=6)
        for note in plan.notes:
            _output.prose(note, "dim", indent=2)
        if plan.conflict is not None:
            _print_conflict(plan, plan.conflict)
        if review.report is not None:
            failed = [check for check in review.report["checks"] if check["status"] == "failed"]
            print_checks(failed, plan.workflow.declared.file)
        for problem in plan.problems:
            _output.prose(f"! {problem}", "bold red", indent=2)
    _output.line(summary([review.plan for review in reviews]), "bold")


def _print_change(change: PlannedChange) -> None:
    detail = f"  ({change.detail})" if change.detail else ""
    held = "  only with --prune" if change.held else ""
    style = "dim" if change.held else _STYLES[change.action]
    _output.line(f"  {MARKS[change.action]} {change.subject:<10} {change.item}{detail}{held}", style)


def _print_conflict(plan: WorkflowPlan, conflict: VersionConflict) -> None:
    title = plan.workflow.declared.title
    if conflict.base_version is None:
        _output.prose(
            f"! Version {conflict.live_version} is live, which was neither pushed from this folder, nor pulled into it, nor "
            f"is in the history of git: a push would undo it.",
            "bold red", indent=2,
        )  # fmt: skip
        parts = [(f"From version {conflict.live_version} to this folder:", conflict.own_changes)]
    else:
        _output.prose(
            f"! Version {conflict.live_version} is live, and this folder began from version {conflict.base_version}: a push "
            "would undo what was changed there.",
            "bold red", indent=2,
        )  # fmt: skip
        parts = [
            (
                f"From version {conflict.base_version} to version {conflict.live_version}:",
                conflict.live_changes,
            ),
            (f"From version {conflict.base_version} to this folder:", conflict.own_changes),
        ]
    for heading, difference in parts:
        _output.line(f"    {heading}", "bold")
        print_rows(difference, indent=6)
    _output.prose(
        f"codewords pull takes the live version over; codewords push --replace {title} replaces it.",
        "dim",
        indent=2,
    )


def summary(plans: list[WorkflowPlan]) -> str:
    """One sentence on all plans: "2 to add, 1 to change, 0 to remove."."""
    changes = [change for plan in plans for change in plan.to_do]
    held = sum(change.held for plan in plans for change in plan.changes)
    if not changes and not held:
        return "Nothing differs."
    counts = {action: sum(change.action == action for change in changes) for action in MARKS}
    text = f"{counts['add']} to add, {counts['change']} to change, {counts['remove']} to remove."
    if held:
        text += f" {held} more to remove with --prune."
    return text


def to_json(reviews: list[PlanReview]) -> Json:
    """All plans as one JSON value."""
    records = [
        review.plan.record() | {"asks": review.asks, "page": review.page or None} for review in reviews
    ]
    plans = [review.plan for review in reviews]
    return {
        "in_sync": not any(plan.changes for plan in plans),
        "blocked": any(plan.problems or plan.conflict for plan in plans),
        "workflows": records,
    }
