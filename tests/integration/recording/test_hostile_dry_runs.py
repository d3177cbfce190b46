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
    sinking,
)
from tests.integration.runtime.helpers import deployed
from tests.integration.secrets.tls_host import Ca

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Ca:
    return Ca(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
async def sink(ca: Ca) -> AsyncIterator[Sink]:
    async with sinking(ca) as listening:
        yield listening


@pytest.fixture(scope="module")
async def ground(
    tmp_path_factory: pytest.TempPathFactory, sink: Sink, ca: Ca
) -> AsyncIterator[RecordingGround]:
    ports = [sink.port, sink.tls_port]
    with pytest.MonkeyPatch.context() as monkeypatch:
        async with recording_ground(
            tmp_path_factory.mktemp("hostile"), monkeypatch, more_ports=ports, ca=ca
        ) as opened:
            yield opened


@pytest.mark.requirement("runs:dry-run")
async def test_nothing_of_any_attempt_arrives(ground: RecordingGround, sink: Sink) -> None:
    service = await deployed(ground.runtime, hostile_program())
    before = await home_changes(ground)
    for kind, seed in attempts(len(KINDS)):
        await attempt(ground, service, sink, kind, seed)
        assert sink.leaks() == [], (kind, seed)
    assert sink.connections, "what reads goes out"
    assert await home_changes(ground) == before


@pytest.mark.requirement("runs:dry-run")
async def test_the_same_attempts_arrive_in_an_ordinary_run(ground: RecordingGround, sink: Sink) -> None:
    # Else the test above would prove nothing.
    service = await deployed(ground.runtime, hostile_program())
    for kind in ("raw bytes", "methods", "bodies of reads", "overrides", "websocket"):
        sink.clear()
        # Some methods and ports refuse by themselves what they get.
        for seed in range(6):
            await attempt(ground, service, sink, kind, seed, mode=None)
        assert sink.leaks(), kind
