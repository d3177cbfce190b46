"""Questions that running workflows ask a person: who answers, once, in time, and how the run goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.approvals.helpers import (
    SERVICES,
    YES,
    approval_ground,
    ask,
    asking,
    question,
    suspended,
    wait,
)
from tests.integration.recording.resume_ground import ResumeGround, outcomes, replies
from tests.integration.runtime.helpers import deployed
from tests.support.resumable_runs import resumable
from tests.support.runtime import ADMIN, ALLOWED, fetch, finished, log_text, until_run

from codewords_mcp.errors import CodewordsError, Conflict, ConsentNeeded, Forbidden, InvalidInput, NotFound
from codewords_mcp.errors.remedies import RemedyAction
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.run import Run
from codewords_mcp.runtime.model.run_wait import PersonAnswer

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
FIELDS = {
    "type": "object",
    "properties": {"reason": {"type": "string", "minLength": 2}, "days": {"type": "integer", "default": 3}},
    "required": ["reason"],
}


@pytest.fixture(scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ResumeGround]:
    async with approval_ground(tmp_path_factory.mktemp("approvals"), grace=0.1) as opened:
        yield opened


@pytest.fixture(scope="module")
async def patient(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ResumeGround]:
    """A runtime whose runs keep their sandboxes while they wait."""
    async with approval_ground(tmp_path_factory.mktemp("patient"), grace=600, sync_timeout=8) as opened:
        yield opened


def reply_of(run: Run, step: int = 0) -> Any:
    status, text = replies(run)[step][0]
    assert status == 200, text
    return json.loads(text)


@pytest.mark.requirement("approvals:ask")
async def test_an_answer_goes_to_the_program_that_waits_for_it(patient: ResumeGround) -> None:
    runtime = patient.runtime
    run_id = await patient.start(
        [ask("Pay it?", details="Invoice 7", options=["pay", "reject"], fields=FIELDS)]
    )
    asked = await question(runtime, run_id)
    assert (asked.title, asked.details, asked.options) == ("Pay it?", "Invoice 7", ["pay", "reject"])
    given = PersonAnswer("pay", {"reason": "It is right"}, "Chrome on Linux")
    said = await runtime.approvals.answer(ADMIN, asked.id, given)
    assert said.startswith("Pay: the run of ")

    run = await finished(runtime, run_id)
    reply = reply_of(run)
    assert (reply["status"], reply["answer"]) == ("answered", "pay")
    assert reply["fields"] == {"reason": "It is right", "days": 3}
    assert (reply["answered_by"], reply["answered_from"]) == (ADMIN.owner, "Chrome on Linux")
    assert outcomes(run) == ["succeeded"]
    (kept,) = await runtime.approvals.of_run(ADMIN, run_id)
    assert (kept.status, kept.answered_by, kept.answer) == ("answered", ADMIN.owner, "pay")
    assert kept.answered_at is not None


@pytest.mark.requirement("approvals:suspend")
async def test_a_run_that_waits_has_no_sandbox_and_does_nothing_twice(ground: ResumeGround) -> None:
    runtime = ground.runtime
    run_id = await ground.start(
        [ground.write("before")], [ask()], [ground.write("after")], [ask("And now?")], [ground.write("last")]
    )
    asked = await suspended(runtime, run_id)
    run = await runtime.runs.get(ADMIN, run_id)
    assert (run.status, run.waits_for, run.held, outcomes(run)) == ("queued", "answer", False, ["suspended"])
    await runtime.approvals.answer(ADMIN, asked.id, YES)
    second = await until_second(ground, run_id, asked.id)
    await runtime.approvals.answer(ADMIN, second, YES)

    run = await finished(runtime, run_id)
    assert run.status == "succeeded", run.error
    assert outcomes(run) == ["suspended", "suspended", "succeeded"]
    assert [ground.host.writes[name] for name in ("before", "after", "last")] == [1, 1, 1]
    assert reply_of(run, 1)["answer"] == "approve"
    assert "goes on from its journal" in await log_text(runtime, run_id)


async def until_second(ground: ResumeGround, run_id: str, first: str) -> str:
    await until_run(ground.runtime, run_id, lambda run: len(run.attempts) > 1 and run.waits_for == "answer")
    newest = (await ground.runtime.approvals.of_run(ADMIN, run_id))[0]
    assert newest.id != first
    return newest.id


@pytest.mark.requirement("approvals:late")
async def test_of_two_people_one_is_first_and_the_other_is_told_who(ground: ResumeGround) -> None:
    runtime = ground.runtime
    run_id = await ground.start([ask()])
    asked = await suspended(runtime, run_id)
    no = PersonAnswer("reject", {}, "another browser")
    told = await asyncio.gather(
        runtime.approvals.answer(ADMIN, asked.id, YES),
        runtime.approvals.answer(ADMIN, asked.id, no),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in told) == ["Conflict", "str"]
    (late,) = [one for one in told if isinstance(one, Conflict)]
    assert f"{ADMIN.owner} has answered this question already" in late.message
    run = await finished(runtime, run_id)
    first = "approve" if isinstance(told[0], str) else "reject"
    assert reply_of(run)["answer"] == first


@pytest.mark.requirement("approvals:late")
async def test_an_answer_after_the_deadline_the_run_or_the_workflow_is_refused(ground: ResumeGround) -> None:
    runtime = ground.runtime
    over = await ground.start([ask(timeout=0.2)])
    run = await finished(runtime, over)
    assert reply_of(run) == {"status": "timed_out", "question_id": (await question(runtime, over)).id}
    assert "The deadline of this question was" in await refusal(ground, over)

    cancelled = await ground.start([ask()])
    await suspended(runtime, cancelled)
    ended = await runtime.runs.cancel(ADMIN, cancelled)
    assert ended.status == "cancelled"
    assert ended.error is not None
    assert ended.error.message == "The run was cancelled while it waited."
    assert "has ended" in await refusal(ground, cancelled)

    gone = await deployed(runtime, asking("Gone"))
    deleted = await ground.start([ask()], service=gone)
    await suspended(runtime, deleted)
    await runtime.workflows.delete(ADMIN, gone, consent=ALLOWED)
    assert (await runtime.runs.get(ADMIN, deleted)).status == "cancelled"
    assert "has ended" in await refusal(ground, deleted)


@pytest.mark.requirement("approvals:delete")
async def test_deleting_a_workflow_asks_once_says_how_many_runs_wait_and_cancels_them(
    ground: ResumeGround, patient: ResumeGround
) -> None:
    runtime = ground.runtime
    gone = await deployed(runtime, asking("Two wait"))
    waiting = [
        await ground.start([ask()], service=gone),
        await ground.start([wait(seconds="2h")], service=gone),
    ]
    for run_id in waiting:
        await until_run(runtime, run_id, lambda run: run.waits_for in {"answer", "wait"})
    with pytest.raises(ConsentNeeded) as needed:
        await runtime.workflows.delete(ADMIN, gone)
    assert "2 runs that wait for an answer, a request or a time" in " ".join(needed.value.asks)
    assert (await runtime.runs.get(ADMIN, waiting[0])).status == "queued"
    await runtime.workflows.delete(ADMIN, gone, consent=ALLOWED)
    assert {(await runtime.runs.get(ADMIN, run_id)).status for run_id in waiting} == {"cancelled"}

    # One that has its sandbox is no run to end without a word.
    inside = await deployed(patient.runtime, asking("Inside"))
    run_id = await patient.start([ask()], service=inside)
    await question(patient.runtime, run_id)
    with pytest.raises(Conflict, match="1 run that have not ended"):
        await patient.runtime.workflows.delete(ADMIN, inside, consent=ALLOWED)
    await patient.runtime.runs.cancel(ADMIN, run_id)


async def refusal(ground: ResumeGround, run_id: str) -> str:
    asked = await question(ground.runtime, run_id)
    with pytest.raises(Conflict) as refused:
        await ground.runtime.approvals.answer(ADMIN, asked.id, YES)
    return refused.value.message


@pytest.mark.requirement("approvals:default")
async def test_the_deadline_answers_by_the_default(ground: ResumeGround) -> None:
    fields = {"type": "object", "properties": {"days": {"type": "integer", "default": 3}}}
    run_id = await ground.start([ask(timeout=0.5, default="reject", fields=fields)])
    run = await finished(ground.runtime, run_id)
    reply = reply_of(run)
    assert (reply["status"], reply["answer"], reply["fields"]) == ("answered", "reject", {"days": 3})
    assert (reply["answered_by"], reply["answered_from"]) == (None, "the deadline")


@pytest.mark.requirement("approvals:person")
async def test_only_the_owner_answers_and_only_what_was_asked(ground: ResumeGround) -> None:
    runtime = ground.runtime
    run_id = await ground.start([ask(fields=FIELDS)])
    asked = await suspended(runtime, run_id)
    its_own = Caller(ADMIN.owner, "run", run_id=run_id)
    attempts: list[tuple[Caller, PersonAnswer, type[CodewordsError]]] = [
        (its_own, YES, Forbidden),
        (Caller("another", "user"), YES, NotFound),
        (ADMIN, PersonAnswer("pay", {}, ""), InvalidInput),
        (ADMIN, YES, InvalidInput),
        (ADMIN, PersonAnswer("approve", {"reason": 5}, ""), InvalidInput),
        (ADMIN, PersonAnswer("approve", {"reason": "ok", "other": 1}, ""), InvalidInput),
    ]
    for caller, given, error in attempts:
        with pytest.raises(error):
            await runtime.approvals.answer(caller, asked.id, given)
    assert asked.id in [one.id for one in await runtime.approvals.list(ADMIN)]
    await runtime.approvals.answer(ADMIN, asked.id, PersonAnswer("approve", {"reason": "ok"}, ""))
    assert (await finished(runtime, run_id)).status == "succeeded"
    assert asked.id not in [one.id for one in await runtime.approvals.list(ADMIN)]


@pytest.mark.requirement("approvals:ask")
@pytest.mark.parametrize(
    "data",
    [
        {"title": ""},
        {"title": "a", "options": []},
        {"title": "a", "options": ["b", "b"]},
        {"title": "a", "default": "neither"},
        {"title": "a", "timeout": "soon"},
        {"title": "a", "timeout": 0},
        {"title": "a", "fields": {"type": "object", "properties": {"a": {"type": "array"}}}},
        {"title": "a", "fields": FIELDS, "default": "approve"},
        {"title": "a", "notify": ["mail"]},
    ],
)
async def test_a_question_that_cannot_be_asked_is_refused(ground: ResumeGround, data: dict[str, Any]) -> None:
    run = await ground.run([["POST", "/run/approvals/", data]])
    assert [status for step in replies(run) for status, _ in step] == [400]


@pytest.mark.requirement("approvals:ask")
async def test_only_a_running_workflow_asks(ground: ResumeGround) -> None:
    for service in ("approvals", "wait"):
        with pytest.raises(InvalidInput, match="Only a running workflow"):
            await fetch(ground.runtime, service, {"title": "a"} if service == "approvals" else {"seconds": 1})


@pytest.mark.requirement("approvals:foreground")
async def test_a_caller_that_waits_is_told_to_run_it_in_the_background(patient: ResumeGround) -> None:
    with pytest.raises(Conflict, match="while its caller waited") as told:
        await fetch(patient.runtime, patient.service, {"steps": [[ask("Now?")]]})
    assert told.value.remedy is not None
    assert told.value.remedy.action == RemedyAction.RUN_IN_BACKGROUND
    assert told.value.run_id is not None
    assert "waits no longer" in await ended(patient, told.value.run_id)


async def ended(ground: ResumeGround, run_id: str) -> str:
    asked = await question(ground.runtime, run_id)
    assert asked.status == "withdrawn"
    assert asked.id not in [one.id for one in await ground.runtime.approvals.list(ADMIN)]
    return "waits no longer"


@pytest.mark.requirement("approvals:suspend")
async def test_questions_at_once_are_answered_one_by_one(ground: ResumeGround) -> None:
    runtime = ground.runtime
    run_id = await ground.start([ask("One?"), ask("Two?"), ground.write("beside")])
    await suspended(runtime, run_id)
    asked = await runtime.approvals.of_run(ADMIN, run_id)
    assert {one.title for one in asked} == {"One?", "Two?"}
    for one in asked:
        await runtime.approvals.answer(ADMIN, one.id, YES)
    run = await finished(runtime, run_id)
    assert run.status == "succeeded", run.error
    assert ground.host.writes["beside"] == 1


@pytest.mark.requirement("approvals:wait")
async def test_a_wait_is_over_at_its_time(ground: ResumeGround) -> None:
    run_id = await ground.start(
        [ground.write("wait-before")], [wait(seconds=1.5)], [wait(until="2020-01-01")]
    )
    await until_run(ground.runtime, run_id, lambda run: run.waits_for == "wait")
    run = await finished(ground.runtime, run_id)
    assert run.status == "succeeded", run.error
    assert outcomes(run)[0] == "suspended"
    assert outcomes(run)[-1] == "succeeded"
    assert reply_of(run, 1)["status"] == "elapsed"
    assert ground.host.writes["wait-before"] == 1


@pytest.mark.requirement("approvals:ask")
async def test_a_question_shows_no_value_of_a_secret(ground: ResumeGround) -> None:
    runtime, value = ground.runtime, "sk-live-0123456789abcdef"
    await runtime.secrets.set(ADMIN, "SHOP_TOKEN", value)
    script = resumable("0", SERVICES, title="With a secret", env=("SHOP_TOKEN",))
    service = await deployed(runtime, script)
    run_id = await ground.start([ask(f"Use {value}?", details=f"The token is {value}.")], service=service)
    asked = await suspended(runtime, run_id)
    assert value not in asked.title + asked.details
    assert asked.details.startswith("The token is ")
    await runtime.runs.cancel(ADMIN, run_id)
