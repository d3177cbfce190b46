"""Whatever a program answers or logs, its run is settled, its key ends and its slot and sandbox are given back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.runtime import (
    ADMIN,
    deploy,
    fetch,
    finished,
    log_text,
    make_home,
    open_runtime,
    request,
    workflow,
)

from codewords_mcp.errors import SandboxFailed, Unauthenticated
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.runs import attempt_record
from codewords_mcp.runtime.runs import results as answers

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("runs:said-bounded")]

PARROT = workflow(
    """
import os
from fastapi import Response

@app.post("/")
async def say(request: Request):
    what = await request.body()
    print(what.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode(), flush=True)
    return Response(what, media_type="application/json")

@app.post("/key")
async def key():
    return {"key": os.environ["CODEWORDS_API_KEY"]}
""",
    title="Parrot",
)

SAID = [
    b"[" * 3000 + b"]" * 3000,
    b"[" * 300 + b"]" * 300,
    b'{"a":' * 101 + b"1" + b"}" * 101,
    b'{"level": "info", "timestamp": "x", "event": ' + b"[" * 400 + b"]" * 400 + b"}",
    b'"\\ud800"',
    b'{"\\udfff": "\\u0000"}',
    b"1e400",
    b"[NaN, -Infinity]",
    b"9" * 5000,
    b"\xff\x00\x9b[31m",
    b"\xef\xbb\xbf{}",
    b'{"a": 1, "a": 2}',
]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
async def runtime(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Runtime]:
    home = make_home(tmp_path_factory.mktemp("home"))
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").migrated_url()
    async with open_runtime(home, concurrency=1, database_url=url, sync_timeout=30) as opened:
        yield opened


@pytest.fixture(scope="module")
async def parrot(runtime: Runtime) -> str:
    return await deploy(runtime, PARROT)


def said(service_id: str, data: bytes, **more: Any) -> Any:
    made = request(service_id, **more)

    async def body() -> AsyncIterator[bytes]:
        yield data

    made.body = body()
    made.headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    return made


@pytest.mark.parametrize("data", SAID, ids=range(len(SAID)))
async def test_whatever_a_program_says_its_run_is_settled_and_read(
    runtime: Runtime, parrot: str, data: bytes
) -> None:
    response = await runtime.runs.execute(said(parrot, data))
    assert b"".join([chunk async for chunk in response.body]) == data
    run = await finished(runtime, response.run_id)
    assert run.status == "succeeded"
    assert await log_text(runtime, run.id)
    assert run.id in [one.id for one in (await runtime.runs.list(ADMIN, limit=20)).items]

    run_id = await runtime.runs.start(said(parrot, data))
    assert (await finished(runtime, run_id)).status == "succeeded"


async def test_a_key_ends_with_its_run_though_its_answer_cannot_be_read(
    runtime: Runtime, parrot: str
) -> None:
    _, body, run_id = await fetch(runtime, parrot, path="/key")
    key = body.decode().split('"')[3]
    await finished(runtime, run_id)
    await log_text(runtime, run_id)  # ends with its sandbox
    with pytest.raises(Unauthenticated):
        await runtime.keys.authenticate(key)


@pytest.mark.parametrize("where", ["reading", "storing"])
@pytest.mark.parametrize("background", [False, True])
async def test_a_fault_while_a_run_is_settled_fails_it_and_holds_nothing(
    runtime: Runtime, parrot: str, monkeypatch: pytest.MonkeyPatch, where: str, *, background: bool
) -> None:
    def breaks(*_: Any) -> dict[str, Any]:
        if where == "reading":
            raise RecursionError
        return {"response_json": object()}  # no database takes it

    with monkeypatch.context() as patch:
        patch.setattr(attempt_record, "response_record", breaks)
        if background:
            run_id = await runtime.runs.start(said(parrot, b"{}"))
        else:
            response = await runtime.runs.execute(said(parrot, b"{}"))
            assert b"".join([chunk async for chunk in response.body]) == b"{}"
            run_id = response.run_id
        async with asyncio.timeout(120):
            run = await finished(runtime, run_id)
    assert run.status == "failed"
    assert run.error is not None
    assert run.error.origin == "platform"
    status, _, _ = await fetch(runtime, parrot, {"next": 1})  # there is one slot, and it is free
    assert status == 200


async def test_a_sandbox_that_does_not_end_as_expected_leaves_no_key_and_no_slot(
    runtime: Runtime, parrot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from codewords_mcp.runtime.runs.lease import DedicatedLease

    leases: list[DedicatedLease] = []
    release = DedicatedLease.release

    async def breaks(self: DedicatedLease) -> None:
        leases.append(self)
        stop = self.sandbox.stop

        async def fails(grace: float) -> None:
            await stop(grace)
            raise SandboxFailed("It did not end.")

        monkeypatch.setattr(self.sandbox, "stop", fails, raising=False)
        await release(self)

    with monkeypatch.context() as patch:
        patch.setattr(DedicatedLease, "release", breaks)
        _, body, run_id = await fetch(runtime, parrot, path="/key")
        assert (await finished(runtime, run_id)).status == "succeeded"
        await log_text(runtime, run_id)
    assert leases
    with pytest.raises(Unauthenticated):
        await runtime.keys.authenticate(body.decode().split('"')[3])
    status, _, _ = await fetch(runtime, parrot, {"next": 1})
    assert status == 200


def test_the_error_of_a_run_whose_outcome_is_lost_is_the_platforms() -> None:
    assert answers.unreadable().origin == "platform"
