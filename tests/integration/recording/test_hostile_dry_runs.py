"""Dry runs of programs that try everything to write: nothing of it arrives anywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.integration.recording.helpers import RecordingGround, recording_ground
from tests.integration.recording.hostile_writes import (
    KINDS,
    Sink,
    attempt,
    attempts,
    home_changes,
    hostile_program,
    leaks,
    sinking,
)
from tests.integration.runtime.helpers import deployed

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def sink() -> AsyncIterator[Sink]:
    async with sinking() as listening:
        yield listening


@pytest.fixture(scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory, sink: Sink) -> AsyncIterator[RecordingGround]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        async with recording_ground(
            tmp_path_factory.mktemp("hostile"), monkeypatch, more_ports=[sink.port]
        ) as opened:
            yield opened


@pytest.mark.requirement("runs:dry-run")
async def test_nothing_of_any_attempt_arrives(ground: RecordingGround, sink: Sink) -> None:
    service = await deployed(ground.runtime, hostile_program())
    before = await home_changes(ground)
    ground.host.asked.clear()
    for kind, seed in attempts(len(KINDS)):
        await attempt(ground, service, sink, kind, seed)
        assert leaks(ground, sink) == [], (kind, seed)
    assert await home_changes(ground) == before


@pytest.mark.requirement("runs:dry-run")
async def test_the_same_attempts_arrive_in_an_ordinary_run(ground: RecordingGround, sink: Sink) -> None:
    # Else the test above would prove nothing.
    service = await deployed(ground.runtime, hostile_program())
    for kind in ("raw bytes", "methods", "bodies of reads", "overrides", "websocket"):
        ground.host.asked.clear()
        sink.received.clear()
        # Some methods and ports refuse by themselves what they get.
        for seed in range(6):
            await attempt(ground, service, sink, kind, seed, mode=None)
        assert leaks(ground, sink), kind
