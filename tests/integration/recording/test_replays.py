"""Recorded runs are replayed on drafts and versions, and nothing is sent."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from tests.integration.recording.helpers import RecordingGround, calling
from tests.integration.runtime.helpers import deployed
from tests.support.runtime import ADMIN
from tests.support.waiting import until_async

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.runtime.egress import HOST_ALIAS
from codewords_mcp.runtime.model.authoring import Edit
from codewords_mcp.runtime.model.replay import Replay, ReplayReport, ReplayRequest
from codewords_mcp.runtime.store import local_file

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

TOOL = f'hosts = ["{HOST_ALIAS}"]'


async def recorded(ground: RecordingGround, title: str, *calls: list[Any]) -> tuple[str, str]:
    """(service id, run id) of a workflow with one recorded run."""
    service = await deployed(ground.runtime, calling(TOOL, title=title))
    status, answer, run_id = await ground.run(service, *calls)
    assert status == 200, answer
    await ground.recording(run_id)
    return service, run_id


async def draft_of(ground: RecordingGround, service: str, old: str, new: str) -> str:
    edited = await ground.runtime.drafts.edit(ADMIN, service, edits=[Edit(old=old, new=new)])
    return edited.draft.draft_id


def report_of(replay: Replay) -> ReplayReport:
    assert replay.report is not None
    return replay.report


@pytest.mark.requirement("replay:runs")
async def test_a_recorded_run_is_the_same_on_its_own_version_and_nothing_is_sent(
    ground: RecordingGround,
) -> None:
    calls: tuple[list[Any], ...] = (
        ["GET", f"{ground.url}/read", None],
        ["POST", f"{ground.url}/write", {"amount": 3}],
    )
    service, run_id = await recorded(ground, "Replayed", *calls)
    before = len(ground.host.asked)
    replay = await ground.runtime.replays.replay(ADMIN, ReplayRequest(service))
    report = report_of(replay)
    assert (replay.status, replay.of, report.verdict) == ("done", "version 1", "same"), replay.text
    assert [run.run_id for run in report.runs] == [run_id]
    assert len(ground.host.asked) == before
    assert await ground.runtime.replays.get(ADMIN, replay.id) == replay


@pytest.mark.requirement("replay:runs")
async def test_a_draft_is_told_what_it_would_do_otherwise(ground: RecordingGround) -> None:
    service, _ = await recorded(ground, "Changed", ["GET", f"{ground.url}/read", None])
    before = len(ground.host.asked)
    draft = await draft_of(ground, service, "reply.text[:200]", "reply.text[:2]")
    replay = await ground.runtime.replays.replay(ADMIN, ReplayRequest(service, draft=draft))
    assert report_of(replay).verdict == "changed", replay.text
    assert replay.of == f"{draft} revision 1"
    assert len(ground.host.asked) == before


_RETURN = '    return {"replies": replies}'


@pytest.mark.requirement("replay:nothing-sent")
async def test_whatever_a_draft_does_leaves_no_trace_outside(ground: RecordingGround) -> None:
    echo = await deployed(ground.runtime, calling("", title="Child"))
    service, _ = await recorded(ground, "Tries", ["GET", f"{ground.url}/read", None])
    host, port = HOST_ALIAS, ground.host.port
    new = f"""
    import asyncio, socket
    async with httpx.AsyncClient(timeout=30) as client:
        await client.post("{ground.url}/refunds", json={{"amount": 1}})
        await client.get("{ground.url}/other")
        key = {{"Authorization": os.environ["CODEWORDS_API_KEY"]}}
        await client.post(os.environ["CODEWORDS_RUNTIME_URI"] + "/run/{echo}/", json={{"calls": []}}, headers=key)
    def raw():
        try:
            with socket.create_connection(("{host}", {port}), timeout=5) as connection:
                connection.sendall(b"EHLO nobody\\r\\n")
                return connection.recv(100)
        except OSError:
            return b""
    assert not await asyncio.to_thread(raw)
{_RETURN}"""
    draft = await draft_of(ground, service, _RETURN, new)
    before = len(ground.host.asked)
    replay = await ground.runtime.replays.replay(ADMIN, ReplayRequest(draft=draft))
    report = report_of(replay)
    assert report.verdict == "changed", replay.text
    assert f"would POST {host}:{port}/refunds" in replay.text
    assert (report.bytes_sent, report.cost) == (0, 0.0)
    assert len(ground.host.asked) == before
    assert (await ground.runtime.runs.list(ADMIN, service_id=echo)).items == []


@pytest.mark.requirement("replay:nothing-sent")
async def test_a_child_run_that_is_on_record_is_answered_for_and_not_started(ground: RecordingGround) -> None:
    child = await deployed(ground.runtime, calling("", title="Answering child"))
    service, run_id = await recorded(ground, "Parent", ["POST", f"/run/{child}/", {"calls": []}])
    (started,) = (await ground.runtime.runs.list(ADMIN, service_id=child)).items
    replay = await ground.runtime.replays.replay(ADMIN, ReplayRequest(service, runs=[run_id]))
    assert report_of(replay).verdict == "same", replay.text
    assert [run.id for run in (await ground.runtime.runs.list(ADMIN, service_id=child)).items] == [started.id]


@pytest.mark.requirement("replay:apart")
async def test_replays_stand_in_no_list_and_no_sum(ground: RecordingGround) -> None:
    service, run_id = await recorded(ground, "Apart", ["GET", f"{ground.url}/read", None])
    await ground.runtime.replays.replay(ADMIN, ReplayRequest(service, runs=[run_id]))
    listed = (await ground.runtime.runs.list(ADMIN, service_id=service)).items
    assert [run.id for run in listed] == [run_id]
    replays = (await ground.runtime.runs.list(ADMIN, service_id=service, mode="replay")).items
    assert {(run.mode, run.mode_of, run.status) for run in replays} == {("replay", run_id, "succeeded")}
    sums = {one.of: one.runs for one in await ground.runtime.runs.usage(ADMIN)}
    assert sums[service] == 1
    assert [info.run_id for info in await ground.runtime.recordings.list(ADMIN, service)] == [run_id]


@pytest.mark.requirement("replay:bad")
async def test_what_cannot_be_replayed_is_named_beside_the_rest(ground: RecordingGround) -> None:
    service, good = await recorded(ground, "Mixed", ["GET", f"{ground.url}/read", None])
    _, _, damaged = await ground.run(service, ["GET", f"{ground.url}/read", None])
    document = await ground.runtime.recordings.export(ADMIN, good)
    await ground.recording(damaged)
    imported = await ground.runtime.recordings.bring(
        ADMIN, json.dumps({**document, "run_id": "of-another-home", "version": 7}).encode(), service
    )
    _spoil(ground, damaged)
    replay = await ground.runtime.replays.replay(ADMIN, ReplayRequest(service))
    verdicts = {run.run_id: (run.verdict, run.obstacles) for run in report_of(replay).runs}
    assert verdicts[good] == ("same", [])
    assert verdicts[damaged] == ("cannot tell", ["its recording is damaged, or was removed"])
    assert verdicts[imported.run_id][0] == "same"

    hanging = await draft_of(
        ground, service, _RETURN, f"    import asyncio\n    await asyncio.sleep(600)\n{_RETURN}"
    )
    soon = ReplayRequest(service, draft=hanging, runs=[good], seconds=3.0)
    replay = await ground.runtime.replays.replay(ADMIN, soon)
    assert [run.verdict for run in report_of(replay).runs] == ["cannot tell"]
    assert "within the time" in replay.text

    task = asyncio.create_task(
        ground.runtime.replays.replay(ADMIN, ReplayRequest(service, draft=hanging, runs=[good]))
    )
    await until_async(lambda: _active_replay(ground, service))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    ended = (await ground.runtime.runs.list(ADMIN, service_id=service, mode="replay")).items
    assert ended[0].status == "cancelled"

    with pytest.raises(NotFound, match="no recording of 1 of these"):
        await ground.runtime.replays.replay(ADMIN, ReplayRequest(service, runs=["unknown"]))


async def _active_replay(ground: RecordingGround, service: str) -> bool:
    found = (await ground.runtime.runs.list(ADMIN, service_id=service, mode="replay", limit=1)).items
    return bool(found) and found[0].status == "running" and found[0].version == 0


def _spoil(ground: RecordingGround, run_id: str) -> None:
    with closing(sqlite3.connect(ground.runtime.settings.home / local_file.NAME)) as connection, connection:
        connection.execute("UPDATE recordings SET sealed = x'00' WHERE run_id = ?", (run_id,))


@pytest.mark.requirement("replay:bad")
async def test_a_draft_that_does_not_start_is_worse(ground: RecordingGround) -> None:
    service, _ = await recorded(ground, "Dead", ["GET", f"{ground.url}/read", None])
    draft = await draft_of(
        ground,
        service,
        "import httpx, json as texts, os",
        "import httpx, json as texts, os, sys\nsys.exit(3)",
    )
    replay = await ground.runtime.replays.replay(ADMIN, ReplayRequest(service, draft=draft))
    assert report_of(replay).verdict == "worse", replay.text


@pytest.mark.requirement("replay:secrets")
async def test_a_replayed_program_gets_no_value_of_a_secret_and_its_requests_match(
    ground: RecordingGround,
) -> None:
    await ground.runtime.secrets.set(ADMIN, "PLAIN_TOKEN", "value-of-a-plain-secret")
    await ground.runtime.secrets.set(ADMIN, "HOOK_URL", f"{ground.url}/hook")
    tool = f'hosts = ["{HOST_ALIAS}"]'
    code = calling(tool, title="With secrets", env=("PLAIN_TOKEN", "HOOK_URL"))
    more = """
    async with httpx.AsyncClient(timeout=30) as client:
        await client.post(os.environ["HOOK_URL"], json={"token": os.environ["PLAIN_TOKEN"]})
        await client.get(os.environ["HOOK_URL"] + "/status", params={"token": os.environ["PLAIN_TOKEN"]})
    print("given:", os.environ["PLAIN_TOKEN"], os.environ["HOOK_URL"])
"""
    service = await deployed(ground.runtime, code.replace(_RETURN, more + _RETURN))
    status, answer, run_id = await ground.run(service)
    assert status == 200, answer
    await ground.recording(run_id)
    before = len(ground.host.asked)
    replay = await ground.runtime.replays.replay(ADMIN, ReplayRequest(service))
    assert report_of(replay).verdict == "same", replay.text
    assert len(ground.host.asked) == before

    found = (await ground.runtime.runs.list(ADMIN, service_id=service, mode="replay")).items
    lines = [line.message for line in await ground.runtime.logs.tail(ADMIN, found[0].id, limit=50)]
    assert "given: [secret PLAIN_TOKEN] [secret HOOK_URL]" in lines


@pytest.mark.requirement("replay:bad")
@pytest.mark.parametrize("table", ["recordings", "recorded_bodies"])
async def test_a_recording_of_which_one_byte_is_another_is_named_and_not_replayed(
    ground: RecordingGround, table: str
) -> None:
    # A body of its own row: longer than is kept within the recording, and like no other.
    service, run_id = await recorded(
        ground, f"Flipped {table}", ["POST", f"{ground.url}/write", {table: "x" * 9000}]
    )
    with closing(sqlite3.connect(ground.runtime.settings.home / local_file.NAME)) as connection, connection:
        rows = connection.execute(f"SELECT rowid, sealed FROM {table}").fetchall()
        row, sealed = rows[-1]
        flipped = sealed[:-40] + bytes([sealed[-40] ^ 1]) + sealed[-39:]
        connection.execute(f"UPDATE {table} SET sealed = ? WHERE rowid = ?", (flipped, row))
    replay = await ground.runtime.replays.replay(ADMIN, ReplayRequest(service, runs=[run_id]))
    (run,) = report_of(replay).runs
    assert (run.verdict, run.obstacles) == ("cannot tell", ["its recording is damaged, or was removed"])


@pytest.mark.requirement("replay:bad")
async def test_a_thousand_equal_requests_at_once_are_answered_each_from_the_recording(
    ground: RecordingGround,
) -> None:
    body = """
    import asyncio
    places = asyncio.Semaphore(20)
    async with httpx.AsyncClient(timeout=None) as client:
        async def one():
            # A pool of httpx looks through all that wait for a connection at each answer.
            async with places:
                return await client.get("URL/count")
        found = await asyncio.gather(*(one() for _ in range(1000)))
        replies = sorted(one.json()["query"] + str(one.status_code) for one in found)
    return {"replies": len(replies), "alike": len(set(replies))}
""".replace("URL", ground.url)
    code = calling(TOOL, title="A thousand").replace(_RETURN, body)
    service = await deployed(ground.runtime, code)
    status, answer, run_id = await ground.run(service)
    assert (status, answer["replies"]) == (200, 1000), answer
    assert len((await ground.recording(run_id)).exchanges) == 1000
    before = len(ground.host.asked)
    patient = ReplayRequest(service, runs=[run_id], seconds=600)
    replay = await ground.runtime.replays.replay(ADMIN, patient)
    assert report_of(replay).verdict == "same", replay.text
    assert len(ground.host.asked) == before


@pytest.mark.requirement("replay:failed-starts")
async def test_a_run_that_ended_before_its_program_read_it_is_replayed_with_its_own_input(
    ground: RecordingGround,
) -> None:
    service = await deployed(ground.runtime, calling(TOOL, title="Starts"))
    # As a release before stored it: no sandbox is made for such a list.
    with closing(sqlite3.connect(ground.runtime.settings.home / local_file.NAME)) as connection, connection:
        query = "UPDATE versions SET manifest = json_set(manifest, '$.hosts', json(?)) WHERE workflow_id = ?"
        changed = connection.execute(query, ('["db.lan:5432"]', service))
        assert changed.rowcount == 1
    ground.runtime._container.catalog.forget(service)  # pyright: ignore[reportPrivateUsage]  # as a start does
    with pytest.raises(InvalidInput, match="a port") as failed:
        await ground.run(service)
    run_id = failed.value.run_id
    assert run_id is not None

    recording = await ground.recording(run_id)
    assert json.loads(recording.request.body or b"") == {"calls": []}
    run = await ground.runtime.runs.get(ADMIN, run_id)
    assert run.input is not None
    assert json.loads(run.input.content or "") == {"calls": []}

    draft = await draft_of(ground, service, "timeout=30", "timeout=29")
    replay = await ground.runtime.replays.replay(ADMIN, ReplayRequest(service, draft=draft, runs=[run_id]))
    [replayed] = report_of(replay).runs
    assert [one.after for one in replayed.differences if one.subject == "status"] == ["200"], replay.text
