"""Workflows of other owners: what their runners agree to, and what runs before and after that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from tests.integration.runtime.helpers import ANN, BEN, act, acting, code_of, deployed, serving
from tests.support.runtime import (
    ECHO,
    make_home,
    open_runtime,
    request,
)

from codewords_mcp.errors import ConsentNeeded, Forbidden, NotFound
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.auth.agreements import Agreements
from codewords_mcp.runtime.model.caller import Caller

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
async def runtime(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Runtime]:
    home = make_home(tmp_path_factory.mktemp("agreements") / "home")
    async with open_runtime(home, shares_driver=True) as opened, serving(opened):
        yield opened


async def agreed(runtime: Runtime, question: ConsentNeeded) -> None:
    await runtime.consents.decide(ANN, question.confirm, agreed=True)


@pytest.mark.requirement("authority:runner-agrees")
async def test_a_public_workflow_does_nothing_with_its_runners_rights_before_the_runner_agrees(
    runtime: Runtime,
) -> None:
    mine = await deployed(runtime, ECHO, caller=ANN, name="Payments of Ann")
    code = acting(f'services = ["{mine}", "files"]\n', env=("PAYROLL_DB_URL=none",))
    public = await deployed(runtime, code, caller=BEN, name="Helps everybody", public=True)
    await runtime.secrets.set(ANN, "PAYROLL_DB_URL", "postgres://ann-secret", plain=True)
    with pytest.raises(ConsentNeeded) as caught:
        await act(runtime, public, caller=ANN)
    question = caught.value
    asked = "\n".join(question.asks)
    assert "files" in asked
    assert mine in asked
    assert (
        "PAYROLL_DB_URL, if it is set (plain: the code can read it), where you run it with Run-As-Template"
        in asked
    )
    assert (public in question.message, "ben" in question.message) == (True, True)
    with pytest.raises(ConsentNeeded) as again:
        await runtime.runs.start(request(public, {}, caller=ANN))
    assert again.value.confirm == question.confirm, "the same question"

    await agreed(runtime, question)
    calls: list[list[Any]] = [
        ["POST", "/run/files/list", {}],
        ["POST", f"/run/{mine}/", {"x": 1}],
        ["POST", f"/run/{public}/", {"calls": []}],
    ]
    found = await act(runtime, public, *calls, caller=ANN)
    assert [code_of(reply) for reply in found["replies"]] == ["", "", ""]
    assert (await act(runtime, public, caller=BEN))["replies"] == [], "the author agreed at the deploy"

    wider = acting(f'services = ["{mine}", "files", "send_email"]\n', env=("PAYROLL_DB_URL=none",))
    await deployed(runtime, wider, caller=BEN, service_id=public, public=True)
    with pytest.raises(ConsentNeeded) as more:
        await act(runtime, public, caller=ANN)
    assert "send_email" in "\n".join(more.value.asks)
    assert "files" not in "\n".join(more.value.asks), "only what goes beyond what was agreed"
    await runtime.consents.decide(ANN, more.value.confirm, agreed=False)
    with pytest.raises(Forbidden, match="declined"):
        await act(runtime, public, caller=ANN)


@pytest.mark.requirement("authority:runner-agrees")
async def test_the_question_names_who_published_the_workflow_and_who_wants_to_run_it(
    runtime: Runtime,
) -> None:
    code = acting('services = ["files"]\n')
    public = await deployed(runtime, code, caller=BEN, name="Names its publisher", public=True)
    person = Caller("ann", "user", key_id="k_1")
    with pytest.raises(ConsentNeeded) as by_person:
        await act(runtime, public, caller=person)
    shown = (await runtime.consents.peek(ANN, by_person.value.confirm)).wording
    assert f"the workflow {public}, published by ben," in shown.title
    assert shown.asker == "a call with key k_1 of ann"
    assert f"Asked by {shown.asker}." in by_person.value.question

    other = await deployed(runtime, code, caller=BEN, name="Called by a workflow", public=True)
    mine = await deployed(runtime, acting(f'services = ["{other}"]\n'), caller=ANN, name="Calls another's")
    found = await act(runtime, mine, ["POST", f"/run/{other}/", {"calls": []}], caller=person)
    assert code_of(found["replies"][0]) == "consent_needed"
    token = found["replies"][0][1]["error"]["confirm"]
    asker = (await runtime.consents.peek(ANN, token)).wording.asker
    assert asker == f"a run of the workflow {mine}, with key k_1 of ann"


@pytest.mark.requirement("authority:runner-withdraws")
async def test_what_a_runner_agreed_to_is_listed_and_once_withdrawn_the_next_run_is_asked_about(
    runtime: Runtime,
) -> None:
    code = acting('services = ["files"]\n')
    public = await deployed(runtime, code, caller=BEN, name="Withdrawn later", public=True)
    with pytest.raises(ConsentNeeded) as first:
        await act(runtime, public, caller=ANN)
    with pytest.raises(ConsentNeeded):
        await runtime.consents.agree(ANN, public, "x" * 32)
    made = await runtime.consents.agree(ANN, public, first.value.confirm)
    assert (made.service_id, made.published_by) == (public, "ben")
    assert "files" in "\n".join(made.capabilities)
    files: list[Any] = ["POST", "/run/files/list", {}]
    assert code_of((await act(runtime, public, files, caller=ANN))["replies"][0]) == ""

    assert public in [one.service_id for one in await runtime.consents.list_agreements(ANN)]
    assert await runtime.consents.list_agreements(BEN) == []
    with pytest.raises(NotFound):
        await runtime.consents.withdraw_agreement(BEN, public)
    await runtime.consents.withdraw_agreement(ANN, public)
    assert public not in [one.service_id for one in await runtime.consents.list_agreements(ANN)]
    with pytest.raises(ConsentNeeded) as again:
        await act(runtime, public, caller=ANN)
    assert again.value.confirm != first.value.confirm, "the answer from before is spent"
    with pytest.raises(NotFound):
        await runtime.consents.withdraw_agreement(ANN, public)

    run = Caller("ann", "run", run_id="r")
    for refused in (
        runtime.consents.agree(run, public, again.value.confirm),
        runtime.consents.list_agreements(run),
        runtime.consents.withdraw_agreement(run, public),
    ):
        with pytest.raises(Forbidden):
            await refused


@pytest.mark.requirement("authority:runner-withdraws")
async def test_a_withdrawal_on_another_runtime_of_the_database_counts_here(runtime: Runtime) -> None:
    code = acting('services = ["files"]\n')
    public = await deployed(runtime, code, caller=BEN, name="Withdrawn elsewhere", public=True)
    container = runtime._container  # pyright: ignore[reportPrivateUsage]
    database: Any = SimpleNamespace(shared=True, read=container.database.read, write=container.database.write)
    here, elsewhere = (Agreements(database, container.consents) for _ in range(2))
    permissions = (await container.catalog.find(ANN, public)).permissions
    with pytest.raises(ConsentNeeded) as first:
        await here.require("ann", permissions)
    await agreed(runtime, first.value)
    for replica in (here, elsewhere):
        await replica.require("ann", permissions)
    await elsewhere.withdraw("ann", public)
    with pytest.raises(ConsentNeeded):
        await here.require("ann", permissions)
    assert not here.holds("ann", permissions)


@pytest.mark.requirement("authority:runner-agrees")
async def test_a_public_workflow_that_reaches_nothing_runs_for_everybody_and_reaches_nothing(
    runtime: Runtime,
) -> None:
    mine = await deployed(runtime, ECHO, caller=ANN, name="Private of Ann")
    public = await deployed(runtime, acting(), caller=BEN, name="Reaches nothing", public=True)
    calls: list[list[Any]] = [
        ["POST", f"/run/{mine}/", {}],
        ["POST", "/run/files/list", {}],
        ["POST", f"/run/{public}/", {"calls": []}],
    ]
    found = await act(runtime, public, *calls, caller=ANN)
    assert [code_of(reply) for reply in found["replies"]] == ["not_agreed", "not_agreed", ""]


@pytest.mark.requirement("authority:run-as-template")
async def test_run_as_template_counts_from_a_persons_key_only(runtime: Runtime) -> None:
    public = await deployed(
        runtime, acting(env=("TEMPLATE_TOKEN=none",)), caller=BEN, name="Reads a token", public=True
    )
    await runtime.secrets.set(ANN, "TEMPLATE_TOKEN", "ann-token", plain=True)
    header = {"Run-As-Template": "yes"}
    inner = ["POST", f"/run/{public}/", {"read": ["TEMPLATE_TOKEN"], "calls": []}, header]
    with pytest.raises(ConsentNeeded) as caught:
        await act(runtime, public, caller=ANN)
    await agreed(runtime, caught.value)
    plain = await act(runtime, public, inner, caller=ANN, read=("TEMPLATE_TOKEN",))
    assert plain["read"]["TEMPLATE_TOKEN"] == "none"
    assert plain["replies"][0][1]["read"]["TEMPLATE_TOKEN"] == "none", "a run's key cannot ask for it"
    by_person = await act(
        runtime, public, inner, caller=ANN, read=("TEMPLATE_TOKEN",), headers=[(b"run-as-template", b"yes")]
    )
    assert by_person["read"]["TEMPLATE_TOKEN"] != "none"
    assert by_person["replies"][0][1]["read"]["TEMPLATE_TOKEN"] == "none", (
        "nor in a chain that a person began with it"
    )
