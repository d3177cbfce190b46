"""Where runs get their sandboxes: ready ones for scripts that run often, shared ones for workflows that ask for them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
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
from tests.support.waiting import until_async

from codewords_mcp.errors import CodewordsError, ProgramFailed, Unauthenticated
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.caller import Caller

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

BOOTED = """
import os, time, uuid
BOOT, STARTED = uuid.uuid4().hex, time.time()

@app.get("/")
async def who():
    print("hello from a run", flush=True)
    left = os.path.exists("/tmp/left"); open("/tmp/left", "w").close()
    return {"boot": BOOT, "started": STARTED, "left": left, "key": os.environ["CODEWORDS_API_KEY"]}
"""
SHARED_HEADER = '# [tool.codewords]\n# isolation = "instance"\n# concurrency = 4\n# ///\n'
SHARED = """
import asyncio, os, uuid
BOOT = uuid.uuid4().hex
print("came up", flush=True)
together = 0

@app.get("/")
async def who():
    return {"boot": BOOT, "key": os.environ["CODEWORDS_API_KEY"]}

@app.get("/meet")
async def meet():
    global together
    together += 1
    print("met", flush=True)
    while together < 3:
        await asyncio.sleep(0.01)
    return {"boot": BOOT}

@app.get("/wait")
async def wait():
    print("waiting", flush=True)
    await asyncio.sleep(300)

@app.get("/crash")
async def crash():
    os._exit(3)
"""


def shared(body: str, title: str) -> str:
    """A workflow whose runs share a sandbox."""
    return workflow(body, title=title).replace("# ///\nfrom fastapi", f"{SHARED_HEADER}from fastapi", 1)


@pytest.fixture(scope="module")
async def runtime(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Runtime]:
    async with open_runtime(make_home(tmp_path_factory.mktemp("home"))) as opened:
        yield opened


async def ask(runtime: Runtime, service: str, path: str = "/") -> dict[str, Any]:
    """The JSON of an answer that must be 200."""
    status, body, _ = await fetch(runtime, service, path=path, method="GET")
    assert status == 200, body
    return json.loads(body)


async def until_ready(runtime: Runtime, service: str) -> list[dict[str, Any]]:
    """Run it until a run finds a sandbox that had started before it was asked for; every answer."""
    answers: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while True:
            asked = time.time()
            answers.append(await ask(runtime, service))
            if answers[-1]["started"] < asked:
                return answers


@pytest.mark.requirement("supply:ready")
async def test_a_script_that_runs_often_finds_sandboxes_ready_and_still_never_shares_one(
    runtime: Runtime,
) -> None:
    service = await deploy(runtime, workflow(BOOTED, title="Hot"))
    answers = await until_ready(runtime, service)
    answers += [await ask(runtime, service) for _ in range(3)]
    assert len({answer["boot"] for answer in answers}) == len(answers)
    assert len({answer["key"] for answer in answers}) == len(answers)
    assert not any(answer["left"] for answer in answers)
    for run in (await runtime.runs.list(ADMIN, service_id=service)).items:
        assert "hello from a run" in await log_text(runtime, run.id)


@pytest.mark.requirement("supply:ready")
async def test_a_new_version_is_not_served_by_what_was_ready_for_the_old_one(runtime: Runtime) -> None:
    service = await deploy(runtime, workflow(BOOTED, title="Changing"))
    await until_ready(runtime, service)
    await deploy(
        runtime,
        workflow('@app.get("/")\nasync def who():\n    return {"version": 2}\n', title="Changing"),
        service_id=service,
    )
    assert await ask(runtime, service) == {"version": 2}


@pytest.mark.requirement("supply:ready", "secrets:declared")
async def test_a_changed_secret_is_not_served_by_what_was_ready_with_the_old_one(runtime: Runtime) -> None:
    await runtime.secrets.set(ADMIN, "TURNING", "first-value")
    body = BOOTED.replace('"left": left,', '"left": left, "length": len(os.environ["TURNING"]),')
    service = await deploy(runtime, workflow(body, env=("TURNING",), title="Turning"))
    await until_ready(runtime, service)
    await runtime.secrets.set(ADMIN, "TURNING", "the second value")
    assert (await ask(runtime, service))["length"] == len("the second value")


@pytest.mark.requirement("supply:ready")
async def test_a_script_that_does_not_come_up_without_a_run_is_run_all_the_same(runtime: Runtime) -> None:
    body = BOOTED + '\nimport pathlib\nif pathlib.Path("/tmp/stop").exists(): raise SystemExit(4)\n'
    service = await deploy(runtime, workflow(body, title="Fine"))
    assert len({(await ask(runtime, service))["boot"] for _ in range(4)}) == 4


@pytest.mark.requirement("runs:run-key")
async def test_the_key_of_a_sandbox_is_refused_before_and_after_its_run(runtime: Runtime) -> None:
    key = runtime._container.keyring.new_run_key("sandbox-1")  # pyright: ignore[reportPrivateUsage]
    access = runtime.sandbox_access
    with pytest.raises(Unauthenticated, match="has ended"):
        access.authenticate("sandbox-1", key.text)
    caller = Caller("local", "run", run_id="r")
    key.bind(caller)
    assert access.authenticate("sandbox-1", key.text) == caller
    with pytest.raises(Unauthenticated, match="not the key"):
        access.authenticate("sandbox-2", key.text)
    with pytest.raises(Unauthenticated, match="only inside"):
        await runtime.keys.authenticate(key.text)
    key.unbind()
    with pytest.raises(Unauthenticated, match="has ended"):
        access.authenticate("sandbox-1", key.text)


@pytest.mark.requirement("supply:instance-keys")
async def test_a_key_acts_for_the_run_that_came_last_of_those_that_go_on(runtime: Runtime) -> None:
    key = runtime._container.keyring.new_run_key("sandbox-1")  # pyright: ignore[reportPrivateUsage]
    access = runtime.sandbox_access
    first, second = (Caller("local", "run", run_id=name) for name in ("first", "second"))
    key.bind(first)
    key.bind(second)
    assert access.run_of("sandbox-1") == second
    assert [access.serves("sandbox-1", name) for name in ("first", "second", "third", None)] == [
        True,
        True,
        False,
        False,
    ]
    key.unbind(second)
    assert access.run_of("sandbox-1") == first
    key.unbind(first)
    assert access.run_of("sandbox-1") is None


@pytest.mark.requirement("supply:instance")
async def test_runs_of_a_workflow_that_asks_for_it_share_a_sandbox_also_at_once(runtime: Runtime) -> None:
    service = await deploy(runtime, shared(SHARED, "Shared"))
    boots = {(await ask(runtime, service))["boot"] for _ in range(3)}
    met = await asyncio.gather(*(ask(runtime, service, "/meet") for _ in range(3)))
    assert boots | {answer["boot"] for answer in met} == boots
    assert len(boots) == 1
    first, *_ = reversed((await runtime.runs.list(ADMIN, service_id=service)).items)
    assert "came up" in await log_text(runtime, first.id)


@pytest.mark.requirement("supply:instance", "runs:memory")
async def test_where_no_memory_is_left_an_instance_that_runs_takes_runs_in(runtime: Runtime) -> None:
    service = await deploy(runtime, shared(SHARED, "Full"))
    boot = (await ask(runtime, service))["boot"]
    headroom = runtime._container.dispatcher._context.headroom  # pyright: ignore[reportPrivateUsage]

    async def take_all() -> None:
        while True:
            await headroom.enter(print)

    # So many that one of them sees first when there is some again.
    hungry = asyncio.gather(*(take_all() for _ in range(100)))
    await until_async(lambda: not headroom.has_room())
    async with asyncio.timeout(20):
        assert (await ask(runtime, service))["boot"] == boot
        in_background = await runtime.runs.start(request(service, method="GET"))
        assert (await finished(runtime, in_background)).status == "succeeded"
    assert not hungry.done()
    hungry.cancel()


@pytest.mark.requirement("supply:instance")
async def test_one_run_of_an_instance_is_cancelled_and_the_others_go_on(runtime: Runtime) -> None:
    service = await deploy(runtime, shared(SHARED, "Cancelled"))
    boot = (await ask(runtime, service))["boot"]
    run_id = await runtime.runs.start(request(service, path="/wait", method="GET"))
    async for line in runtime.logs.lines(ADMIN, run_id):
        if line is not None and line.message == "waiting":
            break
    assert (await runtime.runs.cancel(ADMIN, run_id)).status == "cancelled"
    assert (await ask(runtime, service))["boot"] == boot


@pytest.mark.requirement("supply:instance-keys")
async def test_who_asks_with_another_key_gets_another_program_and_a_programs_key_acts_for_a_run_that_goes_on(
    runtime: Runtime,
) -> None:
    service = await deploy(runtime, shared(SHARED, "Keyed"))
    mine = await ask(runtime, service)
    _, body, _ = await fetch(runtime, service, method="GET", caller=Caller("local", "user", key_id="another"))
    other = json.loads(body)
    assert other["boot"] != mine["boot"]
    waiting = await runtime.runs.start(request(service, path="/wait", method="GET"))
    async for line in runtime.logs.lines(ADMIN, waiting):
        if line is not None and line.message == "waiting":
            break
    assert (await ask(runtime, service))["boot"] == mine["boot"]
    await until_async(lambda: _run_of(runtime, mine["key"]) == waiting)
    await runtime.runs.cancel(ADMIN, waiting)


def _run_of(runtime: Runtime, text: str) -> str | None:
    """The run that a key acts for now."""
    keys = runtime._container.keyring._run_keys.values()  # pyright: ignore[reportPrivateUsage]
    return next((key.caller and key.caller.run_id for key in list(keys) if key.matches(text)), None)


@pytest.mark.requirement("supply:instance")
async def test_an_instance_that_dies_fails_its_run_and_the_next_gets_another(runtime: Runtime) -> None:
    service = await deploy(runtime, shared(SHARED, "Crashing"))
    boot = (await ask(runtime, service))["boot"]
    with pytest.raises(ProgramFailed) as caught:
        await fetch(runtime, service, path="/crash", method="GET")
    assert caught.value.exit_code == 3
    assert (await finished(runtime, caught.value.run_id or "")).status == "failed"
    assert (await ask(runtime, service))["boot"] != boot


@pytest.mark.requirement("supply:instance")
async def test_more_runs_at_once_than_an_instance_takes_get_a_second_one(runtime: Runtime) -> None:
    service = await deploy(runtime, shared(SHARED, "Wide"))
    await ask(runtime, service)
    waiting = [await runtime.runs.start(request(service, path="/wait", method="GET")) for _ in range(4)]
    for run_id in waiting:
        async for line in runtime.logs.lines(ADMIN, run_id):
            if line is not None and line.message == "waiting":
                break
    assert (await ask(runtime, service))["boot"]
    for run_id in waiting:
        await runtime.runs.cancel(ADMIN, run_id)


@pytest.mark.requirement("supply:instance")
async def test_an_instance_that_does_not_come_up_says_so_in_the_runs_log(runtime: Runtime) -> None:
    body = (
        "import os, pathlib\nprint('on its way', flush=True)\nif os.environ.get('FAIL_NOW'): raise SystemExit(9)\n"
        + SHARED
    )
    code = shared(body, "Broken").replace('env_vars = ["PORT=8000"]', 'env_vars = ["PORT=8000", "FAIL_NOW"]')
    service = await deploy(
        runtime, code.replace("os.environ.get('FAIL_NOW')", "os.environ.get('FAIL_NOW') == 'yes'")
    )
    await runtime.secrets.set(ADMIN, "FAIL_NOW", "yes")
    with pytest.raises(CodewordsError) as caught:
        await fetch(runtime, service, method="GET")
    assert caught.value.code == "program_exited"
    assert "on its way" in await log_text(runtime, caught.value.run_id or "")


@pytest.mark.requirement("egress:own-list", "runs:egress-recorded", "runs:usage")
async def test_a_workflow_that_lists_its_hosts_reaches_no_other_and_the_record_tells(tmp_path: Path) -> None:
    body = """
import httpx

@app.get("/")
async def reach():
    found = {}
    async with httpx.AsyncClient(timeout=5) as client:
        for host in ("host.codewords.internal", "other.example"):
            try:
                found[host] = (await client.get(f"http://{host}:PORT/")).text
            except httpx.HTTPError as error:
                found[host] = type(error).__name__
    return found
"""
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    # Bytes are those of the connection itself: what reads it for a recording writes other heads.
    header = '# [tool.codewords]\n# record = "off"\n# egress = ["host.codewords.internal"]\n# ///\n'
    code = workflow(body.replace("PORT", str(port)), title="Listed").replace(
        "# ///\nfrom fastapi", f"{header}from fastapi", 1
    )
    allowed = [f"host.codewords.internal:{port}"]
    async with server, open_runtime(make_home(tmp_path / "home"), egress_allow_private=allowed) as runtime:
        service = await deploy(runtime, code)
        status, answer, run_id = await fetch(runtime, service, method="GET")
        assert status == 200, answer
        found = json.loads(answer)
        assert found["host.codewords.internal"] == "hello"
        assert found["other.example"] != "hello"
        assert "manifest does not list it" in await log_text(runtime, run_id)
        egress = (await runtime.runs.get(ADMIN, run_id)).usage["egress"]
        assert egress["policy"] == ["host.codewords.internal"]
        tried = {(one["host"], one["allowed"]) for one in egress["reached"]}
        assert tried == {("host.codewords.internal", True), ("other.example", False)}
        assert egress["bytes_in"] == len(_ANSWER)
        assert egress["bytes_out"] > len(b"GET / HTTP/1.1")
        for by in ("workflow", "key", "day"):
            (used,) = await runtime.runs.usage(ADMIN, by=by)
            assert (used.egress_in, used.egress_out) == (egress["bytes_in"], egress["bytes_out"])


_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(_ANSWER)
    await writer.drain()
    writer.close()


@pytest.mark.requirement("workflows:declared")
@pytest.mark.parametrize(
    "wrong",
    [
        'egress = "api.github.com"',
        'egress = ["two words"]',
        'isolation = "yes"',
        "concurrency = 0",
        "concurrency = true",
    ],
)
async def test_a_setting_of_the_header_that_means_nothing_fails_with_its_line(
    runtime: Runtime, wrong: str
) -> None:
    code = workflow(BOOTED).replace(
        "# ///\nfrom fastapi", f"# [tool.codewords]\n# {wrong}\n# ///\nfrom fastapi", 1
    )
    report = await runtime.authoring.validate(ADMIN, code)
    failed = next(check for check in report.checks if check.status == "failed")
    assert failed.id == "header"
    assert wrong.split(" ", maxsplit=1)[0] in failed.message
    assert failed.line == 7


@pytest.mark.requirement("sandbox:snapshots")
async def test_runs_go_on_from_a_snapshot_with_keys_and_files_of_their_own(runtime: Runtime) -> None:
    body = """
import os
FORKS = []
os.register_at_fork(after_in_child=lambda: FORKS.append(os.getpid()))
WORKED = sum(number * number for number in range(1_000_000))

@app.get("/")
async def who():
    left = os.path.exists("/tmp/left"); open("/tmp/left", "w").close()
    return {"forks": FORKS, "left": left, "key": os.environ["CODEWORDS_API_KEY"], "level": os.environ["LOGLEVEL"]}
"""
    code = workflow(body, title="Heavy").replace(
        "# ///\nfrom fastapi", "# [tool.codewords]\n# snapshot = true\n# ///\nfrom fastapi", 1
    )
    service = await deploy(runtime, code)
    answers: list[dict[str, Any]] = []

    async def restored() -> bool:
        answers.append(await ask(runtime, service))
        return sum(answer["forks"] == [2] for answer in answers) > 3

    await until_async(restored, "runs from a snapshot", 120)
    assert len({answer["key"] for answer in answers}) == len(answers)
    assert not any(answer["left"] for answer in answers)
    assert {answer["level"] for answer in answers} == {"INFO"}
