"""The facade's part about what is deployed: making a version live, and going back to another."""

from __future__ import annotations

from typing import Any

from codewords_mcp.errors import ConsentNeeded, InvalidInput
from codewords_mcp.runtime.api.authoring import AuthoringCalls
from codewords_mcp.runtime.authoring.drafts import stale_revision
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.progress import Progress, no_progress
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.model.workflow import Consent, Deployment
from codewords_mcp.runtime.store.drafts import DraftRow
from codewords_mcp.runtime.workflows.deploy import DeployRequest
from codewords_mcp.runtime.workflows.openapi import UNTITLED
from codewords_mcp.runtime.workflows.validation.smoke import Smoke


class DeploymentCalls(AuthoringCalls):
    """What `Runtime` offers about versions that serve."""

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
        consent: Consent = Consent(),  # noqa: B008  # immutable
        progress: Progress = no_progress,
    ) -> Deployment:
        """Validate, build and make live. Same code as live: nothing changes, `changed` is false.

        A draft becomes a version of the workflow that it was made from, or a new workflow, and is gone. With `revision` it
        has to be that one; edited while it is deployed, nothing is deployed (Conflict).

        Without `service_id` a new workflow is made; a name that another workflow has is refused (Conflict), since only its
        id says that it is meant. `base_version`: the live version that the code began from, of a draft the one that it was
        made of; where other code is live, nothing is deployed (Conflict with both differences).

        A version that may do more than the live one needs a person's yes: `consent`, or an answer on the page.
        Raises InvalidInput, ValidationFailed (the old version goes on serving), ConsentNeeded (the same), NotFound,
        Forbidden, StorageFailed.
        """
        refuse_run(caller, "deploy workflows")
        if sum(one is not None for one in (code, template_id, draft_id)) != 1:
            raise InvalidInput(
                "A deploy takes one of code, template_id and draft_id.",
                hint="Send the workflow's Python code, or the id of a template or of a draft.",
            )
        if name is not None and not name.strip():
            raise InvalidInput("The name is empty.", hint="Leave it out, or give one.")

        smoke = Smoke()
        drafts = self._house.drafts
        if draft_id is None:
            draft = None
        else:
            draft = await drafts.get(caller, draft_id)

        if draft is not None:
            if revision not in {None, draft.revision}:
                raise stale_revision(revision or 0)

            code, service_id = draft.code, service_id or draft.workflow_id
            name = name or (None if service_id or draft.name == UNTITLED else draft.name)
            if base_version is None and service_id == draft.workflow_id:
                base_version = draft.base_version
            description = description or ("" if service_id else draft.facts["description"])
            smoke = Smoke(draft.facts["example"] if draft.facts["example_from"] == "given" else None)
        elif code is None:
            code = await self.template_code(caller, template_id or "")

        request = DeployRequest(caller, code, name, service_id, base_version, description, public)
        deployment = await self._make_live(request, draft, consent, smoke, progress)
        if draft is not None:
            await drafts.remove(caller, draft.id)
        self._house.forget(deployment.service_id)
        if deployment.changed:
            await self._house.tell_changed(caller.owner, deployment.service_id)
        notes = [*deployment.notes, *await self._broken_schedules(caller, deployment.service_id)]
        return deployment.model_copy(update={"notes": notes, "availability": self._house.availability()})

    async def _make_live(
        self,
        request: DeployRequest,
        draft: DraftRow | None,
        consent: Consent,
        smoke: Smoke,
        progress: Progress,
    ) -> Deployment:
        deployer = self._house.deployer
        plan = await deployer.plan(request)
        if isinstance(plan, Deployment):
            return plan

        checked = await self._validate(request.caller, request.code, progress, smoke)
        review = await deployer.review(plan, checked)
        if isinstance(review, Deployment):
            return review

        # validation takes seconds to minutes: a draft that was edited meanwhile is not what was validated
        if draft is not None:
            current = await self._house.drafts.get(request.caller, draft.id)
            if current.revision != draft.revision:
                raise stale_revision(draft.revision)

        await self._house.consents.settle(review.question, consent)
        return await deployer.activate(review)

    async def _broken_schedules(self, caller: Caller, service_id: str) -> list[Check]:
        """A warning for each schedule whose input does not fit what is live now."""
        wrong = await self._house.schedules.broken(caller.owner, service_id)
        return [
            Check(
                id="schedules",
                status="warning",
                message=f"The input of the schedule {schedule_id} does not fit any more: {what}.",
                fix=f"Make it anew: `codewords schedules show {schedule_id}` shows it, `delete` takes the old one away.",
            )
            for schedule_id, what in wrong.items()
        ]

    async def deploy_or_ask(self, caller: Caller, **wanted: Any) -> Deployment | ConsentNeeded:
        """`deploy`, for who can ask a person: the question is given back, not raised."""
        try:
            return await self.deploy(caller, **wanted)
        except ConsentNeeded as question:
            return question

    async def rollback(self, caller: Caller, service_id: str, version: int) -> Deployment:
        """Make an earlier (or later) version live at once. Raises NotFound."""
        refuse_run(caller, "roll workflows back")
        deployment = await self._house.deployments.rollback(caller, service_id, version)
        self._house.forget(service_id)
        await self._house.tell_changed(caller.owner, service_id)
        notes = [*deployment.notes, *await self._broken_schedules(caller, service_id)]
        return deployment.model_copy(update={"notes": notes})
