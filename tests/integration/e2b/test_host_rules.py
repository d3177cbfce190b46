"""Host rules hold on E2B: values stay on the runtime's side of the connection."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.integration.e2b import loopback
from tests.integration.secrets.helpers import (
    HOST,
    NAME,
    PLAIN,
    SPY,
    VALUE,
    files_with,
    forms,
    looked_for,
    stage,
)
from tests.integration.secrets.process_memory import holds, processes
from tests.support.runtime import ADMIN, deploy, fetch, finished, log_text

from codewords_mcp.settings import Settings
from codewords_testing.e2b import LoopbackE2B

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
        await runtime.secrets.set(ADMIN, NAME, VALUE, hosts=[pair])
        await runtime.secrets.set(ADMIN, "PLAIN_KEY", PLAIN)
        service = await deploy(runtime, SPY)
        asked = {"url": f"https://{pair}"} | looked_for(VALUE) | looked_for(PLAIN, "plain")
        status, body, run_id = await fetch(runtime, service, asked)
        run = await finished(runtime, run_id)
        _, failed, failed_id = await fetch(runtime, service, {}, path="/raise")
        await finished(runtime, failed_id)
        logs = await log_text(runtime, run_id) + await log_text(runtime, failed_id)
        machines = processes("codewords_mcp.agent")
        assert machines
        assert [pid for pid in machines if holds(pid, VALUE.encode())] == []
        found = [
            file
            for folder in tmp_path_factory.getbasetemp().glob("e2b*")
            for file in files_with(folder, VALUE)
        ]
    assert status == 200, body
    answer = json.loads(body)
    assert host.asked[0]["headers"]["authorization"] == f"Bearer {VALUE}"
    assert (answer["memory"], answer["plain"], answer["body"][0]) == ([], True, 403)
    shown = body + failed + logs.encode() + run.model_dump_json().encode()
    assert not any(form in shown for value in (VALUE, PLAIN) for form in forms(value))
    assert found == []
    assert run.usage is not None
    assert run.usage["egress"]["secrets"] == [{"name": NAME, "host": HOST, "count": 2}]
