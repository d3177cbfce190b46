"""Checks, replays and recorded tests of what is to be deployed, for deploys and reviews alike."""

from __future__ import annotations

from dataclasses import replace

from codewords_mcp.runtime.api.behaviour import Behaviour
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.deploy_gate import DeployGate
from codewords_mcp.runtime.api.test_gate import TestGate
from codewords_mcp.runtime.api.validation import ScriptValidator
from codewords_mcp.runtime.authoring.drafts import stale_revision, supplied_example
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.progress import Progress
from codewords_mcp.runtime.model.workflow import (
    Deployment,
)
from codewords_mcp.runtime.store.drafts import DraftRow
from codewords_mcp.runtime.workflows.deploy_review import DeployRequest, DeployReview
from codewords_mcp.runtime.workflows.openapi import UNTITLED
from codewords_mcp.runtime.workflows.validation.smoke import Smoke


class DeployChecks:
    """Looks at a version before it is live. `gate` replays recorded runs, `test_gate` runs recorded tests."""

    def __init__(
        self, container: Container, validator: ScriptValidator, gate: DeployGate, test_gate: TestGate
    ) -> None:
        self._container = container
        self._validator = validator
        self._gate = gate
        self._test_gate = test_gate

    async def review(
        self, request: DeployRequest, draft: DraftRow | None, progress: Progress, *, replay: bool, tests: bool
    ) -> Deployment | tuple[DeployReview, Behaviour | None]:
        """Check and replay what is to be deployed; the `Deployment` where its code is live already."""
        deployer = self._container.deployer
        plan = await deployer.plan(request)
        if isinstance(plan, Deployment):
            return plan

        smoke = Smoke() if draft is None else Smoke(supplied_example(draft))
        checked = await self._validator.check(
            request.caller, request.code, progress, smoke, config=plan.config
        )
        review = await deployer.review(plan, checked)
        if isinstance(review, Deployment):
            return review

        # validation takes seconds to minutes: a draft that was edited meanwhile is not what was validated
        if draft is not None:
            current = await self._container.drafts.get(request.caller, draft.id)
            if current.revision != draft.revision:
                raise stale_revision(draft.revision)

        review, behaviour = await self._gate.look(request.caller, review, progress, replays=replay)
        return await self._test_gate.look(request.caller, review, progress, run_tests=tests), behaviour

    async def draft(self, caller: Caller, draft_id: str, revision: int | None) -> DraftRow:
        """The draft, of the revision that the caller read. Raises NotFound, Conflict."""
        draft = await self._container.drafts.get(caller, draft_id)
        if revision not in {None, draft.revision}:
            raise stale_revision(revision or 0)
        return draft


def request_of_draft(request: DeployRequest, draft: DraftRow) -> DeployRequest:
    """The same for a draft: what the request leaves out is the draft's."""
    service_id = request.service_id or draft.workflow_id
    base_version = request.base_version
    if base_version is None and service_id == draft.workflow_id:
        base_version = draft.base_version
    return replace(
        request,
        code=draft.code,
        service_id=service_id,
        # The draft's name is for a new workflow; an existing one keeps its own.
        name=request.name or (None if service_id or draft.name == UNTITLED else draft.name),
        base_version=base_version,
        description=request.description or ("" if service_id else draft.facts["description"]),
    )
