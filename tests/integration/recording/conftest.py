"""The runtime that the tests of a module share, with the host that its workflows reach."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.integration.recording.helpers import RecordingGround, recording_ground


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RecordingGround]:
    """The ground of a module; one that needs another overrides this."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        async with recording_ground(tmp_path_factory.mktemp("recording"), monkeypatch) as opened:
            yield opened
