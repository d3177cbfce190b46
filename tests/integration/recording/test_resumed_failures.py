"""Resumed runs whose sandbox, journal, workflow or runtime fails meanwhile."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from tests.integration.recording.resume_ground import ResumeGround, outcomes, resume_ground
from tests.integration.runtime.helpers import deployed
from tests.support.counting_host import counting_host
from tests.support.resumable_runs import resumable
from tests.support.runtime import ADMIN, ALLOWED, finished, make_home
from tests.support.served_runtime import ServedRuntime, start_runtime
from tests.support.waiting import until

from codewords_mcp.errors import Conflict, NotFound
from codewords_mcp.runtime.model.run import Run

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ResumeGround]:
    async with resume_ground(tmp_path_factory.mktemp("resume"), memory_limit=400 << 20) as opened:
        yield opened


@pytest.mark.requirement("runs:resume")
@pytest.mark.parametrize(("way", "outcome"), [("memory", "failed"), ("time", "timed_out")])
async def test_an_attempt_after_one_that_hit_a_limit_sends_nothing_again(
    ground: ResumeGround, way: str, outcome: str
) -> None:
    ground.fails_once(f"/{way}-gate")
    run = await ground.run(
        [ground.write(f"{way}-{n}") for n in range(3)],
        [ground.read(f"{way}-gate")],
        [ground.write(f"{way}-last")],
        dies=way,
        timeout=10 if way == "time" else None,
    )
    assert run.status == "succeeded", run.error
    assert outcomes(run)[-2:] == [outcome, "succeeded"]
    assert [ground.host.writes[f"{way}-{key}"] for key in (0, 1, 2, "last")] == [1] * 4


@pytest.mark.requirement("runs:resume", "runs:resume-asks")
async def test_of_a_thousand_equal_writes_at_once_none_is_doubled(ground: ResumeGround) -> None:
    ground.fails_once("/many-gate")
    many = [ground.write("many")] * 1000
    run = await ground.run(many, [ground.read("many-gate")], [ground.write("many")], unpooled=True)
    assert run.status == "succeeded", run.error
    assert outcomes(run) == ["failed", "succeeded"]
    assert ground.host.writes["many"] == 1001


@pytest.mark.requirement("runs:resume-asks")
async def test_of_hundreds_of_equal_writes_those_on_their_way_are_one_question(ground: ResumeGround) -> None:
    def fate(_key: str) -> int:
        # Cut in the middle of them: the attempt ends with others on their way.
        return 0 if ground.host.writes["half"] == 150 else 200

    ground.host.fate = fate
    run = await ground.run([ground.write("half")] * 300)
    assert run.error is not None
    assert run.error.code == "write_unknown", run.error
    question = await ground.runtime.resumes.question(ADMIN, run.id)
    assert question.writes

    # They are equal, so it does not matter which of them have arrived.
    arrived = ground.host.writes["half"] - await _answered(ground, run)
    answers = {write.number: write.number <= arrived for write in question.writes}
    told = await ground.runtime.resumes.resume(ADMIN, run.id, sent=answers)
    resumed = await finished(ground.runtime, told.id)
    assert resumed.status == "succeeded", resumed.error
    assert ground.host.writes["half"] == 300


async def _answered(ground: ResumeGround, run: Run) -> int:
    """Writes that arrived and whose answers are on record."""
    container = ground.runtime._container  # pyright: ignore[reportPrivateUsage]
    attempt = await container.run_journals.open(run.id, await _request_of(ground, run), 9)
    return sum(one.answer is not None for one in attempt.earlier)


async def _request_of(ground: ResumeGround, run: Run) -> Any:
    from codewords_mcp.runtime.runs import background_request as works

    container = ground.runtime._container  # pyright: ignore[reportPrivateUsage]
    work = await container.database.read(works.load, run.id)
    assert work is not None
    return work.request


@pytest.mark.requirement("runs:resume-journal")
async def test_a_write_that_finds_no_room_for_its_record_does_not_go_out(tmp_path: Path) -> None:
    async with resume_ground(tmp_path, retries="{count = 0, resume = true}") as ground:
        database = ground.runtime._container.database  # pyright: ignore[reportPrivateUsage]
        # Room for what the record of the run needs, and for no long write.
        await database.write(_limit, 30)
        run = await ground.run([ground.write("fits")], [ground.write("no-room", more="NOISE")])
        await database.write(_limit, 1 << 20)

    assert (run.status, outcomes(run)) == ("failed", ["failed"])
    assert run.error is not None
    assert run.error.code == "storage_failed"
    assert run.error.message.startswith("A write was not sent, since it could not be put on record first.")
    assert "full" in run.error.message
    assert (ground.host.writes["fits"], ground.host.writes["no-room"]) == (1, 0)


def _limit(connection: Connection, pages: int) -> None:
    used = connection.execute(text("PRAGMA page_count")).scalar_one()
    connection.execute(text(f"PRAGMA max_page_count = {used + pages}"))


@pytest.mark.requirement("runs:resume-journal")
async def test_nothing_is_sent_for_a_run_whose_journal_is_damaged(ground: ResumeGround) -> None:
    home = ground.runtime.settings.home

    def fate(key: str) -> int:
        if key != "/damaged-gate":
            return 200
        with sqlite3.connect(home / "codewords.db", timeout=60) as database:
            database.execute("UPDATE recording_journal SET sealed = x'00' WHERE attempt = 1 AND number = 0")
        return 500

    ground.host.fate = fate
    run = await ground.run(
        [ground.write("damaged-0")], [ground.write("damaged-1")], [ground.read("damaged-gate")]
    )
    assert (run.status, outcomes(run)) == ("failed", ["failed"])
    assert run.error is not None
    assert run.error.code == "journal_damaged"
    assert [ground.host.writes[f"damaged-{n}"] for n in (0, 1)] == [1, 1]
    with pytest.raises(Conflict):
        await ground.runtime.resumes.resume(ADMIN, run.id, sent=True)


@pytest.mark.requirement("runs:resume-asks")
async def test_a_question_of_a_workflow_that_is_gone_stays_unanswered(ground: ResumeGround) -> None:
    service = await deployed(ground.runtime, resumable(title="Deleted"))
    ground.fails_once("of-deleted")
    run = await ground.run([ground.write("of-deleted")], service=service)
    await ground.runtime.workflows.delete(ADMIN, service, consent=ALLOWED)
    with pytest.raises(NotFound):
        await ground.runtime.resumes.resume(ADMIN, run.id, sent=False)
    assert len((await ground.runtime.resumes.question(ADMIN, run.id)).writes) == 1
    assert ground.host.writes["of-deleted"] == 1


@pytest.mark.requirement("runs:resume")
async def test_a_version_that_resumes_nothing_sends_nothing_again_that_one_before_has_sent(
    ground: ResumeGround,
) -> None:
    service = await deployed(ground.runtime, resumable(title="Changed"))
    newer = resumable("3", title="Changed")
    steps = [[ground.write("changed", n=1)], [ground.read("changed-gate")], [ground.write("after")]]
    waiting = True

    def fate(key: str) -> int:
        if key == "/changed-gate" and waiting:
            until(lambda: not waiting, "the newer version")
            return 500
        return 200

    ground.host.fate = fate
    run_id = await ground.start(*steps, service=service)
    await ground.runtime.workflows.deploy(ADMIN, code=newer, service_id=service, consent=ALLOWED)
    waiting = False
    run = await finished(ground.runtime, run_id)
    assert (run.status, outcomes(run), run.version) == ("succeeded", ["failed", "succeeded"], 2), run.error
    assert (ground.host.writes["changed"], ground.host.writes["after"]) == (1, 1)


@pytest.mark.requirement("runs:resume-journal")
def test_what_killed_attempts_have_sent_is_in_the_trace_and_the_recording(tmp_path: Path) -> None:
    with counting_host() as host:
        home = make_home(tmp_path / "home")
        env = {"CODEWORDS_EGRESS_ALLOW_PRIVATE": f'["127.0.0.1:{host.port}"]'}
        arrived: list[str] = []

        def fate(key: str) -> int:
            arrived.append(key)
            if key == "on-its-way":
                until(lambda: len(arrived) > 99, "the end of the test", 300)
            return 200

        host.fate = fate
        steps = [
            [["POST", f"{host.url}/write", {"key": "killed"}], ["GET", f"{host.url}/read", None]],
            [["POST", f"{host.url}/write", {"key": "on-its-way"}]],
        ]
        with start_runtime(home, **env) as runtime:
            service = runtime.deploy(resumable("{count = 0, resume = true}"), "killed")
            started = runtime.call("POST", f"/run_async/{service}/", {"steps": steps})
            until(lambda: "on-its-way" in arrived, "the write")
            runtime.kill()

        with start_runtime(home, **env) as runtime:
            run_id = started["request_id"]
            record = runtime.call("GET", f"/request/{run_id}")
            assert record["status"] == "interrupted"
            calls = until(lambda: _calls(runtime, run_id), "the trace")
            arrived += [""] * 100
            told = [(one["name"], one["status"]) for one in calls]
            # The first two were sent at once, so either may be the first.
            assert [*sorted(told[:2]), *told[2:]] == [
                (f"GET {host.url.removeprefix('http://')}/read", "ok"),
                (f"POST {host.url.removeprefix('http://')}/write", "ok"),
                (f"POST {host.url.removeprefix('http://')}/write", "error"),
            ]
            recording = runtime.call("GET", f"/recordings/{run_id}")
            assert [one["response"]["status"] for one in recording["exchanges"]] == [200, 200, 0]
            assert "its process was killed" in json.dumps(recording)
            with sqlite3.connect(f"file:{home / 'codewords.db'}?mode=ro", uri=True) as database:
                for table in ("recording_journal", "run_requests"):
                    assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def _calls(runtime: ServedRuntime, run_id: str) -> list[dict[str, Any]]:
    trace = runtime.call("GET", f"/runs/{run_id}/trace")
    return [span for span in trace["spans"] if span["kind"] == "request"]
