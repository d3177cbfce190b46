"""Runs that call a workflow which waits: both give their sandboxes back, and go on when the called run has ended."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.approvals.helpers import SERVICES, YES, approval_ground, ask, question, suspended, wait
from tests.integration.recording.resume_ground import ResumeGround, outcomes, replies
from tests.integration.runtime.helpers import deployed
from tests.support.resumable_runs import resumable
from tests.support.runtime import ADMIN, finished, log_text, until_run
from tests.support.waiting import until_async

from codewords_mcp.runtime.model.run import Run
from codewords_mcp.runtime.model.run_wait import ApprovalInfo, PersonAnswer

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("approvals:called")]


@pytest.fixture(scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ResumeGround]:
    async with approval_ground(tmp_path_factory.mktemp("called"), grace=0.1) as opened:
        yield opened


@pytest.fixture(scope="module")
async def caller(ground: ResumeGround) -> str:
    """The id of a workflow that calls the one which asks; it lists neither approvals nor waits."""
    return await deployed(ground.runtime, calling("Calls", ground.service))


@pytest.fixture(scope="module")
async def doubting(ground: ResumeGround) -> tuple[str, str]:
    """The ids of a workflow that asks about its writes before its second attempt, and of one that calls it."""
    called = await deployed(ground.runtime, resumable("{count = 1, resume = true}", SERVICES, title="Doubts"))
    return called, await deployed(ground.runtime, calling("Calls one that doubts", called))


def calling(title: str, *called: str) -> str:
    """The script of a workflow that may call these."""
    return resumable("0", f"services = {json.dumps(called)}", title=title)


def call(service: str, *steps: list[list[Any]]) -> list[Any]:
    """A call of a workflow, which takes these steps."""
    return ["POST", f"/run/{service}/", {"steps": steps, "strict": True}]


async def waits_for_run(ground: ResumeGround, run_id: str) -> None:
    """Wait until a run has given its sandbox back."""
    run = await until_run(
        ground.runtime, run_id, lambda run: run.status == "queued" and run.waits_for == "wait"
    )
    assert run.held is False


async def child_of(ground: ResumeGround, run_id: str, place: int = 0) -> str:
    """The id of a run that this run has started, as soon as it is there."""

    async def look() -> str:
        found = [
            run for run in (await ground.runtime.runs.list(ADMIN, limit=50)).items if run.parent_id == run_id
        ]
        # Calls of library services are runs, too.
        called = sorted((run for run in found if run.version), key=lambda run: run.created_at)
        return called[place].id if len(called) > place else ""

    return await until_async(look, f"run {place} below {run_id}")


def answer_of(run: Run, step: int = 0) -> str:
    """The response of the called run as its caller got it, of which the caller keeps the beginning."""
    status, text = replies(run)[step][0]
    assert status == 200, text
    return str(text)


async def test_both_runs_give_their_sandboxes_back_and_nothing_is_done_twice(
    ground: ResumeGround, caller: str
) -> None:
    runtime = ground.runtime
    steps = [
        [ground.write("outer-before")],
        [call(ground.service, [ground.write("inner-before")], [ask()], [ground.write("inner-after")])],
        [ground.write("outer-after")],
    ]
    outer = await ground.start(*steps, service=caller)
    await waits_for_run(ground, outer)
    inner = await child_of(ground, outer)
    asked = await suspended(runtime, inner)
    assert (await runtime.runs.get(ADMIN, inner)).held is False
    await runtime.approvals.answer(ADMIN, asked.id, YES)

    run = await finished(runtime, outer)
    assert (run.status, outcomes(run)) == ("succeeded", ["suspended", "succeeded"]), run.error
    names = ("outer-before", "inner-before", "inner-after", "outer-after")
    assert [ground.host.writes[name] for name in names] == [1, 1, 1, 1]
    assert "approve" in answer_of(run, 1)
    assert "goes on from its journal" in await log_text(runtime, outer)


async def test_a_call_of_a_call_waits_too(ground: ResumeGround, caller: str) -> None:
    runtime = ground.runtime
    top = await deployed(runtime, calling("Calls a caller", caller))
    outer = await ground.start([call(caller, [call(ground.service, [ask()])])], service=top)
    await waits_for_run(ground, outer)
    middle = await child_of(ground, outer)
    await waits_for_run(ground, middle)
    asked = await suspended(runtime, await child_of(ground, middle))
    await runtime.approvals.answer(ADMIN, asked.id, YES)
    run = await finished(runtime, outer)
    assert (run.status, replies(run)[0][0][0]) == ("succeeded", 200)


async def test_calls_at_once_wait_together(ground: ResumeGround, caller: str) -> None:
    runtime = ground.runtime
    both = [call(ground.service, [ask("One?")]), call(ground.service, [ask("Two?")])]
    outer = await ground.start(both, service=caller)
    await waits_for_run(ground, outer)
    first, second = [await suspended(runtime, await child_of(ground, outer, place)) for place in (0, 1)]
    await runtime.approvals.answer(ADMIN, first.id, YES)
    # It comes back for the one that has ended, and waits again for the other.
    await until_run(runtime, outer, lambda run: len(run.attempts) > 1 and run.waits_for == "wait")
    await runtime.approvals.answer(ADMIN, second.id, PersonAnswer("reject", {}, "a test"))
    run = await finished(runtime, outer)
    assert run.status == "succeeded", run.error
    one, two = (text for _, text in replies(run)[0])
    assert sorted(("approve" in text, "reject" in text) for text in (one, two)) == [
        (False, True),
        (True, False),
    ]


async def test_a_called_run_that_is_cancelled_answers_409_to_its_caller(
    ground: ResumeGround, caller: str
) -> None:
    runtime = ground.runtime
    outer = await ground.start([call(ground.service, [ask()])], service=caller, strict=False)
    await waits_for_run(ground, outer)
    inner = await child_of(ground, outer)
    await suspended(runtime, inner)
    await runtime.runs.cancel(ADMIN, inner)
    run = await finished(runtime, outer)
    status, text = replies(run)[0][0]
    assert (run.status, status) == ("succeeded", 409)
    assert f"{inner} that was called ended (cancelled)" in text


async def test_cancelling_the_caller_cancels_the_called_run_and_its_question(
    ground: ResumeGround, caller: str
) -> None:
    runtime = ground.runtime
    outer = await ground.start([call(ground.service, [ask()])], service=caller)
    await waits_for_run(ground, outer)
    inner = await child_of(ground, outer)
    await suspended(runtime, inner)
    await runtime.runs.cancel(ADMIN, outer)
    ended = [await finished(runtime, run_id) for run_id in (outer, inner)]
    assert [run.status for run in ended] == ["cancelled", "cancelled"]


async def test_a_caller_waits_for_the_person_who_is_asked_about_a_write_of_the_called_run(
    ground: ResumeGround, doubting: tuple[str, str]
) -> None:
    runtime, (called, caller) = ground.runtime, doubting
    ground.fails_once("doubted")
    steps = [ground.write("sure")], [ground.write("doubted")], [ground.write("after")]
    outer = await ground.start([call(called, *steps)], service=caller)
    inner = await child_of(ground, outer)
    asks = await finished(runtime, inner)
    assert asks.error is not None
    assert asks.error.code == "write_unknown"
    await waits_for_run(ground, outer)

    goes_on = await runtime.resumes.resume(ADMIN, inner, sent=False)
    run = await finished(runtime, outer)
    assert (run.status, outcomes(run)) == ("succeeded", ["suspended", "succeeded"]), run.error
    assert json.loads(answer_of(run)) == (await runtime.runs.get(ADMIN, goes_on.id)).response_json
    assert [ground.host.writes[name] for name in ("sure", "after")] == [1, 1]


async def test_cancelling_the_caller_cancels_the_run_that_goes_on_with_the_called_one(
    ground: ResumeGround, doubting: tuple[str, str]
) -> None:
    runtime, (called, caller) = ground.runtime, doubting
    ground.fails_once("doubted again")
    steps = [ground.write("doubted again")], [ask()]
    outer = await ground.start([call(called, *steps)], service=caller)
    inner = await child_of(ground, outer)
    await finished(runtime, inner)
    await waits_for_run(ground, outer)
    goes_on = await runtime.resumes.resume(ADMIN, inner, sent=True)
    await suspended(runtime, goes_on.id)
    assert (await runtime.runs.get(ADMIN, outer)).status == "queued"
    await runtime.runs.cancel(ADMIN, outer)
    ended = [await finished(runtime, run_id) for run_id in (outer, goes_on.id)]
    assert [run.status for run in ended] == ["cancelled", "cancelled"]


async def test_a_call_that_ends_soon_is_answered_in_the_same_sandbox(
    ground: ResumeGround, caller: str
) -> None:
    run = await ground.run([call(ground.service, [ground.write("quick")])], service=caller)
    assert outcomes(run) == ["succeeded"]
    assert "quick" in answer_of(run)
    assert ground.host.writes["quick"] == 1


async def test_both_wait_through_a_start_anew(tmp_path: Path) -> None:
    async with approval_ground(tmp_path, grace=0.1) as before:
        caller = await deployed(before.runtime, calling("Survives", before.service))
        outer = await before.start([call(before.service, [ask()])], service=caller)
        await waits_for_run(before, outer)
        inner = await child_of(before, outer)
        asked: ApprovalInfo = await suspended(before.runtime, inner)
    async with approval_ground(tmp_path, grace=0.1) as after:
        assert (await question(after.runtime, inner)).id == asked.id
        await after.runtime.approvals.answer(ADMIN, asked.id, YES)
        run = await finished(after.runtime, outer)
        assert (run.status, replies(run)[0][0][0]) == ("succeeded", 200)


async def test_a_called_run_that_waits_for_its_time_resumes_its_caller(
    ground: ResumeGround, caller: str
) -> None:
    run = await ground.run([call(ground.service, [wait(seconds=1.5)])], service=caller)
    assert (run.status, outcomes(run)[-1]) == ("succeeded", "succeeded")
    assert answer_of(run)
