"""Host rules hold on E2B: values stay on the runtime's side of the connection."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.e2b import loopback
from tests.integration.secrets.test_workflows import CALLER, HOST, NAME, VALUE, files_with, stage
from tests.workshop import ADMIN, deploy, fetch, finished

from codewords_mcp.settings import Settings
from codewords_mcp.testing.e2b import LoopbackE2B

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.mark.requirement("rules:e2b")
async def test_no_value_is_sent_into_a_machine_and_its_host_gets_it_all_the_same(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    e2b: LoopbackE2B,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    kept = {name for name in Settings.model_fields if name.startswith("e2b_")} | {"sandbox"}
    settings = loopback.settings_for(e2b, tmp_path / "unused").model_dump(include=kept)
    async with stage(tmp_path, monkeypatch, **settings) as (runtime, host, pair):
        await runtime.set_secret(ADMIN, NAME, VALUE, hosts=[pair])
        service = await deploy(runtime, CALLER)
        status, body, run_id = await fetch(runtime, service, {"url": f"https://{pair}/v1/charges"})
        run = await finished(runtime, run_id)
        found = [
            file
            for folder in tmp_path_factory.getbasetemp().glob("e2b*")
            for file in files_with(folder, VALUE)
        ]
    assert status == 200, body
    assert host.asked[0]["headers"]["authorization"] == f"Bearer {VALUE}"
    assert VALUE not in body.decode()
    assert found == []
    assert run.usage is not None
    assert run.usage["egress"]["secrets"] == [{"name": NAME, "host": HOST, "count": 1}]
