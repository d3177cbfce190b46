"""Unmodified SDKs in recorded sandboxes: a replay gives each what its host gave, and nothing is sent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.recording.helpers import RecordingGround, recording_ground
from tests.integration.runtime.helpers import deployed
from tests.support.loopback_site import Answer, StandIn, serving
from tests.support.runtime import ADMIN, fetch
from tests.support.waiting import until_async

from codewords_mcp.runtime.api.testing import TestRequest
from codewords_mcp.runtime.egress import HOST_ALIAS
from codewords_mcp.runtime.model.replay import Replay, ReplayRequest
from codewords_testing.providers import LoopbackProviders, loopback_providers

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(900)]

HTTP = ["requests", "httpx", "httpx2", "aiohttp", "urllib3", "urllib", "botocore", "threads"]
MODELS = ["openai", "anthropic", "gemini"]
RETRYING = [
    "openai again",
    "anthropic again",
    "gemini again",
    "requests again",
    "aiohttp again",
    "httpx once",
]
PAGE = b"<html><head><title>Harbour</title></head><body><main><h1>Harbour</h1><p>It opens at six in the morning.</p></main></body></html>"


@dataclass
class Sdks:
    """The deployed workflow, and all that it asks."""

    ground: RecordingGround
    service: str
    providers: LoopbackProviders
    site: StandIn

    @property
    def asked(self) -> tuple[int, int, int]:
        """Requests that came to the host, to the providers and to the page."""
        return len(self.ground.host.asked), len(self.providers.requests), len(self.site.asked)

    async def recorded(self, *names: str) -> tuple[dict[str, Any], str]:
        """(what the clients of these names got, the id of the recorded run)."""
        data = {"ask": names, "url": self.ground.url, "page": self.site.url}
        status, body, run_id = await fetch(self.ground.runtime, self.service, data)
        assert status == 200, body
        await self.ground.recording(run_id)
        found = json.loads(body)
        assert [text for text in found.values() if str(text).startswith("failed")] == []
        return found, run_id

    async def replayed(self, run_id: str) -> Replay:
        """The replay of a run on its own version. Fails if anybody is asked."""
        before = self.asked
        replay = await self.ground.runtime.replays.replay(ADMIN, ReplayRequest(self.service, runs=[run_id]))
        assert replay.report is not None
        assert (self.asked, replay.report.bytes_sent) == (before, 0)
        return replay


@pytest.fixture(scope="module")
def providers() -> Iterator[LoopbackProviders]:
    with loopback_providers() as running:
        yield running


@pytest.fixture(scope="module")
def site() -> Iterator[StandIn]:
    for stand_in in serving(StandIn()):
        stand_in.answer = lambda _: Answer(200, PAGE, {"Content-Type": "text/html"})
        yield stand_in


@pytest.fixture(scope="module")
async def sdks(
    tmp_path_factory: pytest.TempPathFactory, providers: LoopbackProviders, site: StandIn
) -> AsyncIterator[Sdks]:
    port = int(site.url.rpartition(":")[2])
    settings: dict[str, Any] = {
        "openai_base_url": f"{providers.url}/v1",
        "anthropic_base_url": providers.url,
        "gemini_base_url": providers.url,
    }
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
            monkeypatch.setenv(name, "sk-of-the-tests-000000")
        folder = tmp_path_factory.mktemp("sdks")
        async with recording_ground(folder, monkeypatch, own_ports=[port], **settings) as ground:
            code = Path(__file__).with_name("sdk_workflow.py").read_text(encoding="utf-8")
            service = await deployed(ground.runtime, code)
            yield Sdks(ground, service, providers, site)


@pytest.mark.requirement("replay:sdks")
async def test_http_clients_get_in_a_replay_what_their_host_answered(sdks: Sdks) -> None:
    found, run_id = await sdks.recorded(*HTTP)
    assert list(found) == HTTP
    recording = await sdks.ground.recording(run_id)
    assert recording.obstacles == []
    assert len(recording.exchanges) == 33
    assert all(one.replayable for one in recording.exchanges)
    replay = await sdks.replayed(run_id)
    assert replay.report is not None
    assert replay.report.verdict == "same", replay.text


@pytest.mark.requirement("replay:sdks")
async def test_models_sdks_get_their_answers_and_streams_again(sdks: Sdks) -> None:
    found, run_id = await sdks.recorded(*MODELS, "firecrawl")
    for name in MODELS:
        whole, pieces = found[name]
        assert whole
        assert len(pieces) > 1, name
    assert "six in the morning" in str(found["firecrawl"])
    replay = await sdks.replayed(run_id)
    assert replay.report is not None
    assert replay.report.verdict == "same", replay.text


@pytest.mark.requirement("testing:faults", "replay:sdks")
async def test_under_faults_each_sdks_own_retries_are_counted_and_a_crash_has_its_step_and_line(
    sdks: Sdks,
) -> None:
    _, run_id = await sdks.recorded(*RETRYING)
    runtime = sdks.ground.runtime
    await runtime.tests.add(ADMIN, run_id)
    before = sdks.asked
    request = TestRequest(sdks.service, faults=True, seed=3, seconds=600)
    (faulted,) = (await runtime.tests.run(ADMIN, request)).faulted
    assert (sdks.asked, faulted.problem, faulted.untried) == (before, "", 0)
    code = (await runtime.workflows.get(ADMIN, sdks.service, include_code=True)).code or ""
    lines = code.split("\n")
    places = {
        "429": (lines.index("    reply.raise_for_status()") + 1, "HTTPStatusError"),
        "500": (lines.index("    reply.raise_for_status()") + 1, "HTTPStatusError"),
        "timeout": (
            lines.index('    reply = httpx.get(f"{url}/by-httpx", timeout=SECONDS)') + 1,
            "ReadTimeout",
        ),
    }
    found = {kind: {one.where: one for one in faulted.faults if one.kind == kind} for kind in places}
    for kind, (line, exception) in places.items():
        assert len(found[kind]) == len(RETRYING), found[kind]
        for where, one in found[kind].items():
            if where.endswith("/by-httpx"):
                assert (one.outcome, one.retries, one.status) == ("crashed", 0, 500), one
                assert one.at == f"step httpx once, line {line}: {exception}", one
            else:
                assert (one.outcome, one.retries, one.at, one.new_writes) == ("handled", 1, "", []), one


FORKED = """
import gc
CLIENTS["forked"] = lambda *_: gc.get_freeze_count() > 0
if __name__"""


@pytest.mark.requirement("rules:clients")
async def test_clients_trust_the_authority_of_their_own_sandbox_in_a_fork_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sdks: Sdks
) -> None:
    code = Path(__file__).with_name("sdk_workflow.py").read_text(encoding="utf-8")
    code = code.replace('"PORT=8000"', '"PORT=8000", "HOST_KEY"').replace("\nif __name__", FORKED)
    async with recording_ground(tmp_path, monkeypatch, record="off") as ground:
        pair = f"{HOST_ALIAS}:{ground.host.port}"
        await ground.runtime.secrets.set(ADMIN, "HOST_KEY", "value-of-the-host", hosts=[pair])
        service = await deployed(ground.runtime, code)

        async def ask() -> dict[str, Any]:
            data = {"ask": [*HTTP, "forked"], "url": ground.url, "page": ""}
            status, body, _ = await fetch(ground.runtime, service, data)
            assert status == 200, body
            found: dict[str, Any] = json.loads(body)
            assert [text for text in found.values() if str(text).startswith("failed")] == []
            return found

        async def forked() -> bool:
            return (await ask())["forked"] is True

        await until_async(forked)


@pytest.mark.requirement("replay:sdks")
async def test_what_a_websocket_said_is_not_on_record_and_the_verdict_says_so(sdks: Sdks) -> None:
    found, run_id = await sdks.recorded("websockets")
    assert found["websockets"] == ["heard hello"] * 2
    recording = await sdks.ground.recording(run_id)
    assert recording.connections == ()
    assert [(one.status, one.body) for one in recording.exchanges] == [(101, b"")] * 2
    assert all(one.size > len("heard hello") for one in recording.exchanges)
    trace = await sdks.ground.runtime.traces.get(ADMIN, run_id)
    handshakes = [span for span in trace.spans if span.http_status == 101]
    assert [span.name for span in handshakes] == [f"GET {HOST_ALIAS}:{sdks.ground.host.port}/talk"] * 2
    replay = await sdks.replayed(run_id)
    assert replay.report is not None
    assert replay.report.verdict == "cannot tell", replay.text
