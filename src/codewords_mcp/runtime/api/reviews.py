"""Changes that a deploy would make, and differences between versions: nothing is deployed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.deploy_changes import changes_of
from codewords_mcp.runtime.api.deploy_checks import DeployChecks, request_of_draft
from codewords_mcp.runtime.api.late_replays import SHOWN
from codewords_mcp.runtime.model.authoring import (
    DRAFT_ID,
)
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.code_difference import code_difference
from codewords_mcp.runtime.model.progress import Progress, no_progress
from codewords_mcp.runtime.model.questions import BEHAVIOUR
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.model.workflow import (
    CodeReview,
    Deployment,
    DraftReview,
    TriggerInput,
    WorkflowDetail,
)
from codewords_mcp.runtime.store import workflows as rows
from codewords_mcp.runtime.workflows.deploy_review import DeployRequest, DeployReview
from codewords_mcp.runtime.workflows.versions import manifest_of


class ReviewApi:
    """Reviews of drafts and code before their deploy, and differences between versions."""

    def __init__(self, container: Container, checks: DeployChecks) -> None:
        self._container = container
        self._checks = checks

    async def of_draft(
        self,
        caller: Caller,
        draft_id: str,
        *,
        revision: int | None = None,
        base_version: int | None = None,
        progress: Progress = no_progress,
    ) -> DraftReview:
        """Look at what a deploy of a draft would change, and what a person would be asked. Nothing is stored.

        Raises what `deploy` raises, but ConsentNeeded. A deploy that follows repeats no replay.
        """
        refuse_run(caller, "review drafts")
        draft = await self._checks.draft(caller, draft_id, revision)
        request = request_of_draft(DeployRequest(caller, "", base_version=base_version), draft)
        found = await self._checks.review(request, draft, progress, replay=True, tests=True)
        if isinstance(found, Deployment):
            return DraftReview(
                revision=draft.revision, service_id=found.service_id, name=found.name, version=found.version,
                changed=False,
            )  # fmt: skip

        review, behaviour = found
        target = review.target.id if review.target else None
        if target:
            number = await self._container.database.read(rows.next_number, target)
        else:
            number = 1
        manifest = manifest_of(review.version)
        return DraftReview(
            revision=draft.revision,
            service_id=target,
            name=review.name,
            version=number,
            changes=changes_of(review, behaviour),
            capabilities=manifest.lines() if manifest else [],
            asks=review.question.lines,
            notes=_notable(review),
        )

    async def of_code(
        self,
        caller: Caller,
        code: str,
        *,
        name: str | None = None,
        service_id: str | None = None,
        base_version: int | None = None,
        config: dict[str, str] | None = None,
        inputs: Sequence[TriggerInput] = (),
        ask: bool = False,
        progress: Progress = no_progress,
    ) -> CodeReview:
        """Look at what a deploy of code would change, and what a person would be asked.

        Nothing is stored, but for the question if `ask` is true: a person can answer it on its page then, for a deploy of
        exactly this code. `inputs` are tried against the schemas of its routes. Raises what `deploy` raises, but
        ConsentNeeded. A deploy that follows repeats no replay.
        """
        refuse_run(caller, "review code")
        request = DeployRequest(caller, code, name, service_id, base_version, config=config)
        found = await self._checks.review(request, None, progress, replay=True, tests=True)
        fit = self._container.input_fit
        if isinstance(found, Deployment):
            live = caller.owner, found.service_id
            misfits = [await fit.fault(*live, one.method, one.path, one.data) for one in inputs]
            return CodeReview(
                service_id=found.service_id, name=found.name, version=found.version, changed=False, misfits=misfits,
                capabilities=found.capabilities, manifest=found.manifest, key_agrees=caller.agrees,
            )  # fmt: skip

        review, behaviour = found
        manifest, changes = manifest_of(review.version), changes_of(review, behaviour)
        lines = review.question.lines
        permissions = [line for line in lines if not line.startswith(BEHAVIOUR)]
        url = answer = None
        if ask and lines:
            question = replace(review.question, changes=changes)
            _, url, answer = await self._container.consents.open(question)
        openapi = review.version.openapi
        return CodeReview(
            service_id=review.target.id if review.target else None,
            name=review.name,
            version=review.live or 0,
            changes=changes,
            capabilities=manifest.lines() if manifest else [],
            manifest=manifest,
            permissions=permissions,
            behaviour=[line for line in lines if line.startswith(BEHAVIOUR)],
            notes=_notable(review),
            key_agrees=caller.agrees,
            url=url,
            answer=answer,
            misfits=[await fit.fault_of(openapi, one.method, one.path, one.data) for one in inputs],
        )

    async def diff(
        self, caller: Caller, subject: str, *, against: int | None = None, version: int | None = None
    ) -> str:
        """The drawn difference to a draft from what it was made of, or between two versions; `against` names the earlier.

        "" where nothing differs. Raises NotFound, InvalidInput where there is nothing to compare with.
        """
        refuse_run(caller, "compare versions")
        if DRAFT_ID.fullmatch(subject):
            row = await self._container.drafts.get(caller, subject)
            base = against or row.base_version
            if row.workflow_id is None or base is None:
                raise InvalidInput(
                    "This draft was made of no version, so there is nothing to compare it with."
                )

            before = await self._version(caller, row.workflow_id, base)
            return code_difference(before.code or "", row.code).text()

        after = await self._version(caller, subject, version)
        newest = max((v.version for v in after.versions), default=after.version)
        if version is None and against is None and newest != after.version:
            # After a rollback an older version is live. The newest two show the last change.
            after = await self._version(caller, subject, newest)

        earlier = against or max((v.version for v in after.versions if v.version < after.version), default=0)
        if not earlier:
            raise InvalidInput(
                f"Version {after.version} is the first, so there is nothing to compare it with."
            )

        before = await self._version(caller, subject, earlier)
        return code_difference(before.code or "", after.code or "").text()

    async def _version(self, caller: Caller, service_id: str, number: int | None = None) -> WorkflowDetail:
        return await self._container.deployments.get(caller, service_id, number=number, include_code=True)


def _notable(review: DeployReview) -> list[Check]:
    """The checks of a version that a person should see, but for those that its changes tell."""
    notes = [Check.model_validate(check) for check in review.version.checks]
    return [check for check in notes if check.status in {"warning", "note"} and check.id not in SHOWN]
