"""Runs through the real facade, in real sandboxes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.runtime import (
    ADMIN,
    ECHO,
    deploy,
    fetch,
    finished,
    log_text,
    make_home,
    open_runtime,
    request,
    workflow,
)

from codewords_mcp.errors import (
    CodewordsError,
    Conflict,
    Forbidden,
    NotFound,
    ProgramFailed,
    RunCancelled,
    RunInterrupted,
    RunTimedOut,
    ServiceNotAvailable,
    TooBusy,
)
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.caller import Caller

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

TRICKS = workflow(
    """
import asyncio, os, sys, signal, time
from fastapi import HTTPException, BackgroundTasks
from fastapi.responses import StreamingResponse, Response

@app.post("/raise")
async def fail(): raise RuntimeError("boom in the handler")

@app.post("/teapot")
async def teapot(): raise HTTPException(418, "short and stout")

@app.post("/exit")
async def leave(): os._exit(7)

@app.post("/sleep")
async def nap(request: Request):
    print("sleeping", flush=True)
    await asyncio.sleep((await request.json())["seconds"]); return {"slept": True}

@app.post("/stream")
async def stream():
    async def parts():
        for n in range(5):
            yield f"data: {n}\\n\\n"; await asyncio.sleep(0.01)
    return StreamingResponse(parts(), media_type="text/event-stream")

@app.post("/pause")
async def pause():
    async def parts():
        yield "half of "; await asyncio.sleep(300); yield "it"
    return StreamingResponse(parts(), media_type="text/plain")

@app.post("/big")
async def big():
    return StreamingResponse((b"x" * (1 << 20) for _ in range(100)), media_type="application/octet-stream")

@app.post("/print")
async def much():
    line = "y" * 1023 + "\\n"
    for _ in range(100 * 1024): sys.stdout.write(line)
    sys.stdout.flush(); return {"printed": True}

@app.post("/background")
async def background(tasks: BackgroundTasks):
    async def later(): await asyncio.sleep(0.2); print("done after the answer", flush=True)
    tasks.add_task(later); return {"ok": True}

@app.post("/deaf")
async def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)

@app.get("/whoami")
async def whoami(request: Request):
    wanted = ("x-request-id", "x-correlation-id", "codewords-caller-id", "authorization", "x-api-key", "accept")
    return {"headers": {n: request.headers.get(n) for n in wanted}, "env": {n: os.environ.get(n) for n in ("PORT", "SERVICE_ID", "RUNTIME_URI", "CODEWORDS_RUNTIME_URI", "PYTHONHASHSEED", "CODEWORDS_SERVICE_ROOT")}, "key": os.environ["CODEWORDS_API_KEY"][:4], "path": request.url.path, "query": request.url.query}
""",
    title="Tricks",
)


@pytest.fixture(scope="module")
async def runtime(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Runtime]:
    async with open_runtime(make_home(tmp_path_factory.mktemp("home"))) as opened:
        yield opened


@pytest.fixture(scope="module")
async def tricks(runtime: Runtime) -> str:
    return await deploy(runtime, TRICKS)


@pytest.mark.requirement("runs:sync", "runs:record")
async def test_a_run_answers_and_leaves_a_record(runtime: Runtime) -> None:
    echo = await deploy(runtime, ECHO)
    status, body, run_id = await fetch(runtime, echo, {"hello": "wörld"})
    assert (status, body) == (200, '{"got":{"hello":"wörld"}}'.encode())
    run = await runtime.runs.get(ADMIN, run_id)
    assert run.status == "succeeded"
    assert run.response_json == {"got": {"hello": "wörld"}}
    assert run.attempts[0].outcome == "succeeded"
    assert run.isolation in {"A", "B"}
    assert run.timings_ms.keys() >= {"queued", "sandbox", "ready", "answer", "total"}


@pytest.mark.requirement("runs:headers", "runs:environment")
async def test_the_workflow_sees_its_environment_and_no_key_of_the_caller(
    runtime: Runtime, tricks: str
) -> None:
    headers = [
        (b"authorization", b"Bearer cwk-secret"),
        (b"x-api-key", b"cwk-secret"),
        (b"x-correlation-id", b"chain-1"),
        (b"connection", b"accept"),
        (b"accept", b"*/*"),
    ]
    made = request(tricks, path="/whoami", method="GET", headers=headers)
    made.query = b"a=1&b=%20"
    response = await runtime.runs.execute(made)
    body = b"".join([chunk async for chunk in response.body])
    run = await runtime.runs.get(ADMIN, response.run_id)
    seen = run.response_json
    assert seen["headers"] == {
        "x-request-id": run.id,
        "x-correlation-id": "chain-1",
        "codewords-caller-id": "local",
        "authorization": None,
        "x-api-key": None,
        "accept": None,
    }, body
    assert seen["env"] == {
        "PORT": "8000",
        "SERVICE_ID": tricks,
        "RUNTIME_URI": "http://127.0.0.1:8765",
        "CODEWORDS_RUNTIME_URI": "http://127.0.0.1:8765",
        "PYTHONHASHSEED": "0",
        "CODEWORDS_SERVICE_ROOT": f"/run/{tricks}",
    }
    assert (seen["key"], seen["path"], seen["query"]) == ("cwk-", "/whoami", "a=1&b=%20")
    assert run.correlation_id == "chain-1"


@pytest.mark.requirement("runs:program-errors")
@pytest.mark.parametrize(("path", "status"), [("/raise", 500), ("/teapot", 418), ("/nowhere", 404)])
async def test_a_workflows_own_error_is_its_answer_marked_as_the_services(
    runtime: Runtime, tricks: str, path: str, status: int
) -> None:
    response = await runtime.runs.execute(request(tricks, {}, path=path))
    assert response.status == status
    assert (b"error-origin", b"service") in response.headers
    assert [chunk async for chunk in response.body]
    run = await finished(runtime, response.run_id)
    assert (run.status, run.response_status) == ("failed", status)
    assert run.error is not None
    assert run.error.origin == "service"
    if path == "/raise":
        assert "boom in the handler" in await log_text(runtime, run.id)


@pytest.mark.requirement("runs:program-errors")
async def test_a_program_that_exits_while_answering_is_said_to_have(runtime: Runtime, tricks: str) -> None:
    with pytest.raises(ProgramFailed) as caught:
        await fetch(runtime, tricks, {}, path="/exit")
    assert caught.value.code == "program_exited"
    assert caught.value.exit_code == 7
    assert caught.value.run_id is not None
    assert (await finished(runtime, caught.value.run_id)).status == "failed"


@pytest.mark.requirement("runs:streaming")
async def test_an_answer_is_streamed_as_it_comes(runtime: Runtime, tricks: str) -> None:
    response = await runtime.runs.execute(request(tricks, {}, path="/stream"))
    chunks = [chunk async for chunk in response.body]
    assert b"".join(chunks) == b"".join(f"data: {n}\n\n".encode() for n in range(5))
    assert len(chunks) > 1


@pytest.mark.requirement("runs:big-answers")
async def test_an_answer_of_100_megabytes_arrives_whole_and_is_kept_in_part(
    runtime: Runtime, tricks: str
) -> None:
    response = await runtime.runs.execute(request(tricks, {}, path="/big"))
    assert sum([len(chunk) async for chunk in response.body]) == 100 << 20
    run = await finished(runtime, response.run_id)
    assert run.status == "succeeded"
    assert run.response_truncated
    assert len(run.response_content or "") == runtime.settings.max_response_kept


@pytest.mark.requirement("logs:bounded")
async def test_a_workflow_that_prints_100_megabytes_answers_and_its_log_is_cut_with_a_word(
    runtime: Runtime, tricks: str
) -> None:
    status, _, run_id = await fetch(runtime, tricks, {}, path="/print")
    assert status == 200
    text = await log_text(runtime, run_id)
    assert len(text) <= runtime.settings.max_log_bytes + 200
    assert text.endswith("CODEWORDS_MAX_LOG_BYTES]")


@pytest.mark.requirement("runs:background-tasks")
async def test_work_after_the_answer_gets_its_grace(runtime: Runtime, tricks: str) -> None:
    status, _, run_id = await fetch(runtime, tricks, {}, path="/background")
    assert status == 200
    assert "done after the answer" in await log_text(runtime, run_id)


@pytest.mark.requirement("runs:clock")
@pytest.mark.parametrize("jump", [-86400, 86400], ids=["a-day-back", "a-day-on"])
async def test_a_clock_that_jumps_during_a_run_ends_it_neither_early_nor_before_it_began(
    runtime: Runtime, tricks: str, jump: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = await runtime.runs.execute(request(tricks, {}, path="/stream"))
    true_time = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: true_time() + jump * 10**9)
    assert b"".join([chunk async for chunk in response.body])
    run = await finished(runtime, response.run_id)
    assert run.status == "succeeded"
    assert run.started_at is not None
    assert run.completed_at is not None
    assert run.completed_at >= run.started_at
    stamps = [
        line.created_at async for line in runtime.logs.lines(ADMIN, response.run_id) if line is not None
    ]
    assert stamps == sorted(stamps)


@pytest.mark.requirement("runs:timeout")
async def test_a_run_past_its_time_is_ended_even_if_it_ignores_sigterm(runtime: Runtime, tricks: str) -> None:
    with pytest.raises(RunTimedOut) as caught:
        await runtime.runs.execute(request(tricks, {}, path="/deaf", timeout=3.0))
    assert (await finished(runtime, caught.value.run_id or "")).status == "timed_out"


@pytest.mark.requirement("runs:cancel")
async def test_a_cancelled_run_is_gone_and_its_caller_told(runtime: Runtime, tricks: str) -> None:
    provisioned = await runtime.runs.provision(ADMIN)
    running = asyncio.create_task(
        runtime.runs.execute(request(tricks, {"seconds": 300}, path="/sleep", request_id=provisioned))
    )
    async for line in runtime.logs.lines(ADMIN, provisioned):
        if line is not None and line.message == "sleeping":
            break
    assert (await runtime.runs.cancel(ADMIN, provisioned)).status == "cancelled"
    with pytest.raises(RunCancelled):
        await running
    with pytest.raises(Conflict):
        await runtime.runs.cancel(ADMIN, provisioned)


@pytest.mark.requirement("runs:hang-up")
async def test_a_caller_that_hangs_up_cancels_the_run(runtime: Runtime, tricks: str) -> None:
    provisioned = await runtime.runs.provision(ADMIN)
    running = asyncio.create_task(
        runtime.runs.execute(request(tricks, {"seconds": 300}, path="/sleep", request_id=provisioned))
    )
    async for line in runtime.logs.lines(ADMIN, provisioned):
        if line is not None and line.message == "sleeping":
            running.cancel()
            break
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await finished(runtime, provisioned)).status == "cancelled"


@pytest.mark.requirement("runs:hang-up")
async def test_a_caller_that_stops_reading_half_way_cancels_the_run(runtime: Runtime, tricks: str) -> None:
    response = await runtime.runs.execute(request(tricks, {}, path="/big"))
    async for _ in response.body:
        break
    await response.aclose()
    assert (await finished(runtime, response.run_id)).status == "cancelled"


@pytest.mark.requirement("runs:idempotency")
async def test_an_answer_that_broke_off_is_not_repeated_as_if_it_were_whole(
    runtime: Runtime, tricks: str
) -> None:
    response = await runtime.runs.execute(request(tricks, {}, path="/pause", idempotency_key="once"))
    assert await anext(aiter(response.body)) == b"half of "
    await response.aclose()
    run = await finished(runtime, response.run_id)
    assert (run.status, run.response_truncated) == ("cancelled", True)
    with pytest.raises(
        CodewordsError, match=r"cancelled: the caller hung up. A new Idempotency-Key"
    ) as refused:
        await fetch(runtime, tricks, {}, path="/pause", idempotency_key="once")
    # As the first caller would have been told.
    assert (refused.value.code, refused.value.status) == ("run_cancelled", 499)


@pytest.mark.requirement("runs:provisioned")
async def test_a_provisioned_id_is_for_one_run_of_its_owner(runtime: Runtime) -> None:
    echo = await deploy(runtime, ECHO)
    provisioned = await runtime.runs.provision(ADMIN)
    assert (await runtime.runs.get(ADMIN, provisioned)).status == "provisioned"
    _, _, run_id = await fetch(runtime, echo, 1, request_id=provisioned)
    assert run_id == provisioned
    with pytest.raises(Conflict):
        await fetch(runtime, echo, 1, request_id=provisioned)
    with pytest.raises(NotFound):
        await fetch(runtime, echo, 1, request_id="made-up")


@pytest.mark.requirement("runs:owners")
async def test_another_callers_ids_are_not_found(runtime: Runtime) -> None:
    echo = await deploy(runtime, ECHO)
    _, _, run_id = await fetch(runtime, echo, 1)
    stranger = Caller("stranger", "user")
    for attempt in (
        runtime.runs.get(stranger, run_id), runtime.runs.cancel(stranger, run_id), runtime.workflows.get(stranger, echo), runtime.logs.tail(stranger, run_id),
        runtime.workflows.rollback(stranger, echo, 1), fetch(runtime, echo, 1, caller=stranger), anext(aiter(runtime.logs.lines(stranger, run_id))),
    ):  # fmt: skip
        with pytest.raises(NotFound):
            await attempt
    assert (await runtime.runs.list(stranger)).items == []


@pytest.mark.requirement("runs:background", "runs:idempotency")
async def test_a_background_run_is_awaited_by_id_and_an_idempotency_key_gives_the_first(
    runtime: Runtime,
) -> None:
    echo = await deploy(runtime, ECHO)
    run = await runtime.runs.call(ADMIN, echo, data={"n": 1})
    assert run.status == "succeeded"
    first = await runtime.runs.start(request(echo, {"n": 2}, idempotency_key="once"))
    again = await runtime.runs.start(request(echo, {"n": 3}, idempotency_key="once"))
    assert first == again
    assert (await finished(runtime, first)).response_json == {"got": {"n": 2}}
    status, body, run_id = await fetch(runtime, echo, {"n": 4}, idempotency_key="once")
    assert (status, body, run_id) == (200, b'{"got":{"n":2}}', first)


@pytest.mark.requirement("services:not-here")
async def test_a_service_that_is_not_here_is_a_platform_error(runtime: Runtime) -> None:
    with pytest.raises(ServiceNotAvailable) as caught:
        await fetch(runtime, "perplexity", {"prompt": "hi"})
    assert caught.value.origin == "platform"


@pytest.mark.requirement("runs:websocket")
async def test_a_websocket_is_passed_through(runtime: Runtime) -> None:
    code = workflow(
        'from fastapi import WebSocket\n@app.websocket("/ws")\nasync def talk(ws: WebSocket):\n    await ws.accept(subprotocol="chat")\n'
        '    await ws.send_text("hello"); await ws.send_bytes(await ws.receive_bytes()); await ws.close(4001)\n',
        title="Socket",
    )
    service = await deploy(runtime, code)
    session = await runtime.runs.open_websocket(request(service, path="/ws", method="GET"), ["chat"])
    assert session.subprotocol == "chat"
    assert await session.receive() == "hello"
    await session.send(b"\x00\xff")
    assert await session.receive() == b"\x00\xff"
    assert await session.receive() is None
    assert session.close_code == 4001
    assert (await finished(runtime, session.run_id)).status == "succeeded"
    with pytest.raises(ProgramFailed):
        await runtime.runs.open_websocket(request(service, path="/nowhere", method="GET"), [])


@pytest.mark.requirement("runs:admission")
async def test_over_the_limit_runs_queue_and_over_the_queue_they_are_turned_away(tmp_path: Path) -> None:
    async with open_runtime(make_home(tmp_path / "home"), concurrency=2, queue_limit=3) as runtime:
        tricks = await deploy(runtime, TRICKS)
        results = await asyncio.gather(
            *(fetch(runtime, tricks, {"seconds": 1}, path="/sleep") for _ in range(9)), return_exceptions=True
        )
        refused = [r for r in results if isinstance(r, TooBusy)]
        assert len(refused) == 4
        assert [r[0] for r in results if isinstance(r, tuple)] == [200] * 5
        assert (await fetch(runtime, tricks, path="/whoami", method="GET"))[0] == 200


@pytest.mark.requirement("runs:shutdown")
async def test_stopping_the_runtime_ends_what_does_not_finish_and_says_so(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    async with open_runtime(home) as runtime:
        tricks = await deploy(runtime, TRICKS)
        background = await runtime.runs.start(request(tricks, {"seconds": 300}, path="/sleep"))
        waited_for = await runtime.runs.provision(ADMIN)
        call = asyncio.create_task(
            fetch(runtime, tricks, {"seconds": 300}, path="/sleep", request_id=waited_for)
        )
        async for line in runtime.logs.lines(ADMIN, waited_for):
            if line is not None and line.message == "sleeping":
                break
    with pytest.raises(RunInterrupted):
        await call
    async with open_runtime(home) as runtime:
        for run_id in (waited_for, background):
            run = await runtime.runs.get(ADMIN, run_id)
            assert run.status == "interrupted"
            assert run.error is not None
            assert "stopped" in run.error.message


@pytest.mark.requirement("secrets:scrubbed", "secrets:declared")
async def test_declared_secrets_reach_the_workflow_and_are_scrubbed_from_logs_and_answers(
    runtime: Runtime,
) -> None:
    value = "s3cr3t-välue-0123456789"
    await runtime.secrets.set(ADMIN, "MY_TOKEN", value)
    await runtime.secrets.set(ADMIN, "OTHER_TOKEN", "never-declared-99")
    code = workflow(
        'import os, base64, sys\n@app.get("/")\nasync def show():\n    v = os.environ["MY_TOKEN"]\n'
        '    print("token is", v); print(base64.b64encode(v.encode()).decode(), file=sys.stderr)\n'
        '    return {"raw": v, "b64": base64.b64encode(v.encode()).decode(), "length": len(v), "other": os.environ.get("OTHER_TOKEN")}\n',
        env=("MY_TOKEN",),
        title="Secretive",
    )
    service = await deploy(runtime, code)
    status, body, run_id = await fetch(runtime, service, path="/", method="GET")
    assert status == 200
    log = await log_text(runtime, run_id)
    run = await runtime.runs.get(ADMIN, run_id)
    assert run.response_json["length"] == len(value)
    assert run.response_json["other"] is None
    assert run.response_json["raw"] == "[secret MY_TOKEN]"
    for text in (body.decode(), log, run.model_dump_json()):
        assert value not in text
        assert "s3cr3t" not in text
        assert "czNjcjN0" not in text
    assert "token is [secret MY_TOKEN]" in log


@pytest.mark.requirement("runs:run-key")
async def test_a_runs_key_is_valid_only_while_it_lives(runtime: Runtime) -> None:
    service = await deploy(
        runtime,
        workflow(
            'import os\n@app.get("/")\nasync def show():\n    return {"key": os.environ["CODEWORDS_API_KEY"]}\n',
            title="Key",
        ),
    )
    _, _, run_id = await fetch(runtime, service, path="/", method="GET")
    key = (await runtime.runs.get(ADMIN, run_id)).response_json["key"]
    await log_text(runtime, run_id)
    with pytest.raises(CodewordsError, match="only inside"):
        await runtime.keys.authenticate(key)


@pytest.mark.requirement("runs:run-key")
async def test_a_runs_key_administers_nothing(runtime: Runtime) -> None:
    inside = Caller("local", "run", run_id="r")
    for attempt in (
        runtime.workflows.deploy(inside, code=ECHO), runtime.workflows.rollback(inside, "x", 1), runtime.secrets.set(inside, "A_KEY", "value"), runtime.secrets.list(inside),
        runtime.secrets.delete(inside, "A_KEY"), runtime.secrets.create_link(inside, "A_KEY"), runtime.keys.create(inside), runtime.keys.list(inside),
        runtime.keys.revoke(inside, "x"),
    ):  # fmt: skip
        with pytest.raises(Forbidden):
            await attempt


@pytest.mark.requirement("runs:egress-told")
async def test_a_refused_connection_is_told_in_the_runs_log(runtime: Runtime) -> None:
    code = workflow(
        'import httpx\n@app.get("/")\nasync def reach():\n    try:\n        async with httpx.AsyncClient() as client:\n'
        '            await client.get("http://169.254.169.254/latest/meta-data")\n    except httpx.HTTPError as error:\n'
        "        return type(error).__name__\n",
        title="Reaching out",
    )
    service = await deploy(runtime, code)
    status, _, run_id = await fetch(runtime, service, method="GET")
    assert status == 200
    assert "A connection to 169.254.169.254:80 was refused" in await log_text(runtime, run_id)


@pytest.mark.requirement("logs:before-the-answer")
async def test_whoever_has_the_answer_finds_what_was_printed_before_it(runtime: Runtime) -> None:
    service = await deploy(
        runtime,
        workflow(
            '@app.get("/")\nasync def say():\n    print("printed first")\n    return "then answered"\n',
            title="Order",
        ),
    )
    for _ in range(5):
        _, _, run_id = await fetch(runtime, service, method="GET")
        assert "printed first" in [line.message for line in await runtime.logs.tail(ADMIN, run_id)]
