"""A whole runtime with its sandboxes on E2B, and the commands of a person who sets that up."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.cli.terminal import Result, Shell
from tests.integration.e2b import loopback
from tests.support.runtime import ECHO, make_home, workflow
from tests.support.served_runtime import ServedRuntime, start_runtime

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.e2b import protocol
from codewords_mcp.runtime.sandboxes.e2b.account import E2bAccount
from codewords_mcp.runtime.sandboxes.e2b.environments import Pins
from codewords_mcp.runtime.sandboxes.e2b.leases import home_mark
from codewords_mcp.runtime.sandboxes.e2b.pooled_machine import PooledMachine
from codewords_mcp.runtime.sandboxes.e2b.rate_limits import MachineSlots
from codewords_mcp.runtime.sandboxes.e2b.template import requirements
from codewords_testing.e2b import LoopbackE2B

pytestmark = [pytest.mark.deep("boots E2B's machines"), pytest.mark.anyio, pytest.mark.slow]

CALLER = workflow(
    """
import os, httpx
@app.post("/")
async def call(request: Request):
    asked = await request.json()
    print("STEPLOG START calling")
    print("the word is", os.environ["WORD"])
    async with httpx.AsyncClient() as client:
        reply = await client.post(
            os.environ["CODEWORDS_RUNTIME_URI"] + f"/run/{asked['service']}/", json={"from": "E2B"},
            headers={"Authorization": os.environ["CODEWORDS_API_KEY"]}, timeout=60,
        )
    return {"echo": reply.json(), "length": len(os.environ["WORD"])}
""",
    env=("WORD",),
    title="Caller",
)


async def shell(e2b: LoopbackE2B, home: Path, *words: str, **more: str) -> Result:
    variables = {**e2b.environment, "CODEWORDS_SANDBOX": "e2b", "CODEWORDS_PORT": "0", **more}
    return await asyncio.to_thread(Shell(home, variables), *words)


def finding(result: Result, name: str) -> dict[str, Any]:
    return next(one for one in result.json["checks"] if one["id"] == name)


@pytest.fixture
async def served(e2b: LoopbackE2B, tmp_path: Path) -> AsyncIterator[ServedRuntime]:
    variables = {
        **e2b.environment, "CODEWORDS_SANDBOX": "e2b", "CODEWORDS_E2B_CREATES": "100", "CODEWORDS_E2B_TTL": "60",
        "CODEWORDS_API_KEY": "cwk-test", "CODEWORDS_GRACE_TIMEOUT": "0",
    }  # fmt: skip
    home = make_home(tmp_path / "home")
    with ExitStack() as stack:
        yield await asyncio.to_thread(stack.enter_context, start_runtime(home, **variables))
        await asyncio.to_thread(stack.close)


@pytest.mark.requirement("e2b:runtime", "e2b:usage", "e2b:doctor")
async def test_a_runtime_deploys_and_runs_workflows_on_e2b_with_logs_secrets_calls_back_and_cost(
    e2b: LoopbackE2B, served: ServedRuntime
) -> None:
    call = served.call
    echo = await asyncio.to_thread(served.deploy, ECHO, "echo")
    await asyncio.to_thread(call, "PUT", "/secrets/WORD", {"value": "not-to-be-seen"})
    caller = await asyncio.to_thread(served.deploy, CALLER, "caller")
    async with httpx.AsyncClient(
        base_url=served.url, headers={"Authorization": served.key}, timeout=120
    ) as client:
        reply = await client.post(f"/run/{caller}/", json={"service": echo})
        assert reply.status_code == 200, reply.text
        assert reply.json() == {"echo": {"got": {"from": "E2B"}}, "length": 14}
        run = reply.headers["x-request-id"]
        text = (await client.get(f"/logs/{run}")).text  # to its end, which is the sandbox's
        assert "the word is" in text
        assert "not-to-be-seen" not in text
        record = (await client.get(f"/request/{run}")).json()
    assert record["status"] == "succeeded"
    assert record["cost"] > 0
    assert record["usage"]["cost"] == record["cost"]
    assert record["usage"]["wall_seconds"] > 0
    doctor = await shell(e2b, served.home, "codewords", "doctor", "--json", CODEWORDS_API_KEY=served.key)
    assert doctor.code == 0, doctor.out
    assert finding(doctor, "sandbox")["status"] == "ok"
    assert "tier V" in finding(doctor, "sandbox")["detail"]
    assert any("an hour" in one["detail"] for one in doctor.json["checks"])


@pytest.mark.requirement("e2b:doctor")
@pytest.mark.parametrize(
    ("variables", "said", "fix"),
    [
        ({"E2B_API_KEY": ""}, "E2B_API_KEY is not set", "https://e2b.dev/dashboard"),
        ({"CODEWORDS_E2B_TEMPLATE": "never-built"}, "no template called never-built", "codewords e2b build-template"),
        ({"E2B_API_URL": "http://127.0.0.1:9"}, "cannot be reached", "CODEWORDS_E2B_PROXY"),
    ],
    ids=["key", "template", "network"],
)  # fmt: skip
async def test_doctor_says_what_is_missing_for_e2b_and_the_fix(
    e2b: LoopbackE2B, tmp_path: Path, variables: dict[str, str], said: str, fix: str
) -> None:
    home = tmp_path / "home"
    result = await shell(e2b, home, "codewords", "doctor", "--json", **variables)
    await shell(e2b, home, "codewords", "stop")
    assert result.code == 1, result.out
    failed = finding(result, "sandbox")
    assert failed["status"] == "failed"
    assert fix in failed["fix"]
    assert any(said in one["detail"] for one in result.json["checks"])


@pytest.mark.needs("root")
@pytest.mark.requirement("e2b:build-template", "e2b:clean")
async def test_the_commands_build_a_template_whose_agent_runs_and_remove_what_a_home_left(
    e2b: LoopbackE2B, tmp_path: Path
) -> None:
    home, name = tmp_path / "home", {"CODEWORDS_E2B_TEMPLATE": "by-command"}
    built = await shell(e2b, home, "codewords", "e2b", "build-template", "--json", **name)
    assert built.code == 0, built.err
    assert built.json == {"template": "by-command", "cpus": 2, "memory_mb": 2048}
    account = await E2bAccount.open(loopback.settings_for(e2b, home))
    mark = {"codewords-home": await asyncio.to_thread(home_mark, home / "run")}
    made = await account.create("by-command", ttl=60, metadata=mark, network={}, internet=True, key="made")
    rented = PooledMachine(account, made, await MachineSlots(1).take())
    await rented.link.connect()
    assert rented.link.hello["version"] == protocol.VERSION
    assert rented.link.hello["tier"] in {"A", "B", "C"}  # it can start programs
    await rented.link.close()
    left = await account.create("base", ttl=60, metadata=mark, network={}, internet=False, key="left")
    await account.snapshot(left, Pins("3.11", ("some==1",), our_client=False).name("by-command"))
    await account.snapshot(left, "by-command-of-somebody-else")
    cleaned = await shell(e2b, home, "codewords", "e2b", "clean", "--json", **name)
    assert cleaned.json == {"sandboxes": 2, "environments": 1}, cleaned.err
    assert e2b.cloud.sandboxes == {}


@pytest.mark.requirement("e2b:build-template")
async def test_a_build_that_fails_shows_the_end_of_its_log_and_says_that_it_is_e2bs(
    e2b: LoopbackE2B, tmp_path: Path
) -> None:
    e2b.faults.add("api POST /v3/templates", status=403, body={"code": 403, "message": "no"})
    refused = await shell(e2b, tmp_path / "home", "codewords", "e2b", "build-template")
    assert refused.code == 3
    assert "E2B refused what was asked while building the template" in refused.err
    path = e2b.cloud.options.env.pop("PATH")
    e2b.cloud.options.env["PATH"] = "/nowhere"  # an image without anything
    try:
        broken = await shell(e2b, tmp_path / "home", "codewords", "e2b", "build-template", "--json")
    finally:
        e2b.cloud.options.env["PATH"] = path
    assert broken.code == 3
    assert broken.json["error"]["code"] == "sandbox_failed"
    assert "failed to copy 'requirements.txt'" in broken.err
    without = await shell(e2b, tmp_path / "home", "codewords", "e2b", "build-template", E2B_API_KEY="")
    assert without.code == 3
    assert "E2B_API_KEY is not set" in without.err


@pytest.mark.requirement("e2b:clean")
async def test_a_home_whose_runtime_runs_is_not_cleaned(e2b: LoopbackE2B, served: ServedRuntime) -> None:
    refused = await shell(e2b, served.home, "codewords", "e2b", "clean")
    assert refused.code == 2
    assert "codewords stop" in refused.err


@pytest.mark.requirement("e2b:build-template")
def test_both_ends_have_the_same_versions_of_what_codewords_mcp_needs() -> None:
    pinned = requirements()
    assert all("==" in one for one in pinned)
    assert {"websockets", "structlog", "uv"} < {one.partition("==")[0] for one in pinned}
    assert not any(one.startswith(("pytest", "e2b")) for one in pinned)


@pytest.mark.requirement("e2b:live")
async def test_the_smoke_test_for_people_with_a_key_passes_here_and_fails_without_a_template(
    e2b: LoopbackE2B, built: EnvironmentRef, tmp_path: Path
) -> None:
    home = make_home(tmp_path / "home")
    passed = await live(e2b, home)
    assert passed[0] == 0, passed[1]
    assert passed[1].count("ok  ") == 4
    failed = await live(e2b, home, CODEWORDS_E2B_TEMPLATE="never-built")
    assert failed[0] == 1
    assert "no template called never-built" in failed[1]


async def live(e2b: LoopbackE2B, home: Path, **more: str) -> tuple[int | None, str]:
    variables = {**Shell(home, e2b.environment).env, **more}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "codewords_testing.e2b.live", env=variables, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


@pytest.mark.requirement("e2b:sdk-verbs")
async def test_the_loopback_e2b_runs_by_itself_for_whoever_has_an_sdk() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "codewords_testing.e2b", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    lines = [(await process.stdout.readline()).decode() for _ in range(4)]
    said = dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)
    async with httpx.AsyncClient() as client:
        reply = await client.get(
            f"{said['E2B_API_URL']}/v2/sandboxes", headers={"X-API-Key": said["E2B_API_KEY"]}
        )
    assert reply.json() == []
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
