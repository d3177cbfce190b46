"""The record of a run keeps what it was asked: bounded, without secrets, nothing that is private."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
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

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.run import Run, RunInput
from codewords_mcp.runtime.runs.input import KEPT_BYTES

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("runs:input-kept")]
VALUE = "sk_live_51CanaryThatNoRecordMayShow"
ANY = workflow(
    """
import asyncio
import os
import httpx

@app.api_route("/{rest:path}", methods=["GET", "POST", "PUT"])
async def any_route(request: Request, rest: str):
    body = await request.body()
    if rest == "fail":
        raise ValueError("cannot count")
    if rest == "wait":
        await asyncio.sleep(60)
        await httpx.AsyncClient().post(os.environ["CODEWORDS_RUNTIME_URI"] + "/run/schedule_runs/", json={})
    return {"bytes": len(body)}
""",
    env=("MY_TOKEN",),
    title="Any",
).replace('"fastapi', '"httpx==0.28.1", "fastapi', 1)


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    async with open_runtime(make_home(tmp_path / "home"), shares_driver=True) as runtime:
        await runtime.secrets.set(ADMIN, "MY_TOKEN", VALUE)
        yield runtime


async def recorded(runtime: Runtime, run_id: str) -> tuple[Run, RunInput]:
    run = await finished(runtime, run_id)
    assert run.input is not None
    return run, run.input


async def test_a_run_keeps_its_input_whether_it_succeeds_or_fails_waited_for_or_not(runtime: Runtime) -> None:
    service = await deploy(runtime, ANY)
    for path, status in (("/", "succeeded"), ("/fail", "failed")):
        _, _, waited = await fetch(runtime, service, {"n": 1}, path=path)
        started = await runtime.runs.start(request(service, {"n": 1}, path=path))
        for run_id in (waited, started):
            run, asked = await recorded(runtime, run_id)
            assert run.status == status
            assert (asked.method, asked.path, asked.content) == ("POST", path, '{"n": 1}')
            assert (asked.content_type, asked.bytes, asked.truncated) == ("application/json", 8, False)
    _, _, got = await fetch(runtime, service, path="/x", method="GET")
    assert (await recorded(runtime, got))[1].content == ""


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"x" * (KEPT_BYTES + 1), "x" * KEPT_BYTES),
        ("é".encode() * KEPT_BYTES, "é" * (KEPT_BYTES // 2)),
        (b"\xff\x00binary", None),
        (b"\x00" * (KEPT_BYTES + 1), None),
        (b"nul \x00 inside", "nul \ufffd inside"),
        (b'{"deep": ' + b"[" * 9000, '{"deep": ' + "[" * 9000),
        (b'"\\ud800"', '"\\ud800"'),
    ],
)
async def test_what_is_kept_is_text_and_bounded_whatever_is_sent(
    runtime: Runtime, sent: bytes, kept: str | None
) -> None:
    service = await deploy(runtime, ANY)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(sent), 1000):
            yield sent[start : start + 1000]

    call = request(service)
    call.body, call.headers = chunks(), [(b"content-length", str(len(sent)).encode())]
    response = await runtime.runs.execute(call)
    answer: Any = json.loads(b"".join([chunk async for chunk in response.body]))
    assert answer == {"bytes": len(sent)}
    _, asked = await recorded(runtime, response.run_id)
    assert asked.content == kept
    assert asked.bytes == len(sent)
    assert asked.truncated is (len(sent) > KEPT_BYTES)


async def test_a_secret_of_the_workflow_stands_in_no_input_not_even_of_what_it_calls(
    runtime: Runtime,
) -> None:
    service = await deploy(runtime, ANY)
    _, _, run_id = await fetch(runtime, service, {"token": VALUE}, path=f"/{VALUE}")
    _, asked = await recorded(runtime, run_id)
    assert VALUE not in f"{asked.path}{asked.content}"
    assert "[secret MY_TOKEN]" in f"{asked.content}"
    parent = await runtime.runs.start(request(service, {}, path="/wait"))
    await until_run(runtime, parent, lambda run: run.status == "running")
    inside = Caller(ADMIN.owner, "run", run_id=parent)
    _, _, child_id = await fetch(
        runtime, "schedule_runs", {"operation": "list", "name": VALUE}, caller=inside
    )
    _, child = await recorded(runtime, child_id)
    assert child.content == '{"operation": "list", "name": "[secret MY_TOKEN]"}'
    await runtime.runs.cancel(ADMIN, parent)


async def test_the_input_of_a_private_operation_is_not_kept(runtime: Runtime) -> None:
    _, _, open_call = await fetch(runtime, "schedule_runs", {"operation": "list"})
    assert (await recorded(runtime, open_call))[1].content == '{"operation": "list"}'
    response = await runtime.runs.execute(
        request("redis_coordinator", {"operation": "set", "key": "k", "value": "hidden"})
    )
    _, asked = await recorded(runtime, response.run_id)
    assert (asked.content, asked.bytes > 0) == (None, True)
