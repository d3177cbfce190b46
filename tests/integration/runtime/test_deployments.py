"""Deploying through the real facade: versions, no-ops, failures, rollback, names, the seed's programs."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest
from tests.support.runtime import (
    ADMIN,
    ALLOWED,
    ECHO,
    SEED_TOKENS,
    deploy,
    fetch,
    make_home,
    open_runtime,
    workflow,
)

from codewords_mcp.errors import Conflict, ConsentNeeded, InvalidInput, NotFound, ValidationFailed
from codewords_mcp.errors.remedies import Remedy, RemedyAction, deploy_draft
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.conflicts import NameTaken
from codewords_mcp.runtime.model.questions import Question
from codewords_mcp.runtime.model.trigger import TriggerRequest
from codewords_mcp.runtime.model.workflow import Consent
from codewords_mcp.runtime.store.unknown_ids import no_workflow

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SEED_NOTES = {
    "greeting": "",
    "linkedin_profile_enricher": "import os",
    "support_ticket_analyzer": "import os",
    "website_monitor": "hash()",
}


@pytest.fixture(scope="module")
async def runtime(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Runtime]:
    async with open_runtime(make_home(tmp_path_factory.mktemp("home")), shares_driver=True) as opened:
        yield opened


@pytest.mark.requirement("seed:examples")
@pytest.mark.parametrize("name", SEED_NOTES)
async def test_the_seeds_programs_deploy_letter_for_letter_with_a_note_of_what_they_forget(
    runtime: Runtime, deployable_seed_examples: Path, name: str
) -> None:
    for secret, value in SEED_TOKENS.items():
        await runtime.secrets.set(ADMIN, secret, value)
    code = (deployable_seed_examples / f"{name}.py").read_text(encoding="utf-8")
    deployment = await runtime.workflows.deploy(ADMIN, code=code, consent=ALLOWED)
    assert (await runtime.workflows.get(ADMIN, deployment.service_id, include_code=True)).code == code
    assert SEED_NOTES[name] in " ".join(f"{note.message} {note.fix}" for note in deployment.notes)
    if name == "greeting":
        status, body, _ = await fetch(runtime, deployment.service_id, {"name": "Ada"})
        assert (status, json.loads(body)) == (200, {"message": "Hello Ada!"})


@pytest.mark.requirement("deploy:no-op", "deploy:versions")
async def test_the_same_code_changes_nothing_and_other_code_is_a_new_version(runtime: Runtime) -> None:
    first = await runtime.workflows.deploy(ADMIN, code=ECHO, name="Versions")
    assert first.changed
    again = await runtime.workflows.deploy(ADMIN, code=ECHO, name="Versions")
    assert (again.changed, again.version, again.version_id) == (False, 1, first.version_id)
    second = await runtime.workflows.deploy(ADMIN, code=ECHO + "\n# two\n", service_id=first.service_id)
    assert (second.version, second.service_id, second.changed) == (2, first.service_id, True)
    detail = await runtime.workflows.get(ADMIN, first.service_id, version=1, include_code=True)
    assert detail.code == ECHO
    assert [(v.version, v.active) for v in detail.versions] == [(2, True), (1, False)]
    assert re.fullmatch(r"versions_[0-9a-f]{8}", first.service_id)


@pytest.mark.requirement("deploy:rollback")
async def test_a_rollback_is_live_at_once(runtime: Runtime) -> None:
    def answering(text: str) -> str:
        return workflow(f'@app.get("/")\nasync def say():\n    return "{text}"\n', title="Rollback")

    service = await deploy(runtime, answering("one"))
    await deploy(runtime, answering("two"), service_id=service)
    assert (await fetch(runtime, service, method="GET"))[1] == b'"two"'
    assert (await runtime.workflows.rollback(ADMIN, service, 1)).version == 1
    assert (await fetch(runtime, service, method="GET"))[1] == b'"one"'
    with pytest.raises(NotFound, match="no version 9"):
        await runtime.workflows.rollback(ADMIN, service, 9)


@pytest.mark.requirement("deploy:failure-keeps-old")
async def test_a_failed_deploy_leaves_the_old_version_serving(runtime: Runtime) -> None:
    service = await deploy(runtime, ECHO, name="Steady")
    with pytest.raises(ValidationFailed) as caught:
        await runtime.workflows.deploy(
            ADMIN, code=ECHO.replace("async def echo", "async deff echo"), service_id=service
        )
    assert "Version 1 goes on serving" in caught.value.message
    assert caught.value.report["all_passed"] is False
    assert (await fetch(runtime, service, [1]))[0] == 200
    assert len((await runtime.workflows.get(ADMIN, service)).versions) == 1


@pytest.mark.requirement("deploy:names")
@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Réport / ../ daily", "report_daily"),
        ("🚨🚨", "workflow"),
        ("x" * 100, "x" * 40),
        ("../../etc", "etc"),
    ],
)
async def test_any_printable_name_is_taken_and_never_becomes_a_path(
    runtime: Runtime, name: str, slug: str
) -> None:
    deployment = await runtime.workflows.deploy(ADMIN, code=ECHO, name=name)
    assert deployment.name == name
    assert re.fullmatch(slug + r"_[0-9a-f]{8}", deployment.service_id)


@pytest.mark.requirement("deploy:names")
@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "two\nlines", "nul\0"])
async def test_a_name_that_cannot_be_shown_is_refused(runtime: Runtime, name: str) -> None:
    with pytest.raises(InvalidInput, match="name"):
        await runtime.workflows.deploy(ADMIN, code=ECHO, name=name)


@pytest.mark.requirement("deploy:names")
async def test_a_name_in_use_is_a_conflict_when_another_workflow_wants_it(runtime: Runtime) -> None:
    await deploy(runtime, ECHO, name="Taken")
    other = await deploy(runtime, ECHO, name="Other")
    with pytest.raises(Conflict, match="name"):
        await runtime.workflows.deploy(ADMIN, code=ECHO + "#\n", service_id=other, name="Taken")


@pytest.mark.requirement("deploy:input")
async def test_a_deploy_takes_code_or_a_template_that_exists(runtime: Runtime) -> None:
    for code, template_id in ((None, None), (ECHO, "greeting")):
        with pytest.raises(InvalidInput, match="one of code"):
            await runtime.workflows.deploy(ADMIN, code=code, template_id=template_id)
    with pytest.raises(NotFound):
        await runtime.workflows.deploy(ADMIN, template_id="no_such")
    with pytest.raises(NotFound):
        await runtime.workflows.deploy(ADMIN, code=ECHO, service_id="no_such_00000000")


@pytest.mark.requirement("runs:owners", "deploy:public")
async def test_a_public_workflow_runs_for_others_who_still_cannot_change_it(runtime: Runtime) -> None:
    service = await deploy(runtime, ECHO, name="Shared", public=True)
    stranger = Caller("stranger", "user")
    assert (await fetch(runtime, service, [1], caller=stranger))[0] == 200
    with pytest.raises(NotFound):
        await runtime.workflows.deploy(stranger, code=ECHO, service_id=service)
    assert (await runtime.workflows.list(stranger)).items == []


@pytest.mark.requirement("runs:as-template")
async def test_a_public_workflow_has_its_owners_secrets_or_as_a_template_the_callers(
    runtime: Runtime,
) -> None:
    code = workflow(
        'import os\n@app.post("/")\nasync def whose():\n    return {"length": len(os.environ.get("TEMPLATE_TOKEN", ""))}\n',
        env=("TEMPLATE_TOKEN",),
        title="Whose",
    )
    reader, other = Caller("reader", "user"), Caller("other", "user")
    await runtime.secrets.set(ADMIN, "TEMPLATE_TOKEN", "of-the-owner-1234")
    await runtime.secrets.set(reader, "TEMPLATE_TOKEN", "of-the-reader-123456789")
    service = await deploy(runtime, code, name="Whose", public=True)
    marked = [(b"run-as-template", b"yes")]
    for runner in (reader, other):
        with pytest.raises(ConsentNeeded) as question:
            await fetch(runtime, service, {}, caller=runner)
        await runtime.consents.decide(runner, question.value.confirm, agreed=True)
    assert (await fetch(runtime, service, {}, caller=reader))[1] == b'{"length":17}'
    assert (await fetch(runtime, service, {}, caller=reader, headers=marked))[1] == b'{"length":23}'
    assert (await fetch(runtime, service, {}, caller=other, headers=marked))[1] == b'{"length":0}'


@pytest.mark.requirement("lists:pages")
async def test_lists_page_through_everything_once(runtime: Runtime) -> None:
    for index in range(3):
        await deploy(runtime, ECHO, name=f"Paged {index}")
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await runtime.workflows.list(ADMIN, query="paged", limit=2, cursor=cursor)
        seen += [item.name for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == ["Paged 2", "Paged 1", "Paged 0"]
    for wrong in ("x", "1", "1.", "-1.a", "²³.a"):
        with pytest.raises(InvalidInput, match="cursor"):
            await runtime.workflows.list(ADMIN, cursor=wrong)
    with pytest.raises(InvalidInput, match="limit"):
        await runtime.workflows.list(ADMIN, limit=0)


@pytest.mark.requirement("deploy:names")
async def test_no_way_of_naming_a_deploy_replaces_a_workflow_that_its_id_does_not_name(
    runtime: Runtime,
) -> None:
    titled = workflow('@app.get("/")\nasync def one():\n    return 1\n', title="Taken title")
    service = await deploy(runtime, titled)
    other = workflow('@app.get("/")\nasync def two():\n    return 2\n', title="Taken title")
    for name in (None, "Taken title"):
        with pytest.raises(NameTaken) as refused:
            await runtime.workflows.deploy(ADMIN, code=other, consent=ALLOWED, name=name)
        assert refused.value.service_id == service
        assert service in refused.value.message
    second = await deploy(runtime, other, name="Free title")
    with pytest.raises(NameTaken):
        await runtime.workflows.deploy(ADMIN, code=titled, service_id=second, name="Taken title")
    assert (await runtime.workflows.get(ADMIN, service)).version == 1
    assert not (await runtime.workflows.deploy(ADMIN, code=titled)).changed, (
        "the same code again changes nothing"
    )
    assert (await runtime.workflows.deploy(ADMIN, code=other, service_id=service)).version == 2


@pytest.mark.requirement("deploy:names")
async def test_of_two_deploys_of_one_name_at_once_one_is_a_conflict(runtime: Runtime) -> None:
    codes = [workflow(f'@app.get("/")\nasync def say():\n    return {n}\n') for n in (1, 2)]
    results = await asyncio.gather(
        *(runtime.workflows.deploy(ADMIN, code=code, name="At once", consent=ALLOWED) for code in codes),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in results) == ["Deployment", "NameTaken"]


@pytest.mark.requirement("deploy:named")
async def test_a_run_by_a_name_says_which_id_is_meant(runtime: Runtime) -> None:
    service = await deploy(runtime, ECHO + "\n# named\n", name="Spoken of")
    for given in ("Spoken of", "spoken of", "Spoken", "Spokn off", service[:-1], f"{service[:-1]}x"):
        for use in _uses(runtime, given):
            with pytest.raises(NotFound) as refused:
                await use
            assert refused.value.hint == f"Did you mean {service}?"
    for use in _uses(runtime, "zzyzx"):
        with pytest.raises(NotFound) as refused:
            await use
        assert refused.value.remedy == Remedy(RemedyAction.LIST_WORKFLOWS)


@pytest.mark.requirement("deploy:named")
async def test_a_draft_that_is_used_like_a_workflow_says_what_makes_it_one(runtime: Runtime) -> None:
    draft = (await runtime.drafts.create(ADMIN, ECHO + "\n# a draft\n")).draft
    for use in _uses(runtime, draft.draft_id):
        with pytest.raises(NotFound, match="draft serves nobody") as refused:
            await use
        assert refused.value.remedy == deploy_draft(draft.draft_id)
    mistyped = draft.draft_id[:-1] + ("0" if draft.draft_id[-1] != "0" else "1")
    with pytest.raises(NotFound, match="no draft of that id") as refused:
        await runtime.drafts.get(ADMIN, mistyped)
    assert refused.value.hint == f"Did you mean {draft.draft_id}?"
    await runtime.drafts.delete(ADMIN, draft.draft_id)
    with pytest.raises(NotFound, match="no draft of that id"):
        await runtime.runs.call(ADMIN, draft.draft_id)


@pytest.mark.requirement("deploy:named", "authority:own-runs")
async def test_a_run_that_misspells_a_workflow_learns_of_no_other(runtime: Runtime) -> None:
    await deploy(runtime, ECHO + "\n# hidden\n", name="Hidden one")
    database = runtime._container.database  # pyright: ignore[reportPrivateUsage]
    told = await database.read(no_workflow, None, "Hidden on")
    assert told.remedy == Remedy(RemedyAction.LIST_WORKFLOWS)
    assert "hidden" not in told.hint
    assert "hidden" in (await database.read(no_workflow, "local", "Hidden on")).hint


def _uses(runtime: Runtime, name: str) -> list[Awaitable[object]]:
    """Calls that need the id of a workflow."""
    schedule = TriggerRequest(kind="schedule", service_id=name, options={"cron": "0 8 * * *"})
    feed = TriggerRequest(kind="run_ended", service_id=name, options={"workflow": name}, check=False)
    return [
        runtime.runs.call(ADMIN, name),
        runtime.workflows.get(ADMIN, name),
        runtime.workflows.rollback(ADMIN, name, 1),
        runtime.published.add(ADMIN, name),
        runtime.triggers.add(ADMIN, schedule),
        runtime.triggers.add(ADMIN, feed),
    ]


def _reaching(host: str, number: int) -> str:
    body = f'import httpx\n\n@app.get("/")\nasync def go():\n    return httpx.get("https://{host}/{number}").text\n'
    return workflow(body, title="Reaching")


async def _narrow_and_wide(runtime: Runtime, name: str) -> str:
    """A workflow whose version 1 reaches nothing and whose version 2, which is live, reaches a host."""
    nothing = workflow('@app.get("/")\nasync def go():\n    return 1\n', title="Reaching")
    service = await deploy(runtime, nothing, name=name)
    made = await runtime.workflows.deploy(
        ADMIN, code=_reaching("api.example.com", 1), service_id=service, consent=ALLOWED
    )
    assert made.version == 2
    return service


@pytest.mark.requirement("manifest:consent")
@pytest.mark.parametrize("what", ["rollback", "deletion"])
async def test_a_deploy_that_passed_beside_a_wider_version_does_not_beside_what_is_live_at_its_end(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A person takes a version back while the next one, which may do the same, is about to be made live."""
    service = await _narrow_and_wide(runtime, f"Taken back by {what}")
    consents = runtime._container.consents  # pyright: ignore[reportPrivateUsage]
    asked = consents.settle

    async def between(question: Question, consent: Consent) -> None:
        await asked(question, consent)
        monkeypatch.undo()
        if what == "rollback":
            await runtime.workflows.rollback(ADMIN, service, 1)
        else:
            await runtime.workflows.delete(ADMIN, service, consent=ALLOWED)

    monkeypatch.setattr(consents, "settle", between)
    code = _reaching("api.example.com", 2)
    with pytest.raises(Conflict, match="meanwhile; nothing was deployed"):
        await runtime.workflows.deploy(ADMIN, code=code, service_id=service)
    names = [one.name for one in (await runtime.workflows.list(ADMIN, query="Taken back")).items]
    assert (f"Taken back by {what}" in names) == (what == "rollback")
    if what == "rollback":
        assert (await runtime.workflows.get(ADMIN, service)).version == 1
        with pytest.raises(ConsentNeeded):
            await runtime.workflows.deploy(ADMIN, code=code, service_id=service)


@pytest.mark.requirement("manifest:consent")
async def test_what_a_version_asks_for_is_compared_with_what_is_live_when_it_was_checked(
    runtime: Runtime,
) -> None:
    """Checking takes minutes at times, and its code decides how many."""
    service = await _narrow_and_wide(runtime, "Taken back early")

    async def progress(_done: float, _total: float, _message: str) -> None:
        await runtime.workflows.rollback(ADMIN, service, 1)

    with pytest.raises(ConsentNeeded):
        await runtime.workflows.deploy(
            ADMIN, code=_reaching("api.example.com", 2), service_id=service, progress=progress
        )
