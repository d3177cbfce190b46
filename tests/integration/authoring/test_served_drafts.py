"""Drafts that their owner runs while they are worked on, through the real facade."""

from __future__ import annotations

import pytest
from tests.support.runtime import ADMIN, ALLOWED, fetch, workflow

from codewords_mcp.errors import ConsentNeeded, Forbidden, InvalidScript, NotFound
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.workflow import Consent

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
BOB = Caller("bob", "user")


def says(word: str) -> str:
    return workflow(f'@app.post("/")\nasync def say(body: dict):\n    return "{word}"\n')


@pytest.mark.requirement("dev:served-drafts")
async def test_a_draft_is_run_by_its_owner_only_and_only_while_it_is_served(runtime: Runtime) -> None:
    draft = (await runtime.drafts.create(ADMIN, says("one"), name="Words", check=False)).draft
    assert (draft.name, draft.checks, draft.ready) == ("Words", [], False)
    with pytest.raises(NotFound, match="serves nobody"):
        await fetch(runtime, draft.draft_id, {})
    with pytest.raises(NotFound):
        await runtime.served_drafts.renew(ADMIN, draft.draft_id)

    first = await runtime.served_drafts.serve(ADMIN, draft.draft_id, says("one"))
    assert first.revision == 1
    assert (await fetch(runtime, draft.draft_id, {}))[1] == b'"one"'
    second = await runtime.served_drafts.serve(ADMIN, draft.draft_id, says("two"))
    assert second.revision == 2
    assert (await fetch(runtime, draft.draft_id, {}))[1] == b'"two"'
    await runtime.served_drafts.renew(ADMIN, draft.draft_id)

    # Code that cannot be served changes nothing.
    with pytest.raises(InvalidScript):
        await runtime.served_drafts.serve(ADMIN, draft.draft_id, "print(")
    assert (await fetch(runtime, draft.draft_id, {}))[1] == b'"two"'

    with pytest.raises(NotFound):
        await fetch(runtime, draft.draft_id, {}, caller=BOB)
    with pytest.raises(NotFound):
        await runtime.served_drafts.serve(BOB, draft.draft_id, says("three"))
    run = (await runtime.runs.list(ADMIN, service_id=draft.draft_id)).items[0]
    assert (run.service_id, run.version, run.status) == (draft.draft_id, 2, "succeeded")
    with pytest.raises(Forbidden):
        await runtime.served_drafts.serve(Caller("local", "run", None, run.id), draft.draft_id, says("own"))

    checked = await runtime.drafts.edit(ADMIN, draft.draft_id, code=says("two"), revision=2)
    assert (checked.draft.revision, checked.draft.ready) == (2, True)
    await runtime.drafts.delete(ADMIN, draft.draft_id)
    with pytest.raises(NotFound):
        await fetch(runtime, draft.draft_id, {})


@pytest.mark.requirement("dev:asks")
async def test_more_than_was_agreed_to_is_asked_for(runtime: Runtime) -> None:
    asks = says("one").replace('return "one"', 'return __import__("httpx").get("https://a.example/").text')
    draft = (await runtime.drafts.create(ADMIN, asks, check=False)).draft
    with pytest.raises(ConsentNeeded) as question:
        await runtime.served_drafts.serve(ADMIN, draft.draft_id, asks)
    assert "a.example" in " ".join(question.value.asks)
    confirmed = Consent(confirm=question.value.confirm, by_person=True)
    await runtime.served_drafts.serve(ADMIN, draft.draft_id, asks, consent=confirmed)
    # Agreed to, also after code that reaches nothing.
    await runtime.served_drafts.serve(ADMIN, draft.draft_id, says("two"))
    await runtime.served_drafts.serve(ADMIN, draft.draft_id, asks)
    with pytest.raises(ConsentNeeded) as other:
        await runtime.served_drafts.serve(ADMIN, draft.draft_id, asks.replace("a.example", "b.example"))
    assert "a.example" not in " ".join(other.value.asks)

    live = await runtime.workflows.deploy(
        ADMIN, code=asks.replace("a.example", "c.example"), name="live of served", consent=ALLOWED
    )
    change = asks.replace("a.example", "c.example") + "# changed\n"
    await runtime.served_drafts.serve(ADMIN, draft.draft_id, change, workflow=live.service_id)
