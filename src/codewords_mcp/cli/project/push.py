"""Carry out the plan of a project: versions, configuration, schedules and triggers, one after the other.

Each step is safe to repeat: a push that was broken off is gone on with by the next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from codewords_mcp.cli import _output
from codewords_mcp.cli._client import Json, RemoteError, RuntimeClient
from codewords_mcp.cli._refs import part
from codewords_mcp.cli.project.history import note_pushed
from codewords_mcp.cli.project.review import PlanReview, config_after, deploy_target
from codewords_mcp.cli.project.workflow_plan import PlannedChange
from codewords_mcp.runtime.model.project import ProjectSchedule, ProjectTrigger

Tell = Callable[[str], None]


def push_plan(client: RuntimeClient, review: PlanReview, tell: Tell) -> Json:
    """Carry out one plan. `tell` gets a line for each step that is done. Returns the workflow's id and live version."""
    plan = review.plan
    done = _push_version(client, review, tell)
    service_id = str(done["service_id"])
    # From here on the version counts as pushed, whatever becomes of the rest.
    note_pushed(plan.workflow.path, service_id, int(done["version"]), plan.workflow.code)

    # A deploy has set the configuration with its version.
    if not plan.deploys and (values := config_after(plan)) is not None:
        client.call("PUT", f"/workflows/{part(service_id)}/config", body={"values": values})
        tell(f"{plan.workflow.declared.file}: its configuration is set")
    for change in plan.to_do:
        if change.subject == "schedule":
            push_schedule(client, service_id, change)
        elif change.subject == "trigger":
            push_trigger(client, service_id, change)
        else:
            continue
        verb = {"add": "made", "change": "changed", "remove": "deleted"}[change.action]
        tell(f"{plan.workflow.declared.file}: the {change.subject} {change.item} is {verb}")
    return done


def _push_version(client: RuntimeClient, review: PlanReview, tell: Tell) -> Json:
    plan, live = review.plan, review.plan.live
    if live is not None and not any(change.subject in {"code", "module", "name"} for change in plan.changes):
        return {"service_id": live.id, "version": live.version}

    body = {"code": plan.workflow.code} | deploy_target(plan)
    with _output.spinner(f"Deploying {plan.workflow.declared.file}") as say:
        try:
            done = client.call_with_progress("/deploy", body, say)
        except RemoteError as error:
            # Agreement counts for the lines that were shown; other ones are asked about.
            if error.code != "consent_needed" or not _was_agreed(review, error):
                raise
            done = client.call_with_progress("/deploy", body | {"confirm": error.details()["confirm"]}, say)
    tell(f"{plan.workflow.declared.file}: version {done['version']} of {done['service_id']} is live")
    return done


def _was_agreed(review: PlanReview, question: RemoteError) -> bool:
    """Whether the question is the one that the review found, which was agreed to before the push began."""
    found = review.found
    asks = question.details().get("asks")
    return found is not None and found["key_agrees"] and asks == [*found["permissions"], *found["behaviour"]]


def push_schedule(client: RuntimeClient, service_id: str, change: PlannedChange) -> None:
    """Make, change or delete a schedule."""
    entry: ProjectSchedule | None = change.after
    found: Json | None = change.before
    if entry is None:
        client.call("DELETE", f"/schedules/{part(str(change.detail))}")
        return
    if found is not None and change.detail in {"paused", "resumed"}:
        client.call("POST", f"/schedules/{part(found['id'])}/{'pause' if entry.paused else 'resume'}")
        return

    body = entry.model_dump(mode="json", exclude={"paused"}, exclude_none=True) | {"service_id": service_id}
    made = client.record("POST", "/schedules", body=body)
    if entry.paused is not None:
        paused = entry.paused
    else:
        paused = bool(found and found["paused"])
    if paused:
        client.call("POST", f"/schedules/{part(made['id'])}/pause")
    # The new one first: whatever happens in between, one of the two is there.
    if found is not None:
        client.call("DELETE", f"/schedules/{part(found['id'])}")


def push_trigger(client: RuntimeClient, service_id: str, change: PlannedChange) -> None:
    """Make, change or delete a webhook or event source."""
    entry: ProjectTrigger | None = change.after
    found: Json | None = change.before
    if entry is None:
        client.call("DELETE", f"/triggers/{part(str(change.detail))}")
        return
    if found is not None:
        trigger_id = part(found["id"])
        if change.detail not in {"paused", "resumed"}:
            client.call("PATCH", f"/triggers/{trigger_id}", body=_trigger_changes(entry))
        if entry.paused not in {None, found["state"] == "paused"}:
            client.call("POST", f"/triggers/{trigger_id}/{'pause' if entry.paused else 'resume'}")
        return

    body = entry.model_dump(mode="json", exclude={"paused"}, exclude_none=True) | {"service_id": service_id}
    # A source that is down for a moment must not stop a push half-way, so it is not looked at.
    added = client.record("POST", "/triggers", body=body | {"check": False})
    if entry.paused:
        client.call("POST", f"/triggers/{part(added['trigger']['id'])}/pause")


def _trigger_changes(entry: ProjectTrigger) -> dict[str, Any]:
    changes = entry.model_dump(mode="json", include={"name", "path", "options", "catch_up", "interval_s"})
    return {name: value for name, value in changes.items() if value is not None}
