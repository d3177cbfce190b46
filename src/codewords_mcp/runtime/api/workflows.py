"""Deployed workflows."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from codewords_mcp.errors import Conflict, ConsentNeeded, InvalidInput, NotFound
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.deploy_changes import changes_of
from codewords_mcp.runtime.api.deploy_checks import DeployChecks, request_of_draft
from codewords_mcp.runtime.api.deploy_gate import DeployGate
from codewords_mcp.runtime.api.forecasts import forecast_for
from codewords_mcp.runtime.api.paging import check_limit, parse_cursor
from codewords_mcp.runtime.api.runs import RunApi
from codewords_mcp.runtime.api.templates import TemplateApi
from codewords_mcp.runtime.model.base import Page
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.deletion import Deletion
from codewords_mcp.runtime.model.events import TriggersChanged, WebhooksChanged
from codewords_mcp.runtime.model.progress import Progress, no_progress
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.model.workflow import (
    Consent,
    Deployment,
    ListedWorkflow,
    WorkflowDetail,
    WorkflowSummary,
)
from codewords_mcp.runtime.recording.ambient_trace import part_span
from codewords_mcp.runtime.store.drafts import DraftRow
from codewords_mcp.runtime.workflows.deploy_review import DeployRequest


class WorkflowApi:
    """Deployed workflows: list, read, deploy, roll back and delete."""

    def __init__(
        self,
        container: Container,
        checks: DeployChecks,
        templates: TemplateApi,
        runs: RunApi,
        gate: DeployGate,
    ) -> None:
        self._container = container
        self._gate = gate
        self._checks = checks
        self._templates = templates
        self._runs = runs

    async def get(
        self, caller: Caller, service_id: str, *, version: int | None = None, include_code: bool = False
    ) -> WorkflowDetail:
        """Routes, variables, versions and the last five runs. A run finds its own workflow only. Raises NotFound."""
        if not self._container.authorities.of(caller).finds(service_id):
            raise NotFound("There is no workflow of that id.", hint="A run finds its own workflow only.")
        detail = await self._container.deployments.get(
            caller, service_id, number=version, include_code=include_code
        )
        last = await self._runs.list(caller, service_id=service_id, limit=5)
        tried = await self._gate.tried(service_id, detail.version)
        return detail.model_copy(update={"last_runs": last.items, "tried": tried})

    async def get_public(self, caller: Caller, service_id: str) -> WorkflowDetail | None:
        """Another owner's public workflow with its routes, permissions and the caller's last runs; None where there is none."""
        if not self._container.authorities.of(caller).finds(service_id):
            return None
        detail = await self._container.deployments.get_public(caller, service_id)
        if detail is None:
            return None
        last = await self._runs.list(caller, service_id=service_id, limit=5)
        return detail.model_copy(update={"last_runs": last.items})

    async def deploy(
        self,
        caller: Caller,
        *,
        code: str | None = None,
        template_id: str | None = None,
        draft_id: str | None = None,
        revision: int | None = None,
        name: str | None = None,
        service_id: str | None = None,
        base_version: int | None = None,
        description: str = "",
        public: bool | None = None,
        config: dict[str, str] | None = None,
        replay: bool = True,
        tests: bool = True,
        by: str = "",
        consent: Consent = Consent(),  # noqa: B008  # immutable
        progress: Progress = no_progress,
    ) -> Deployment:
        """Validate code, build its environment and make it live. `changed` is false if it is live already.

        The source is one of `code`, `template_id` and `draft_id`. A draft becomes a version of its
        workflow, or a new workflow, and is deleted. `revision` is the draft's revision that the caller
        read. Without `service_id` a new workflow is made. `base_version` is the version that the code is
        based on; for a draft, the one that it was made from. A version with more permissions than the
        live one needs a person's consent: `consent`, or an answer on the page. So does one that does worse in
        replays of recorded runs, or writes what it did not, unless `replay` is false,
        and one that fails a recorded test, unless `tests` is false. `consent.gallery` is enough for a new
        workflow from a template of the gallery. `by` names who deploys; "" is the caller's key.
        `config` replaces the workflow's plain configuration values, None leaves them.

        Raises Conflict if the draft changed, if another workflow has the name, or if other code is live
        than that of `base_version` (with both differences). Raises InvalidInput, ValidationFailed,
        ConsentNeeded, NotFound, Forbidden, StorageQuotaExceeded and StorageFailed. After every error the old version goes on
        serving.
        """
        refuse_run(caller, "deploy workflows")
        if sum(source is not None for source in (code, template_id, draft_id)) != 1:
            raise InvalidInput(
                "A deploy takes one of code, template_id and draft_id.",
                hint="Send the workflow's Python code, or the id of a template or of a draft.",
            )
        if name is not None and not name.strip():
            raise InvalidInput("The name is empty.", hint="Leave it out, or give one.")
        if full := await self._container.quotas.full_storage(caller.owner):
            raise full

        if draft_id is None:
            draft = None
        else:
            draft = await self._checks.draft(caller, draft_id, revision)
        if draft is None and code is None:
            code = await self._templates.get_code(caller, template_id or "")
        if consent.gallery and service_id is None and self._templates.in_gallery(template_id):
            consent = replace(consent, allow=True, way="gallery")

        request = DeployRequest(
            caller, code or "", name, service_id, base_version, description, public, by, config
        )
        if draft is not None:
            request = request_of_draft(request, draft)
        with part_span("deploy"):
            deployment = await self._make_live(request, draft, consent, progress, replay=replay, tests=tests)
        if draft is not None:
            # Only after the version is live: until then the draft is the one copy of the code.
            await self._container.drafts.remove(caller, draft.id)
        self._container.forget(deployment.service_id)
        if deployment.changed:
            await self._container.tell_changed(caller.owner, deployment.service_id)
        notes = [*deployment.notes, *await self._broken_schedules(caller, deployment.service_id)]
        schedules = await self._container.schedules.list(caller.owner, deployment.service_id)
        found = await forecast_for(self._container, caller, deployment.service_id, schedules)
        more = {"notes": notes, "availability": self._container.availability(), "forecast": found}
        return deployment.model_copy(update=more)

    async def try_deploy(self, caller: Caller, **arguments: Any) -> Deployment | ConsentNeeded:
        """Deploy as `deploy` does, for callers that can ask a person: the question is returned, not raised."""
        try:
            return await self.deploy(caller, **arguments)
        except ConsentNeeded as question:
            return question

    async def rollback(self, caller: Caller, service_id: str, version: int) -> Deployment:
        """Make an earlier (or later) version live at once. Raises NotFound."""
        refuse_run(caller, "roll workflows back")
        deployment = await self._container.deployments.rollback(caller, service_id, version)
        self._container.forget(service_id)
        await self._container.tell_changed(caller.owner, service_id)
        notes = [*deployment.notes, *await self._broken_schedules(caller, service_id)]
        return deployment.model_copy(update={"notes": notes})

    async def delete(
        self,
        caller: Caller,
        service_id: str,
        *,
        consent: Consent = Consent(),  # noqa: B008  # immutable
    ) -> str:
        """Delete a workflow with its versions, schedules and webhooks, once a person agrees; its name. Its runs stay on record.

        Runs that wait without a sandbox are cancelled; the question says how many.

        Raises NotFound, ConsentNeeded, Forbidden, Conflict while runs of it go on.
        """
        refuse_run(caller, "delete workflows")
        deployments = self._container.deployments
        await self._container.consents.settle(
            await deployments.deletion_question(caller, service_id), consent
        )
        for run_id in await deployments.suspended_runs(service_id):
            # One that ended in the meantime is no reason to keep the workflow.
            with suppress(Conflict):
                await self._container.dispatcher.cancel(caller, run_id)
        # Runs in a sandbox are not cancelled for this: the deletion is refused while they go on.
        await deployments.require_ended(await deployments.own(caller, service_id))
        name = await deployments.delete(caller, service_id)
        self._container.forget(service_id)
        # The rows of its webhooks went with it; the dispatcher still has them in memory.
        self._container.events.publish(WebhooksChanged())
        self._container.events.publish(TriggersChanged())
        await self._container.tell_changed(caller.owner, service_id)

        return name

    async def deletion(self, caller: Caller, service_id: str) -> Deletion:
        """Count what the deletion of a workflow removes, pauses and cancels. Raises NotFound."""
        refuse_run(caller, "delete workflows")
        return await self._container.deployments.deletion(caller, service_id)

    async def list(
        self, caller: Caller, *, query: str = "", limit: int = 20, cursor: str | None = None
    ) -> Page[WorkflowSummary]:
        """Last changed first."""
        only = self._container.authorities.of(caller).workflow
        return await self._container.deployments.list(
            caller, query=query, limit=check_limit(limit), after=parse_cursor(cursor), only=only
        )

    async def list_with_runs(
        self, caller: Caller, *, query: str = "", limit: int = 20, cursor: str | None = None
    ) -> Page[ListedWorkflow]:
        """Like `list`, with the last runs of each and how many schedules it has."""
        refuse_run(caller, "list the runs of workflows")
        page = await self.list(caller, query=query, limit=limit, cursor=cursor)
        return await self._container.deployments.with_runs(caller, page)

    async def _make_live(
        self,
        request: DeployRequest,
        draft: DraftRow | None,
        consent: Consent,
        progress: Progress,
        *,
        replay: bool,
        tests: bool,
    ) -> Deployment:
        found = await self._checks.review(request, draft, progress, replay=replay, tests=tests)
        if isinstance(found, Deployment):
            return found

        review, behaviour = found
        # Whoever is asked can see what they would agree to, here and on the question's own page.
        changes = changes_of(review, behaviour)
        try:
            await self._container.consents.settle(replace(review.question, changes=changes), consent)
        except ConsentNeeded as question:
            question.changes = changes
            raise

        with part_span("activate"):
            deployment = await self._container.deployer.activate(review)
        if behaviour is not None:
            await self._gate.accepted(request.caller, deployment.service_id, deployment.version, behaviour)
        return deployment.model_copy(update={"changes": changes})

    async def _broken_schedules(self, caller: Caller, service_id: str) -> list[Check]:
        """A warning for each schedule whose input does not fit what is live now."""
        wrong = await self._container.schedules.broken(caller.owner, service_id)
        return [
            Check(
                id="schedules",
                status="warning",
                message=f"The input of the schedule {schedule_id} does not fit any more: {what}.",
                fix=(remedy := Remedy(RemedyAction.REPLACE_SCHEDULE, {"schedule": schedule_id})).words,
                remedy=remedy,
            )
            for schedule_id, what in wrong.items()
        ]
