"""A call of run_workflow that is cancelled while its run is being recorded leaves no run that goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.mcp_clients import serving
from tests.support.runtime import ADMIN, ALLOWED, fetch, make_home, open_runtime, workflow
from tests.support.waiting import until_async

from codewords_mcp.runtime.api.runs import RunApi
from codewords_mcp.runtime.model.run import FINISHED, RunRequest
from codewords_mcp.runtime.store import workflows
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("mcp:cancellation")]
SLOW = workflow(
    '@app.post("/")\nasync def slow():\n    import asyncio\n    await asyncio.sleep(600)\n', title="Slow"
)
CALLS = 4


@pytest.mark.parametrize("published", [False, True])
async def test_a_run_whose_call_was_cancelled_while_it_was_recorded_is_cancelled_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, published: bool
) -> None:
    home = make_home(tmp_path / "home")
    async with open_runtime(home) as runtime:
        live = await runtime.workflows.deploy(ADMIN, code=SLOW, consent=ALLOWED)
        tool, arguments = "run_workflow", {"workflow_id": live.service_id}
        if published:
            made = await runtime.published.add(ADMIN, live.service_id, tool="slowly")
            tool, arguments = made.tool, {}
        recording, cancelled = asyncio.Semaphore(0), asyncio.Event()
        start = RunApi.start

        async def held(self: Any, request: RunRequest) -> str:
            recording.release()
            await cancelled.wait()  # the call is cancelled now, and the run is recorded all the same
            return await start(self, request)

        monkeypatch.setattr(RunApi, "start", held)
        async with serving(runtime, Settings.model_construct(home=home), {"admin": ADMIN}) as address:
            headers = {"Authorization": "Bearer admin", "Accept": "application/json, text/event-stream"}
            async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
                begun = await http.post(address, json=_initialize())
                http.headers["mcp-session-id"] = begun.headers["mcp-session-id"]
                await http.post(address, json={"jsonrpc": "2.0", "method": "notifications/initialized"})
                calls = [
                    asyncio.create_task(http.post(address, json=_call(number, tool, arguments)))
                    for number in range(CALLS)
                ]
                for _ in calls:
                    await recording.acquire()
                for number in range(CALLS):
                    await http.post(address, json=_cancelled(number))
                cancelled.set()
                await asyncio.gather(*calls)

                async def all_over() -> bool:
                    runs = (await runtime.runs.list(ADMIN)).items
                    return len(runs) == CALLS and all(run.status in FINISHED for run in runs)

                await until_async(all_over)
        runs = (await runtime.runs.list(ADMIN)).items
        assert {run.status for run in runs} == {"cancelled"}


async def test_a_deploy_that_was_cancelled_while_it_was_stored_serves_what_is_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = workflow('@app.post("/")\nasync def say():\n    return 1\n', title="Numbers")
    second = first.replace("return 1", "return 2")
    async with open_runtime(make_home(tmp_path / "home")) as runtime:
        live = await runtime.workflows.deploy(ADMIN, code=first, consent=ALLOWED)
        assert (await fetch(runtime, live.service_id))[1] == b"1"
        storing, goes_on = asyncio.Event(), asyncio.Event()
        add, loop = workflows.add_version, asyncio.get_running_loop()

        def held(connection: Any, version: Any) -> None:
            loop.call_soon_threadsafe(storing.set)
            asyncio.run_coroutine_threadsafe(goes_on.wait(), loop).result(120)
            add(connection, version)

        monkeypatch.setattr(workflows, "add_version", held)
        deploying = asyncio.create_task(
            runtime.workflows.deploy(ADMIN, code=second, service_id=live.service_id, consent=ALLOWED)
        )
        await storing.wait()
        deploying.cancel()
        await asyncio.sleep(0)
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await deploying
        container = runtime._container  # pyright: ignore[reportPrivateUsage]
        await container.database.write(lambda _connection: None)  # writes are made in their order
        found = await runtime.workflows.get(ADMIN, live.service_id)
        assert found.version == 2
        assert (await fetch(runtime, live.service_id))[1] == b"2"


def _initialize() -> dict[str, Any]:
    params = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "x", "version": "1"},
    }
    return {"jsonrpc": "2.0", "id": "begin", "method": "initialize", "params": params}


def _call(number: int, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": number,
        "method": "tools/call",
        "params": {"name": tool, "arguments": arguments},
    }


def _cancelled(number: int) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}}
