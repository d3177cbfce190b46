"""Drafts through the real facade: made, changed, compared, deployed, deleted; what packages they name; practices."""

from __future__ import annotations

import re

import pytest
from tests.support.runtime import ADMIN, ALLOWED, ECHO, HEADER, MAIN, deploy, fetch, finished, workflow

from codewords_mcp.errors import Conflict, ConsentNeeded, InvalidInput, NotFound
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.authoring import Edit
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.conflicts import NameTaken, VersionChanged
from codewords_mcp.runtime.model.workflow import Consent

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

BOB = Caller("bob", "user")
TYPED = """
from pydantic import BaseModel

class Order(BaseModel):
    item: str
    count: int

@app.post("/")
async def total(order: Order):
    return {"total": order.count * 2}
"""


def _statuses(edited: object, check_id: str) -> list[str]:
    return [check.status for check in edited.draft.checks if check.id == check_id]  # type: ignore[attr-defined]


@pytest.mark.requirement("author:drafts")
async def test_code_becomes_a_draft_that_is_checked_tried_listed_and_only_its_owners(
    runtime: Runtime,
) -> None:
    made = await runtime.drafts.create(ADMIN, workflow(TYPED, title="Orders"), description="Doubles.")
    draft = made.draft
    assert (draft.name, draft.revision, draft.ready) == ("Orders", 1, True)
    assert (draft.example, draft.example_from) == ({"item": "An example", "count": 3}, "derived")
    assert _statuses(made, "smoke") == ["passed"]
    assert draft.draft_id in {one.draft_id for one in await runtime.drafts.list(ADMIN)}
    assert await runtime.drafts.list(BOB) == []
    with pytest.raises(NotFound):
        await runtime.drafts.get(BOB, draft.draft_id)
    with pytest.raises(NotFound):
        await runtime.drafts.edit(BOB, draft.draft_id, code=ECHO)
    broken = await runtime.drafts.create(ADMIN, "print('half a file'")
    assert not broken.draft.ready
    await runtime.drafts.delete(ADMIN, broken.draft.draft_id)
    with pytest.raises(NotFound):
        await runtime.drafts.get(ADMIN, broken.draft.draft_id)
    with pytest.raises(InvalidInput, match="empty"):
        await runtime.drafts.create(ADMIN, " \n")


@pytest.mark.requirement("author:edits")
async def test_an_edit_tells_the_difference_and_only_the_checks_that_changed(runtime: Runtime) -> None:
    draft = (await runtime.drafts.create(ADMIN, workflow(TYPED))).draft
    edits = [
        Edit(old="order.count * 2", new='orders["count"]'),
        Edit(old="async def total", new="async def sums"),
    ]
    worse = await runtime.drafts.edit(ADMIN, draft.draft_id, edits=edits)
    assert '-    return {"total": order.count * 2}' in worse.diff
    assert [(check.id, check.status) for check in worse.checks] == [("lint", "failed")]
    assert not worse.draft.ready
    better = await runtime.drafts.edit(
        ADMIN, draft.draft_id, edits=[Edit(old='orders["count"]', new="order.count")]
    )
    assert better.checks == []
    assert [(check.id, check.status) for check in better.resolved] == [("lint", "failed")]
    assert (better.draft.revision, better.draft.ready) == (3, True)


@pytest.mark.requirement("author:drafts")
async def test_a_draft_is_called_by_its_apps_title_once_it_has_one(runtime: Runtime) -> None:
    half = (await runtime.drafts.create(ADMIN, workflow(TYPED + "\noops(\n", title="Late title"))).draft
    assert half.name == "workflow"
    whole = await runtime.drafts.edit(ADMIN, half.draft_id, edits=[Edit(old="\noops(\n", new="\n")])
    assert (whole.draft.name, whole.draft.ready) == ("Late title", True)


@pytest.mark.requirement("author:draft-names")
async def test_a_renamed_draft_keeps_its_code_and_is_deployed_under_its_new_name(runtime: Runtime) -> None:
    draft = (await runtime.drafts.create(ADMIN, workflow(TYPED), name="Before")).draft
    renamed = await runtime.drafts.rename(ADMIN, draft.draft_id, "  After\nit ")
    assert (renamed.name, renamed.revision, renamed.ready) == ("After it", draft.revision, draft.ready)
    for wrong in ("", " \n", "x" * 101):
        with pytest.raises(InvalidInput):
            await runtime.drafts.rename(ADMIN, draft.draft_id, wrong)
    with pytest.raises(NotFound):
        await runtime.drafts.rename(Caller("other", "user"), draft.draft_id, "Theirs")
    deployed = await runtime.workflows.deploy(ADMIN, draft_id=draft.draft_id, consent=Consent(allow=True))
    assert deployed.name == "After it"


@pytest.mark.requirement("author:edits")
async def test_an_edit_that_crashes_on_its_example_is_told_with_the_line(runtime: Runtime) -> None:
    draft = (await runtime.drafts.create(ADMIN, workflow(TYPED))).draft
    worse = await runtime.drafts.edit(
        ADMIN, draft.draft_id, edits=[Edit(old="order.count * 2", new='{}["a"]')]
    )
    (check,) = worse.checks
    assert (check.id, check.status) == ("smoke", "warning")
    assert "KeyError" in check.message
    code = (await runtime.drafts.get(ADMIN, draft.draft_id, include_code=True)).code or ""
    assert '{}["a"]' in code.splitlines()[(check.line or 1) - 1]


@pytest.mark.requirement("author:edits")
async def test_an_edit_replaces_all_only_where_that_is_asked(runtime: Runtime) -> None:
    draft = (await runtime.drafts.create(ADMIN, workflow(TYPED))).draft
    everywhere = Edit(old="order", new="asked", replace_all=True)
    done = await runtime.drafts.edit(ADMIN, draft.draft_id, edits=[everywhere])
    code = (await runtime.drafts.get(ADMIN, done.draft.draft_id, include_code=True)).code or ""
    assert (code.count("asked") > 1, "order" in code, done.draft.ready) == (True, False, True)
    with pytest.raises(InvalidInput, match="not in the code"):
        await runtime.drafts.edit(ADMIN, draft.draft_id, edits=[everywhere])


@pytest.mark.requirement("author:edits")
async def test_a_draft_begins_as_a_template_with_the_edits_made(runtime: Runtime) -> None:
    edit = Edit(old="Hello", new="Good day", replace_all=True)
    made = await runtime.drafts.create_from_template(ADMIN, "greeting", edits=[edit])
    code = (await runtime.drafts.get(ADMIN, made.draft.draft_id, include_code=True)).code or ""
    assert (made.draft.ready, made.draft.workflow_id, "Good day" in code) == (True, None, True)
    with pytest.raises(NotFound, match="no template of that id"):
        await runtime.drafts.create_from_template(ADMIN, "no_such_template")


@pytest.mark.requirement("author:edits")
async def test_an_edit_whose_place_is_not_clear_changes_nothing_and_says_where(runtime: Runtime) -> None:
    draft = (await runtime.drafts.create(ADMIN, workflow(TYPED))).draft
    good = Edit(old="order.count * 2", new="order.count")
    for bad, told in (
        (Edit(old="return nothing like it", new=""), "not in the code"),
        (Edit(old="async def total(orders: Order):", new=""), r"the nearest is line 17"),
        (Edit(old="import", new=""), r"occurs 3 times, on lines"),
        (Edit(old="    item:  str", new=""), "not in the code"),
        (Edit(old="  item: str\n  count: int", new=""), r"with other spaces"),
        (Edit(old="", new="x"), "no old text"),
    ):
        with pytest.raises(InvalidInput, match=f"Edit 2 of 2.*{told}"):
            await runtime.drafts.edit(ADMIN, draft.draft_id, edits=[good, bad])
    same = await runtime.drafts.edit(
        ADMIN, draft.draft_id, edits=[Edit(old="order.count", new="order.count")]
    )
    assert (same.diff, same.draft.revision, same.draft.ready) == ("", 1, True), "it is checked again"
    with pytest.raises(InvalidInput, match="one of edits, patch and code"):
        await runtime.drafts.edit(ADMIN, draft.draft_id, edits=[good], code=ECHO)
    assert (await runtime.drafts.get(ADMIN, draft.draft_id)).revision == 1


@pytest.mark.requirement("author:drafts", "author:compare")
async def test_a_deployment_is_edited_in_a_draft_which_becomes_its_next_version(runtime: Runtime) -> None:
    service = await deploy(runtime, workflow(TYPED), name="Edited")
    patch = '@@ -1 +1 @@\n-    return {"total": order.count * 2}\n+    return {"total": order.count * 3}\n'
    made = await runtime.drafts.edit(ADMIN, service, patch=patch)
    assert (made.draft.workflow_id, made.draft.base_version) == (service, 1)
    assert (await fetch(runtime, service, {"item": "a", "count": 1}))[1] == b'{"total":2}'
    change = '+    return {"total": order.count * 3}'
    assert change in await runtime.reviews.diff(ADMIN, made.draft.draft_id)
    live = await runtime.workflows.deploy(ADMIN, draft_id=made.draft.draft_id, revision=1)
    assert (live.service_id, live.version, live.name) == (service, 2, "Edited")
    assert (await fetch(runtime, service, {"item": "a", "count": 1}))[1] == b'{"total":3}'
    assert change in await runtime.reviews.diff(ADMIN, service)
    assert await runtime.reviews.diff(ADMIN, service, against=2) == ""
    with pytest.raises(InvalidInput, match="nothing to compare"):
        await runtime.reviews.diff(ADMIN, service, version=1)
    with pytest.raises(NotFound):
        await runtime.drafts.get(ADMIN, made.draft.draft_id)


@pytest.mark.requirement("author:stale")
async def test_a_draft_that_was_edited_meanwhile_is_not_deployed(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = (await runtime.drafts.create(ADMIN, workflow(TYPED, title="Raced"))).draft
    edit = [Edit(old="order.count * 2", new="order.count")]
    await runtime.drafts.edit(ADMIN, draft.draft_id, edits=edit)
    with pytest.raises(Conflict, match="changed since revision 1"):
        await runtime.workflows.deploy(ADMIN, draft_id=draft.draft_id, revision=1)
    with pytest.raises(Conflict, match="changed since revision 1"):
        await runtime.drafts.edit(ADMIN, draft.draft_id, code=ECHO, revision=1)
    edited: list[int] = []

    async def edit_during_the_checks(done: float, total: float, message: str) -> None:
        if not edited:
            edited.append(1)
            await runtime.drafts.edit(ADMIN, draft.draft_id, code=workflow(TYPED + "\n# later\n"))

    with pytest.raises(Conflict, match="changed since revision 2"):
        await runtime.workflows.deploy(ADMIN, draft_id=draft.draft_id, progress=edit_during_the_checks)
    assert [one.name for one in (await runtime.workflows.list(ADMIN, query="Raced")).items] == []


@pytest.mark.requirement("author:delete")
async def test_a_workflow_is_deleted_only_once_a_person_agrees(runtime: Runtime) -> None:
    service = await deploy(runtime, workflow(TYPED), name="Doomed")
    status, _, run_id = await fetch(runtime, service, {"item": "a", "count": 1})
    assert status == 200
    await finished(runtime, run_id)
    with pytest.raises(ConsentNeeded) as asked:
        await runtime.workflows.delete(ADMIN, service)
    assert ": 1 version, for good" in asked.value.asks[0]
    assert "“Doomed”" in asked.value.message
    with pytest.raises(ConsentNeeded):
        await runtime.workflows.delete(ADMIN, service, consent=Consent(confirm="no token"))
    yes = Consent(confirm=asked.value.confirm, by_person=True)
    assert await runtime.workflows.delete(ADMIN, service, consent=yes) == "Doomed"
    with pytest.raises(NotFound):
        await runtime.workflows.get(ADMIN, service)
    with pytest.raises(NotFound):
        await fetch(runtime, service, {})
    assert (await runtime.runs.get(ADMIN, run_id)).status == "succeeded"
    with pytest.raises(NotFound):
        await runtime.workflows.delete(BOB, service, consent=ALLOWED)


@pytest.mark.requirement("author:orphan-drafts")
async def test_a_draft_outlives_its_workflow_and_is_deployed_as_a_new_one(runtime: Runtime) -> None:
    service = await deploy(runtime, workflow(TYPED), name="Gone")
    change = Edit(old="count: int", new="count: int = 7")
    draft = (await runtime.drafts.edit(ADMIN, service, edits=[change])).draft
    assert draft.workflow_id == service
    await runtime.workflows.delete(ADMIN, service, consent=ALLOWED)
    kept = await runtime.drafts.get(ADMIN, draft.draft_id)
    assert (kept.workflow_id, kept.base_version, kept.revision) == (None, None, draft.revision)
    live = await runtime.workflows.deploy(
        ADMIN, draft_id=draft.draft_id, revision=draft.revision, consent=ALLOWED
    )
    assert live.service_id != service
    assert (live.name, live.version) == ("Gone", 1)


@pytest.mark.requirement("author:draft-names")
async def test_drafts_whose_title_was_not_known_yet_become_workflows_of_their_own_title(
    runtime: Runtime,
) -> None:
    broken = workflow("import nothing_of_that_name\n" + TYPED, title="Late title")
    made = (await runtime.drafts.create(ADMIN, broken)).draft
    assert not made.ready
    blank = await runtime._container.drafts.get(ADMIN, made.draft_id)  # pyright: ignore[reportPrivateUsage]
    assert blank.name == "workflow"
    mended = (
        await runtime.drafts.edit(
            ADMIN, made.draft_id, edits=[Edit(old="import nothing_of_that_name\n", new="")]
        )
    ).draft
    live = await runtime.workflows.deploy(ADMIN, draft_id=mended.draft_id, consent=ALLOWED)
    assert live.name == "Late title"


@pytest.mark.requirement("author:examples")
async def test_the_headers_example_is_what_a_deploy_tries_and_keeps(runtime: Runtime) -> None:
    header = HEADER.format(more="")
    told = (
        header.rstrip().removesuffix("# ///")
        + '# [tool.codewords]\n# example = {item = "pear", count = 5, day = 2026-05-03}\n# ///\n'
    )
    code = told + workflow(TYPED).removeprefix(header)
    live = await runtime.workflows.deploy(ADMIN, code=code, name="Exemplary")
    detail = await runtime.workflows.get(ADMIN, live.service_id)
    assert (detail.example, detail.example_from) == (
        {"item": "pear", "count": 5, "day": "2026-05-03"},
        "given",
    )
    wrong = await runtime.drafts.edit(
        ADMIN, live.service_id, edits=[Edit(old="count = 5", new='count = "many"')]
    )
    (check,) = [check for check in wrong.draft.checks if check.id == "smoke"]
    assert (check.status, check.message) == (
        "warning",
        "It answers its example with 422: it refuses `count`.",
    )
    plain = await deploy(runtime, workflow(TYPED), name="Plain")
    assert (await runtime.workflows.get(ADMIN, plain)).example_from == "derived"


@pytest.mark.requirement("author:packages")
async def test_a_package_that_is_missing_or_nearly_a_famous_one_is_named(runtime: Runtime) -> None:
    made = await runtime.drafts.create(ADMIN, workflow(TYPED).replace("httpx==0.28.1", "reqeusts==2.0"))
    told = {check.id: check for check in made.draft.checks if check.status in {"failed", "warning"}}
    assert "nearly that of requests" in told["packages"].message
    assert "No package called reqeusts is in the index" in told["dependencies"].message


@pytest.mark.requirement("author:practices")
async def test_every_practice_is_a_program_that_starts_and_answers_its_example(runtime: Runtime) -> None:
    for topic in runtime.authoring.practice_topics():
        blocks = re.findall(r"```python\n(.*?)```", runtime.authoring.practice(topic), re.DOTALL)
        assert len(blocks) == 1, topic
        code = blocks[0]
        if not code.startswith("# /// script"):
            code = HEADER.format(more="") + "from fastapi import FastAPI\napp = FastAPI()\n" + code + MAIN
        made = await runtime.drafts.create(ADMIN, code)
        told = [
            f"{topic}: {check.message}"
            for check in made.draft.checks
            if check.status in {"failed", "warning"}
        ]
        assert told == []
        assert _statuses(made, "smoke") == ["passed"], topic
        await runtime.drafts.delete(ADMIN, made.draft.draft_id)
    with pytest.raises(NotFound, match="There are batching"):
        runtime.authoring.practice("astrology")


@pytest.mark.requirement("author:practices")
async def test_the_rules_of_a_brief_hold_a_program_that_passes(runtime: Runtime) -> None:
    brief = await runtime.authoring.brief(ADMIN, "Summarise a web page and email the digest")
    (code,) = re.findall(r"```python\n(.*?)```", brief.rules, re.DOTALL)
    made = await runtime.drafts.create(ADMIN, code)
    assert [check.message for check in made.draft.checks if check.status in {"failed", "warning"}] == []
    assert made.draft.example == {"name": "Ada"}
    services = "\n".join(brief.services)
    assert "send_email" in services
    assert brief.next.startswith("edit_workflow(")
    assert brief.template_id == "page_summary"


TRIPLED = '{"total": order.count * 3}'
DOUBLED = '{"total": order.count * 2}'


@pytest.mark.requirement("author:one-draft")
async def test_edits_of_a_workflow_come_together_in_the_one_draft_that_is_open(runtime: Runtime) -> None:
    service = await deploy(runtime, workflow(TYPED), name="One draft")
    first = await runtime.drafts.edit(ADMIN, service, edits=[Edit(old="item: str", new='item: str = "x"')])
    second = await runtime.drafts.edit(ADMIN, service, edits=[Edit(old=DOUBLED, new=TRIPLED)])
    assert (first.continued, second.continued) == (False, True)
    assert (second.draft.draft_id, second.draft.revision) == (first.draft.draft_id, 2)
    live = await runtime.workflows.deploy(ADMIN, draft_id=second.draft.draft_id)
    code = (await runtime.workflows.get(ADMIN, service, include_code=True)).code or ""
    assert live.version == 2
    assert TRIPLED in code
    assert 'item: str = "x"' in code
    after = await runtime.drafts.edit(ADMIN, service, edits=[Edit(old=TRIPLED, new=DOUBLED)])
    assert not after.continued, "a draft that was deployed is not open"


@pytest.mark.requirement("author:base-version")
async def test_a_draft_is_not_deployed_over_a_live_version_that_it_did_not_begin_from(
    runtime: Runtime,
) -> None:
    service = await deploy(runtime, workflow(TYPED), name="Lost update")
    draft = (await runtime.drafts.edit(ADMIN, service, edits=[Edit(old=DOUBLED, new=TRIPLED)])).draft
    newer = workflow(TYPED.replace("count: int", "count: int = 1"))
    await runtime.workflows.deploy(ADMIN, code=newer, service_id=service)
    with pytest.raises(VersionChanged) as refused:
        await runtime.workflows.deploy(ADMIN, draft_id=draft.draft_id)
    assert (refused.value.base_version, refused.value.live_version) == (1, 2)
    assert "+    count: int = 1" in refused.value.live_changes
    assert f"+    return {TRIPLED}" in refused.value.own_changes
    assert (await runtime.workflows.get(ADMIN, service)).version == 2, "the live version goes on serving"
    merged = await runtime.drafts.edit(ADMIN, draft.draft_id, patch=refused.value.live_changes)
    assert merged.live_version == 2
    live = await runtime.workflows.deploy(ADMIN, draft_id=draft.draft_id, base_version=2)
    code = (await runtime.workflows.get(ADMIN, service, include_code=True)).code or ""
    assert (live.version, TRIPLED in code, "count: int = 1" in code) == (3, True, True)


@pytest.mark.requirement("author:base-version")
async def test_a_draft_does_not_undo_a_rollback_and_code_does_not_replace_a_version_unseen(
    runtime: Runtime,
) -> None:
    service = await deploy(runtime, workflow(TYPED), name="Rolled back")
    await runtime.workflows.deploy(ADMIN, code=workflow(TYPED.replace(" * 2", " * 4")), service_id=service)
    draft = (await runtime.drafts.edit(ADMIN, service, edits=[Edit(old=" * 4", new=" * 5")])).draft
    await runtime.workflows.rollback(ADMIN, service, 1)
    with pytest.raises(VersionChanged):
        await runtime.workflows.deploy(ADMIN, draft_id=draft.draft_id)
    with pytest.raises(VersionChanged):
        await runtime.workflows.deploy(ADMIN, code=workflow(TYPED + "\n"), service_id=service, base_version=2)
    with pytest.raises(NotFound):
        await runtime.workflows.deploy(ADMIN, code=workflow(TYPED + "\n"), service_id=service, base_version=9)
    live = await runtime.workflows.deploy(
        ADMIN, code=workflow(TYPED + "\n"), service_id=service, base_version=1
    )
    assert live.version == 3


@pytest.mark.requirement("deploy:names")
async def test_a_draft_whose_title_another_workflow_has_replaces_it_only_by_its_id(runtime: Runtime) -> None:
    service = await deploy(runtime, workflow(TYPED, title="Habit log"), name="Habit log")
    draft = (await runtime.drafts.create(ADMIN, workflow(TYPED + "\n# other\n", title="Habit log"))).draft
    with pytest.raises(NameTaken) as refused:
        await runtime.workflows.deploy(ADMIN, draft_id=draft.draft_id)
    assert refused.value.details() == {"service_id": service, "version": 1}
    assert (await runtime.workflows.get(ADMIN, service)).version == 1
    own = await runtime.workflows.deploy(ADMIN, draft_id=draft.draft_id, name="Other habits")
    assert own.service_id != service
