"""A runtime that is about to end: what it began goes on, and nothing in the background begins there any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select
from tests.support.background_runs import WORK, cancel, fill, says, start, with_options
from tests.support.runtime import (
    ADMIN,
    deploy,
    fetch,
    finished,
    make_home,
    open_runtime,
    request,
    until_run,
    workflow,
)
from tests.support.waiting import until_async

from codewords_mcp.http.app import create_app
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.runs import background_run
from codewords_mcp.runtime.store.tables import runs

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Two runs at once, on each database."""
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").migrated_url()
    return {"concurrency": 2, "drain_timeout": 0.0, "database_url": url}


async def held(runtime: Runtime, run_ids: list[str]) -> list[str]:
    """Those of the runs that a process holds."""

    def look(connection: Connection) -> list[str]:
        query = select(runs.c.id).where(runs.c.id.in_(run_ids), runs.c.executor.is_not(None))
        return list(connection.execute(query).scalars())

    return await runtime._container.database.read(look)  # pyright: ignore[reportPrivateUsage]


@pytest.mark.requirement("runs:drain")
async def test_a_runtime_that_drains_gives_back_what_has_not_begun_and_begins_nothing_but_answers(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background_run, "FIRST_PAUSE", 60.0)
    home = make_home(tmp_path / "home")
    async with open_runtime(home, **settings) as runtime:
        work = await deploy(runtime, WORK)
        again = await deploy(runtime, with_options(WORK, "retries = 1"), name="again")
        paused = await runtime.runs.start(request(again, {}, path="/fail"))
        await until_run(runtime, paused, lambda run: run.waits_for == "retry")
        holders = await fill(runtime, work)
        given = [paused, *[await start(runtime, work, f"waiting {n}") for n in range(3)]]
        given.append(await start(runtime, work, "delayed", delay=0.5))
        await runtime.drain()
        given += [await start(runtime, work, "late"), await start(runtime, work, "later", delay=0.1)]
        first = await start(runtime, work, "once", idempotency_key="once")
        assert await start(runtime, work, "once", idempotency_key="once") == first
        await cancel(runtime, *holders)
        status, body, _ = await fetch(runtime, work, {"name": "asked"})
        assert (status, body) == (200, b'{"name":"asked"}')
        await until_async(lambda: runtime.idle_seconds)
        assert await held(runtime, [*given, first]) == []
        tried = {one: len((await runtime.runs.get(ADMIN, one)).attempts) for one in [*given, first]}
        assert tried == dict.fromkeys(tried, 0) | {paused: 1}
    async with open_runtime(home, **settings) as runtime:
        ended = [await finished(runtime, one) for one in [*given[1:], first]]
        assert [run.status for run in ended] == ["succeeded"] * len(ended)
        assert [len(run.attempts) for run in ended] == [1] * len(ended)
        assert [a.outcome for a in (await finished(runtime, paused)).attempts] == ["failed", "failed"]


LINGERS = WORK.replace(
    'return {"name": asked.get("name")}',
    """from starlette.background import BackgroundTask
    from starlette.responses import JSONResponse
    return JSONResponse({}, background=BackgroundTask(asyncio.sleep, 5))""",
)


@pytest.mark.parametrize("settings", ["postgres"], indirect=True)
@pytest.mark.requirement("runs:drain", "runs:retries")
async def test_what_a_closing_runtime_lets_go_of_does_not_begin_there_again_while_it_waits_for_another(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    home = make_home(tmp_path / "home")
    async with open_runtime(home, **settings) as runtime:
        lingers = await deploy(runtime, LINGERS, name="lingers")
        again = await deploy(runtime, with_options(WORK, "retries = 1"), name="again")
        long = await start(runtime, again, "long", seconds=600)
        await says(runtime, long, "began")
        assert (await finished(runtime, await start(runtime, lingers, "x"))).status == "succeeded"
    async with open_runtime(home, **settings) as runtime:
        await until_run(runtime, long, lambda run: run.status == "running")
        await cancel(runtime, long)
        assert [a.outcome for a in (await finished(runtime, long)).attempts] == ["interrupted", "cancelled"]


CALLS = """
import asyncio, os
import httpx

@app.post("/")
async def call(request: Request):
    async with httpx.AsyncClient(timeout=60) as c:
        reply = await c.post(
            os.environ["CODEWORDS_RUNTIME_URI"] + "/run/CHILD/", json=await request.json(),
            headers={"Authorization": os.environ["CODEWORDS_API_KEY"]},
        )
    reply.raise_for_status()
    return reply.json()

@app.post("/own")
async def own(request: Request):
    print("began own", flush=True)
    await asyncio.sleep(2)
    raise RuntimeError("a fault of its own")
"""


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.requirement("runs:broken-calls", "runs:retries")
async def test_a_run_whose_call_the_ending_runtime_breaks_is_interrupted_and_taken_up_again_where_asked(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    home = make_home(tmp_path / "home")
    async with open_runtime(home, **settings | {"concurrency": 8, "drain_timeout": 60.0}) as runtime:
        create_app(runtime, runtime.settings, None, on_stop=lambda: None)  # sandboxes reach the runtime
        child = await deploy(runtime, WORK)
        code = workflow(CALLS.replace("CHILD", child), title="Calls")
        listed = f'services = ["{child}"]'
        once = await deploy(runtime, with_options(code, listed), name="once")
        again = await deploy(runtime, with_options(code, listed, "retries = 1"), name="again")
        parents = [await start(runtime, one, f"of {one}", seconds=600) for one in (once, again)]
        own = await start(runtime, once, "x", path="/own")
        await says(runtime, own, "began own")

        async def both_run() -> bool:
            running = await runtime.runs.list(ADMIN, service_id=child, status="running")
            return len(running.items) == 2

        await until_async(both_run)
        await runtime.drain()
        await runtime.stop_answering()
        broken = await finished(runtime, parents[0])
        assert (broken.status, broken.error and broken.error.code) == ("interrupted", "interrupted")
        assert (await finished(runtime, own)).status == "failed"
        await until_run(runtime, parents[1], lambda run: run.status == "queued")
        assert [a.outcome for a in (await runtime.runs.get(ADMIN, parents[1])).attempts] == ["interrupted"]
    async with open_runtime(home, **settings) as runtime:
        create_app(runtime, runtime.settings, None, on_stop=lambda: None)
        await until_run(runtime, parents[1], lambda run: run.status == "running")
        await cancel(runtime, parents[1])
        attempts = (await finished(runtime, parents[1])).attempts
        assert [a.outcome for a in attempts] == ["interrupted", "cancelled"]
