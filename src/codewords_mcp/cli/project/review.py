"""Check everything that a push would change before anything is changed: code, pinned permissions, inputs and consents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from codewords_mcp.cli._client import Json, RemoteError, RuntimeClient
from codewords_mcp.cli.project.workflow_plan import PlannedChange, WorkflowPlan
from codewords_mcp.runtime.model.grants import describe_grants
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.project import PROJECT_FILE, ProjectSchedule


@dataclass(slots=True)
class PlanReview:
    """The runtime's review of one plan. `report` are checks that failed, `asks` what a person still has to agree to.

    `page`: where that is agreed to, if the key may not; `agreed`: it was there.
    """

    plan: WorkflowPlan
    found: Json | None = None
    report: Json | None = None
    asks: list[str] = field(default_factory=list[str])
    page: str = ""
    agreed: bool = False


def review_plan(
    client: RuntimeClient, plan: WorkflowPlan, say: Callable[[str], None], *, ask: bool
) -> PlanReview:
    """Review one plan, and add to it what is a problem. `ask`: open the question where only its page can answer it."""
    review = PlanReview(plan)
    if not plan.deploys and not _inputs(plan):
        return review

    body = _body(plan)
    try:
        found = client.call_with_progress("/deploy/review", body, say)
        if ask and not found["key_agrees"] and (found["permissions"] or found["behaviour"]):
            # A second call, since the first one tells whether there is anything to ask.
            found = client.call_with_progress("/deploy/review", body | {"ask": True}, say)
    except RemoteError as error:
        if error.code != "validation_failed":
            raise
        review.report = error.details().get("report")
        plan.problems.append(f"{plan.workflow.declared.file}: {error.message} {error.hint}".rstrip())
        return review

    review.found = found
    if plan.deploys:
        _note_permissions(plan, found)
        _check_pins(plan, found)
        _find_asks(review, found)
    # The runtime answers in the order of the inputs in the request.
    for schedule, misfit in zip(_inputs(plan), found["misfits"], strict=True):
        if misfit:
            plan.problems.append(
                f"{plan.workflow.declared.file}: the input of the schedule {schedule.name or schedule.cron or schedule.at} "
                f"does not fit: {misfit}"
            )
    return review


def _body(plan: WorkflowPlan) -> Json:
    body: Json = {
        "code": plan.workflow.code,
        "inputs": [
            {"method": one.method, "path": "/" + one.path.lstrip("/"), "data": one.input}
            for one in _inputs(plan)
        ],
    }
    return body | deploy_target(plan)


def deploy_target(plan: WorkflowPlan) -> Json:
    """The fields of a deploy that say which workflow it is for, and with which configuration."""
    target: Json = {"name": plan.workflow.declared.title}
    if plan.live is not None:
        # The runtime refuses the deploy if other code than the base's is live by then.
        target |= {"service_id": plan.live.id, "base_version": plan.live.version}
    values = config_after(plan)
    if values is not None:
        target["config"] = values
    return target


def config_after(plan: WorkflowPlan) -> dict[str, str] | None:
    """The configuration after the push; None where it stays as it is."""
    changes = [change for change in plan.to_do if change.subject == "config"]
    if not changes:
        return None
    values = dict(plan.live.config) if plan.live else {}
    for change in changes:
        if change.action == "remove":
            values.pop(change.before, None)
        else:
            name, value = change.after
            values[name] = value
    return values


def _inputs(plan: WorkflowPlan) -> list[ProjectSchedule]:
    """The schedules of the file that the push makes anew."""
    return [
        change.after for change in plan.to_do if change.subject == "schedule" and change.after is not None
    ]


def _note_permissions(plan: WorkflowPlan, found: Json) -> None:
    if found["changes"] is None:
        lines = [f"+ {' '.join(line.split())}" for line in found["permissions"]]
    else:
        lines = list(found["changes"]["permissions"])
    plan.changes += [
        PlannedChange("add" if line.startswith("+") else "remove", "permission", line[2:]) for line in lines
    ]


def _check_pins(plan: WorkflowPlan, found: Json) -> None:
    pinned = plan.workflow.declared.permissions
    if pinned is None:
        return
    manifest = Manifest.model_validate(found["manifest"])
    for line in describe_grants(manifest.widens(pinned.manifest())):
        plan.problems.append(
            f"{PROJECT_FILE}:{plan.workflow.line}: {plan.workflow.declared.file} needs more than its pinned permissions: "
            f"{' '.join(line.split())}. Review it, then add it to [workflow.permissions]"
        )


def _find_asks(review: PlanReview, found: Json) -> None:
    """Find the lines that nobody agreed to yet: pinned permissions are agreed to, where the key answers for a person."""
    permissions, behaviour = list(found["permissions"]), list(found["behaviour"])
    if found["key_agrees"]:
        pinned = review.plan.workflow.declared.permissions is not None
        review.asks = behaviour if pinned else permissions + behaviour
        return
    review.page, review.agreed = str(found.get("url") or ""), found.get("answer") == "agreed"
    review.asks = [] if review.agreed else permissions + behaviour
