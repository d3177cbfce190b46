"""Recorded runs are replayed on drafts and versions, and nothing is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.recording.helpers import RecordingGround, calling, recording_ground
from tests.integration.runtime.helpers import deployed
from tests.support.runtime import ADMIN

from codewords_mcp.runtime.api.replays import ReplayRequest
from codewords_mcp.runtime.egress import HOST_ALIAS
from codewords_mcp.runtime.model.authoring import Edit
from codewords_mcp.runtime.model.replay import Replay, ReplayReport

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

TOOL = f'hosts = ["{HOST_ALIAS}"]'


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RecordingGround]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        async with recording_ground(tmp_path_factory.mktemp("replays"), monkeypatch) as opened:
            yield opened


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
