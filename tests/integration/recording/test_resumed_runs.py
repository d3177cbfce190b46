"""Runs that are resumed: what was sent is not sent again, what is unknown is asked about, what is new goes out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from tests.integration.recording.resume_ground import ResumeGround, outcomes, replies, resume_ground
from tests.integration.runtime.helpers import deployed
from tests.support.resumable_runs import resumable
from tests.support.runtime import ADMIN, finished, request

from codewords_mcp.errors import Conflict, Forbidden, InvalidInput
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.run import Run

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ResumeGround]:
    async with resume_ground(tmp_path_factory.mktemp("resume")) as opened:
        yield opened


@pytest.mark.requirement("runs:resume")
@pytest.mark.parametrize("dies", [False, True])
async def test_an_attempt_after_an_error_sends_nothing_again(ground: ResumeGround, dies: bool) -> None:
    name = f"first-{dies}"
    ground.fails_once(f"/{name}-gate")
    run = await ground.run(
        [ground.read(f"{name}-before")],
        [ground.write(f"{name}-{n}", at="NOW", id="UUID") for n in range(5)],
        [ground.read(f"{name}-gate")],
        [ground.write(f"{name}-last")],
        dies=dies,
    )
    assert run.status == "succeeded", run.error
    assert outcomes(run) == ["failed", "succeeded"]
    assert ground.host.doubled == []
    written = [ground.host.writes[f"{name}-{n}"] for n in range(5)]
    assert written == [1] * 5
    assert ground.host.reads[f"/{name}-before"] == 1
    assert ground.host.reads[f"/{name}-gate"] == 2


@pytest.mark.requirement("runs:resume-asks")
async def test_a_write_whose_answer_is_lost_is_asked_about_and_not_sent_again(ground: ResumeGround) -> None:
    ground.fails_once("lost")
    steps = [[ground.write("before")], [ground.write("lost")], [ground.write("after")]]
    run = await ground.run(*steps)
    assert (run.status, outcomes(run)) == ("failed", ["failed", "failed"])
    assert run.error is not None
    assert run.error.code == "write_unknown"
    assert f"POST {ground.host.url}/write was sent" in run.error.message
    assert run.error.remedy == Remedy(RemedyAction.RESUME_RUN, {"run": run.id})
    assert (ground.host.writes["before"], ground.host.writes["lost"], ground.host.writes["after"]) == (
        1,
        1,
        0,
    )

    resumes = ground.runtime.resumes
    with pytest.raises(Forbidden):
        await resumes.resume(Caller("admin", "run", run_id=run.id), run.id, sent=True)
    resumed = await finished(ground.runtime, (await resumes.resume(ADMIN, run.id, sent=True)).id)
    assert (resumed.status, resumed.mode, resumed.mode_of) == ("succeeded", "resume", run.id)
    assert '"sent": true' in replies(resumed)[1][0][1]
    assert [ground.host.writes[key] for key in ("before", "lost", "after")] == [1, 1, 1]
    with pytest.raises(Conflict):
        await resumes.resume(ADMIN, run.id, sent=False)


@pytest.mark.requirement("runs:resume-asks")
async def test_a_write_that_was_not_carried_out_is_sent_when_a_person_says_so(ground: ResumeGround) -> None:
    ground.fails_once("unsent")
    run = await ground.run([ground.write("first")], [ground.write("unsent")])
    assert run.error is not None
    assert run.error.code == "write_unknown"
    told = await ground.runtime.resumes.resume(ADMIN, run.id, sent=False)
    resumed = await finished(ground.runtime, told.id)
    assert resumed.status == "succeeded"
    assert (ground.host.writes["first"], ground.host.writes["unsent"]) == (1, 2)


@pytest.mark.requirement("runs:resume-asks")
async def test_an_idempotency_key_makes_a_repeat_safe_and_stays_the_first_one(ground: ResumeGround) -> None:
    ground.fails_once("keyed")
    ground.host.tokens.clear()
    run = await ground.run([ground.write("keyed", {"Idempotency-Key": "UUID"})])
    assert (run.status, outcomes(run)) == ("succeeded", ["failed", "succeeded"])
    assert len(ground.host.tokens) == 2
    assert len(set(ground.host.tokens)) == 1


@pytest.mark.requirement("runs:resume-asks")
async def test_a_write_that_may_be_the_same_with_another_nonce_is_asked_about(ground: ResumeGround) -> None:
    ground.fails_once("/nonce-gate")
    run = await ground.run([ground.write("nonce", n="NONCE")], [ground.read("nonce-gate")])
    assert run.error is not None
    assert run.error.code == "write_unknown"
    assert "looks made by chance" in run.error.message
    told = await ground.runtime.resumes.resume(ADMIN, run.id, sent=True)
    assert (await finished(ground.runtime, told.id)).status == "succeeded"
    assert ground.host.writes["nonce"] == 1


@pytest.mark.requirement("runs:resume")
async def test_a_child_run_is_started_once(ground: ResumeGround) -> None:
    child = await deployed(ground.runtime, resumable(title="Child"))
    parent = await deployed(
        ground.runtime,
        resumable("{count = 2, resume = true}", f'services = ["{child}"]', title="Parent"),
    )
    ground.fails_once("/child-gate")
    data = {
        "steps": [
            [["POST", f"/run_async/{child}/", {"steps": [[ground.write("of-child")]]}]],
            [ground.read("child-gate")],
        ],
        "strict": True,
    }
    run = await finished(ground.runtime, await ground.runtime.runs.start(request(parent, data)))
    assert (run.status, outcomes(run)) == ("succeeded", ["failed", "succeeded"])
    children = await ground.runtime.runs.list(ADMIN, service_id=child)
    assert len(children.items) == 1
    await finished(ground.runtime, children.items[0].id)
    assert ground.host.writes["of-child"] == 1


@pytest.mark.requirement("runs:resume-asks")
async def test_writes_that_were_on_their_way_together_are_one_question(ground: ResumeGround) -> None:
    ground.fails_once("both-1", "both-2", "both-3")
    run = await ground.run(
        [ground.write("both-0")], [ground.write(f"both-{n}") for n in (1, 2, 3)], [ground.write("both-4")]
    )
    assert run.error is not None
    assert "3 writes may have been carried out" in run.error.message
    assert f"3 times POST {ground.host.url}/write" in run.error.message

    resumes = ground.runtime.resumes
    question = await resumes.question(ADMIN, run.id)
    keys = {json.loads(one.body)["key"]: one.number for one in question.writes}
    assert sorted(keys.values()) == [1, 2, 3]
    assert sorted(keys) == ["both-1", "both-2", "both-3"]
    for incomplete in (True, {1: True}, {1: True, 2: True, 3: True, 4: True}):
        with pytest.raises(InvalidInput):
            await resumes.resume(ADMIN, run.id, sent=incomplete)

    answers = {keys["both-1"]: True, keys["both-2"]: False, keys["both-3"]: True}
    resumed = await finished(ground.runtime, (await resumes.resume(ADMIN, run.id, sent=answers)).id)
    assert resumed.status == "succeeded", resumed.error
    assert [ground.host.writes[f"both-{n}"] for n in range(5)] == [1, 1, 2, 1, 1]
    with pytest.raises(Conflict, match=resumed.id):
        await resumes.resume(ADMIN, run.id, sent=answers)
    after = await resumes.question(ADMIN, run.id)
    assert (after.writes, after.resumed_by) == ([], resumed.id)


@pytest.mark.requirement("runs:resume-asks")
async def test_of_two_answers_at_once_one_counts(ground: ResumeGround) -> None:
    ground.fails_once("twice")
    run = await ground.run([ground.write("twice")])
    resumes = ground.runtime.resumes
    said = await asyncio.gather(
        *(resumes.resume(ADMIN, run.id, sent=sent) for sent in (True, False)), return_exceptions=True
    )
    [conflict] = [one for one in said if isinstance(one, Conflict)]
    [resumed] = [one for one in said if isinstance(one, Run)]
    assert "meanwhile" in conflict.message or "already" in conflict.message
    assert (await finished(ground.runtime, resumed.id)).status == "succeeded"
    assert len(await _resumed(ground, run)) == 1


async def _resumed(ground: ResumeGround, run: Run) -> list[str]:
    page = await ground.runtime.runs.list(ADMIN, service_id=ground.service, mode="resume", limit=100)
    return [one.id for one in page.items if one.mode_of == run.id]


@pytest.mark.requirement("runs:resume-asks")
async def test_a_question_that_an_attempt_left_behind_is_not_answered_with_the_next(
    ground: ResumeGround,
) -> None:
    ground.fails_once("one", "two")
    run = await ground.run([ground.write("one"), ground.write("two")])
    journals = ground.runtime._container.run_journals  # pyright: ignore[reportPrivateUsage]
    first = await journals.question(run.owner, run.id)
    assert len(first) == 2
    # As an attempt does that comes after one which died with its question.
    attempt = await journals.open(run.id, request(ground.service), 3)
    await attempt.stored.ask(first[1:])
    question = await journals.question(run.owner, run.id)
    assert [one.place for one in question] == [first[1].place]
