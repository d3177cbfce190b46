"""Checks of code that is being written, and the review of a deploy: both tell what a draft would be before it is."""

from __future__ import annotations

import pytest
from tests.support.runtime import ADMIN, deploy, fetch, finished, workflow
from tests.support.waiting import until_async

from codewords_mcp.errors import Conflict, ConsentNeeded, NotFound, ValidationFailed
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.authoring import Edit
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.conflicts import VersionChanged
from codewords_mcp.runtime.model.workflow import Consent

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

BOB = Caller("bob", "user")
COUNTS = workflow(
    """
from pydantic import BaseModel

class Order(BaseModel):
    count: int

@app.post("/")
async def total(order: Order):
    return {"total": order.count * 2}
"""
)
REACHES = (
    "import os, httpx\n\ndef ask() -> str:\n    return httpx.get('https://api.example.com/price').text\n"
)


@pytest.mark.requirement("author:review")
async def test_a_review_tells_code_permissions_behaviour_and_question_and_stores_nothing(
    runtime: Runtime,
) -> None:
    service = await deploy(runtime, COUNTS, name="Reviewed")
    _, _, run_id = await fetch(runtime, service, {"count": 2})
    await finished(runtime, run_id)
    # It is stored a little later than the run has ended.
    await until_async(lambda: runtime.recordings.list(ADMIN, service), "the run's recording")
    changed = COUNTS.replace("count * 2", "count * 3").replace("from pydantic", REACHES + "from pydantic")
    draft = (await runtime.drafts.edit(ADMIN, service, code=changed)).draft

    found = await runtime.reviews.of_draft(ADMIN, draft.draft_id, revision=1)
    assert (found.service_id, found.version, found.name, found.changed) == (service, 2, "Reviewed", True)
    assert found.changes is not None
    assert found.changes.version == 1
    assert '+    return {"total": order.count * 3}' in found.changes.code
    assert any(line.startswith("+") and "api.example.com" in line for line in found.changes.permissions)
    assert found.changes.behaviour
    assert found.changes.cost
    assert any("api.example.com" in line for line in found.asks)
    assert any("api.example.com" in line for line in found.capabilities)
    assert (await runtime.workflows.get(ADMIN, service)).version == 1
    assert (await runtime.drafts.get(ADMIN, draft.draft_id)).revision == 1

    with pytest.raises(ConsentNeeded) as asked:
        await runtime.workflows.deploy(ADMIN, draft_id=draft.draft_id, revision=1)
    assert asked.value.asks == found.asks, "what was reviewed is what is asked"
    agreed = Consent(confirm=asked.value.confirm, by_person=True)
    live = await runtime.workflows.deploy(ADMIN, draft_id=draft.draft_id, revision=1, consent=agreed)
    assert (live.version, live.changes) == (2, found.changes)


@pytest.mark.requirement("author:review")
async def test_the_review_of_a_new_workflow_has_nothing_to_compare_with(runtime: Runtime) -> None:
    draft = (await runtime.drafts.create(ADMIN, COUNTS, name="Never deployed")).draft
    found = await runtime.reviews.of_draft(ADMIN, draft.draft_id)
    assert (found.service_id, found.version, found.changes, found.asks) == (None, 1, None, [])
    assert found.name == "Never deployed"
    with pytest.raises(NotFound):
        await runtime.reviews.of_draft(BOB, draft.draft_id)
    await runtime.drafts.edit(ADMIN, draft.draft_id, edits=[Edit(old="count * 2", new="amount(")])
    with pytest.raises(Conflict, match="changed since revision 1"):
        await runtime.reviews.of_draft(ADMIN, draft.draft_id, revision=1)
    with pytest.raises(ValidationFailed):
        await runtime.reviews.of_draft(ADMIN, draft.draft_id, revision=2)


@pytest.mark.requirement("author:stale-origin")
async def test_a_draft_is_not_begun_over_another_or_from_an_older_version(runtime: Runtime) -> None:
    service = await deploy(runtime, COUNTS, name="Begun twice")
    mine, theirs = COUNTS.replace("* 2", "* 4"), COUNTS.replace("* 2", "* 5")
    first = await runtime.drafts.edit(ADMIN, service, code=theirs, revision=0, base_version=1)
    with pytest.raises(Conflict, match="made meanwhile"):
        await runtime.drafts.edit(ADMIN, service, code=mine, revision=0, base_version=1)
    kept = await runtime.drafts.get(ADMIN, first.draft.draft_id, include_code=True)
    assert (kept.code, kept.revision) == (theirs, 1)

    await runtime.workflows.deploy(ADMIN, draft_id=first.draft.draft_id)
    with pytest.raises(Conflict, match="Version 2 was made live since version 1"):
        await runtime.drafts.edit(ADMIN, service, code=mine, revision=0, base_version=1)
    assert all(one.workflow_id != service for one in await runtime.drafts.list(ADMIN))
    await runtime.drafts.edit(ADMIN, service, code=mine, revision=0, base_version=2)
    await deploy(runtime, COUNTS.replace("* 2", "* 6"), name="Begun twice", service_id=service)
    (draft,) = [one for one in await runtime.drafts.list(ADMIN) if one.workflow_id == service]
    with pytest.raises(VersionChanged):
        await runtime.reviews.of_draft(ADMIN, draft.draft_id)


@pytest.mark.requirement("author:quick-checks")
async def test_code_that_is_being_written_is_checked_without_being_started(runtime: Runtime) -> None:
    crashing = COUNTS.replace("order.count * 2", '{}["a"]')
    quick = await runtime.authoring.validate(ADMIN, crashing, start=False)
    states = {check.id: check.status for check in quick.checks}
    assert quick.all_passed
    assert (states["parse"], states["lint"]) == ("passed", "passed")
    assert (states["environment"], states["starts"]) == ("skipped", "skipped")
    assert "earlier check" not in quick.report

    wrong = await runtime.authoring.validate(
        ADMIN, COUNTS.replace("order.count", "orders.count"), start=False
    )
    (told,) = [check for check in wrong.checks if check.status == "failed"]
    assert (told.id, bool(told.line)) == ("lint", True)

    draft = (await runtime.drafts.create(ADMIN, COUNTS, example={"count": 3})).draft
    as_draft = await runtime.authoring.validate(ADMIN, crashing, draft_id=draft.draft_id)
    (smoke,) = [check for check in as_draft.checks if check.id == "smoke"]
    assert smoke.status == "warning"
    assert "KeyError" in smoke.message
    assert (await runtime.drafts.get(ADMIN, draft.draft_id)).revision == 1
