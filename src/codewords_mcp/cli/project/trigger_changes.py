"""Compare the triggers that a project declares with those of its workflow at the runtime."""

from __future__ import annotations

from codewords_mcp.cli._client import Json
from codewords_mcp.cli.project.workflow_plan import PlannedChange, WorkflowPlan, shortened
from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.model.project import ProjectTrigger
from codewords_mcp.runtime.triggers.sources.registry import find_source, source_kinds
from codewords_mcp.runtime.triggers.trigger_options import check_options


def compare_triggers(plan: WorkflowPlan, *, prune: bool) -> None:
    """Add the changes of triggers to a plan, and what stops a push. Without `prune` removals are held."""
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
        word for word in (entry.kind, entry.name, shortened(entry.options) if entry.options else "") if word
    )


def _describe_live_trigger(found: Json) -> str:
    options = live_options(found)
    return " ".join(
        word for word in (found["kind"], found["name"], shortened(options) if options else "") if word
    )
