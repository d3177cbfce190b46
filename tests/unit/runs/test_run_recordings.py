"""Recordings of attempts: what is stored of them, and that none is worth a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection
from structlog.testing import capture_logs
from tests.support.databases import open_database
from tests.support.runtime import ECHO
from typing_extensions import override

from codewords_mcp.errors import NotFound, StorageFailed
from codewords_mcp.runtime.auth.authority import Permissions
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.recording.exchanges import RecordedRequest, Recording, RunMessage
from codewords_mcp.runtime.recording.recorder import LiveRecorder, OpenExchange
from codewords_mcp.runtime.recording.recording_session import RecorderRegistry
from codewords_mcp.runtime.runs.catalog import Servable
from codewords_mcp.runtime.runs.input import RequestReader
from codewords_mcp.runtime.runs.launcher import LaunchConfig
from codewords_mcp.runtime.runs.recording_store import RecordingService
from codewords_mcp.runtime.runs.run_plan import RunPlan
from codewords_mcp.runtime.runs.run_recordings import AttemptRecording, RecordedRun, RunRecordings
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.secrets.master_key import load_master_key
from codewords_mcp.runtime.secrets.scrub import Scrubber
from codewords_mcp.runtime.secrets.sealing import Sealer
from codewords_mcp.runtime.secrets.vault import Vault
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.tables import workflows
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.settings import Settings

pytestmark = pytest.mark.anyio
OWNER, SERVICE, RUN = "ann", "echo_1", "run_1"
ANSWER = RunMessage(status=200, body=b"{}")


class DamagedReader(RequestReader):
    """The reader of a request whose body cannot be had: no recording can be made of its run."""

    @property
    @override
    def body(self) -> bytes | None:
        raise OSError("damaged")


@dataclass
class Home:
    """The stored recordings of a new home, and what stores them."""

    database: Database
    service: RecordingService
    recordings: RunRecordings

    async def load(self) -> Recording:
        """The recording of the run, once all that was written is stored."""
        await self.database.drained()
        return await self.service.load(OWNER, RUN)


@pytest.fixture
def home(tmp_path: Path) -> Generator[Home]:
    database = open_database(tmp_path)
    # A workflow that is gone has no recordings.
    row: dict[str, object] = {
        "id": SERVICE,
        "owner": OWNER,
        "name": "Echo",
        "description": "",
        "public": False,
    }
    row |= {"created_at": 1, "updated_at": 1, "active_version": 1}
    database.write_blocking(partial(_insert, row=row))
    settings = Settings(home=tmp_path)
    service = RecordingService(database, Sealer(Vault(load_master_key(None, tmp_path))), settings)
    yield Home(database, service, RunRecordings(service, RecorderRegistry(), settings, {}))
    database.close()


def _insert(connection: Connection, row: dict[str, object]) -> None:
    connection.execute(workflows.insert(), row)


async def nothing() -> AsyncIterator[bytes]:
    """An empty body."""
    yield b""


def servable() -> Servable:
    environment = EnvironmentRef(Path("/env"), Path("/python"), "3.11")
    permissions = Permissions.of(SERVICE, OWNER, Manifest())
    return Servable(SERVICE, OWNER, False, 1, parse_script(ECHO), ECHO, environment, permissions)


def begun(home: Home, *, damaged: bool, plan: RunPlan | None = None) -> AttemptRecording:
    """The recording of an attempt that has sent one request."""
    request = RunRequest(SERVICE, "POST", "/", b"", [], nothing(), Caller(OWNER, "user"))
    config = LaunchConfig(servable(), {}, "key")
    reader = DamagedReader(request) if damaged else RequestReader(request)
    run = RecordedRun(RUN, request, config, 1, reader, plan)
    attempt = home.recordings.begin(run, Scrubber({}))
    assert attempt is not None

    sent = RecordedRequest("egress", "GET", "https://api.example/", [], b"", False)
    exchange = OpenExchange(sent)
    attempt.log.add(sent, exchange)
    exchange.end(whole=True)
    return attempt


@pytest.mark.requirement("recording:every-run")
async def test_a_recording_is_stored_with_the_end_of_its_run(home: Home) -> None:
    await home.recordings.store(begun(home, damaged=False), ANSWER, "succeeded", "")
    found = await home.load()
    assert (found.status, found.response.status, len(found.exchanges)) == ("succeeded", 200, 1)


@pytest.mark.requirement("recording:worth-no-run")
async def test_a_recording_that_cannot_be_made_is_logged_and_raises_nothing(home: Home) -> None:
    with capture_logs() as logs:
        await home.recordings.store(begun(home, damaged=True), ANSWER, "succeeded", "")
    assert [(line["event"], line["run_id"]) for line in logs] == [("recording not stored", RUN)]
    with pytest.raises(NotFound):
        await home.load()


@pytest.mark.requirement("recording:worth-no-run")
async def test_a_replay_is_told_that_its_recording_cannot_be_made(home: Home) -> None:
    plan = RunPlan(servable(), LiveRecorder())
    await home.recordings.store(begun(home, damaged=True, plan=plan), ANSWER, "succeeded", "")
    with pytest.raises(StorageFailed):
        await plan.recorded
