"""The E2B driver beyond the protocol: round trips, spares, pausing, leases, orphans, the edge, and what it costs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

import httpx
import pytest
from tests.integration.e2b.helpers import OpenDriver
from tests.integration.e2b.programs import COUNTER, TICKER, Heard, ask, spec
from tests.support.egress import relayed_to
from tests.support.paths import PROJECT
from tests.support.waiting import until_async

from codewords_mcp.errors import TooBusy
from codewords_mcp.runtime.egress import HOST_ALIAS, Egress, EgressEvent, EgressPolicy
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.e2b import protocol
from codewords_mcp.runtime.sandboxes.e2b.driver import E2BDriver
from codewords_mcp.runtime.sandboxes.e2b.sandbox import E2BSandbox
from codewords_testing.e2b import Internet, LoopbackE2B

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
CREATE = "api POST /v2/sandboxes"


async def serving(driver: E2BDriver, environment: EnvironmentRef, code: str = COUNTER) -> E2BSandbox:
    sandbox = await driver.start(spec(environment, code))
    await sandbox.wait_ready()
    return sandbox


@pytest.mark.requirement("e2b:round-trips")
async def test_a_cold_start_that_answers_takes_two_round_trips_and_a_warm_request_none(
    open_driver: OpenDriver, built: EnvironmentRef, e2b: LoopbackE2B
) -> None:
    driver = await open_driver()
    e2b.faults.requests.clear()
    sandbox = await driver.start(spec(built, COUNTER))
    assert await ask(sandbox) == "1"
    asked = [one for one in e2b.faults.requests if "GET /v2/sandboxes" not in one]  # the reconciler's look
    assert asked == [CREATE, f"port:{protocol.AGENT_PORT} GET /"]
    e2b.faults.requests.clear()
    assert await ask(sandbox) == "2"
    assert [one for one in e2b.faults.requests if "GET /v2/sandboxes" not in one] == []
    await sandbox.kill()


@pytest.mark.requirement("e2b:spares")
async def test_a_spare_starts_a_program_without_asking_e2b_and_is_replaced(
    open_driver: OpenDriver, built: EnvironmentRef, e2b: LoopbackE2B
) -> None:
    driver = await open_driver(Egress(EgressPolicy("none"), relayed_to("127.0.0.1", 9)), e2b_spares=1)
    await driver.prepare(built)
    await until_async(lambda: len(e2b.cloud.sandboxes) == 1 and driver.spares == 1)
    (spare,) = e2b.cloud.sandboxes
    sandbox = await driver.start(spec(built, COUNTER, network=True))
    assert sandbox.link.machine.id == spare
    assert await ask(sandbox) == "1"
    await until_async(lambda: driver.spares == 1)
    assert len(e2b.cloud.sandboxes) == 2
    e2b.cloud.kill_soon(next(one for one in e2b.cloud.sandboxes if one != spare))
    await until_async(lambda: driver.spares == 0)
    other = await driver.start(spec(built, COUNTER, network=True))
    assert await ask(other) == "1"
    await asyncio.gather(sandbox.kill(), other.kill())


@pytest.mark.requirement("e2b:pause", "e2b:usage")
async def test_an_idle_sandbox_is_paused_and_the_next_request_finds_its_memory_as_it_was(
    open_driver: OpenDriver, built: EnvironmentRef, e2b: LoopbackE2B
) -> None:
    driver = await open_driver(e2b_pause_after=0.2, e2b_ttl=15)
    sandbox = await serving(driver, built)
    assert await ask(sandbox) == "1"
    await until_async(lambda: sandbox.paused)
    assert e2b.cloud.sandboxes[sandbox.link.machine.id].state == "paused"
    before = await sandbox.usage()
    assert before.cost == (await sandbox.usage()).cost
    assert await ask(sandbox) == "2"
    assert not sandbox.paused
    await sandbox.kill()
    after = await sandbox.usage()
    assert before.cost is not None
    assert after.cost is not None
    assert 0 < before.cost < after.cost < after.wall_seconds * 2 * (2 * 0.000014 + 2 * 0.0000045)


@pytest.mark.requirement("e2b:lease")
async def test_a_living_runtime_renews_its_sandboxes_past_their_first_time(
    open_driver: OpenDriver, built: EnvironmentRef, e2b: LoopbackE2B
) -> None:
    driver = await open_driver(e2b_ttl=15)
    sandbox = await serving(driver, built)
    first = e2b.cloud.sandboxes[sandbox.link.machine.id].end_at
    await e2b.faults.wait_for_request(f"api POST /sandboxes/{sandbox.link.machine.id}/timeout")
    await until_async(lambda: e2b.cloud.sandboxes[sandbox.link.machine.id].end_at > first)
    assert await ask(sandbox) == "1"
    await sandbox.kill()


PHASES = {
    "creating": CREATE,
    "connecting": f"port:{protocol.AGENT_PORT} GET /",
    "serving": "",
}


@pytest.mark.requirement("e2b:lease", "e2b:orphans")
@pytest.mark.parametrize("phase", PHASES)
async def test_what_a_killed_runtime_had_is_ended_by_the_next_one_and_by_its_time(
    open_driver: OpenDriver, built: EnvironmentRef, e2b: LoopbackE2B, tmp_path: Path, phase: str
) -> None:
    task = json.dumps({"environment": protocol.from_environment(built), "folder": str(tmp_path / "run")})
    if PHASES[phase]:
        e2b.faults.add(PHASES[phase], delay=1.0)
    heard = asyncio.create_task(e2b.faults.wait_for_request(PHASES[phase])) if PHASES[phase] else None
    victim = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("killed_driver.py")), task, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **e2b.environment, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'src'}"},
    )  # fmt: skip
    assert victim.stdout is not None
    if heard is not None:
        await heard
    else:
        assert (await victim.stdout.readline()).strip() == b"1"
    victim.send_signal(signal.SIGKILL)
    await victim.wait()
    await until_async(lambda: len(e2b.cloud.sandboxes) == 1)
    (left,) = e2b.cloud.sandboxes.values()
    assert left.end_at - time.time() < 16  # it would end by itself
    await open_driver()  # on the same home
    await until_async(lambda: not e2b.cloud.sandboxes)


@pytest.mark.requirement("e2b:orphans")
async def test_sandboxes_of_another_home_are_left_alone_and_those_of_this_one_are_ended(
    open_driver: OpenDriver, built: EnvironmentRef, e2b: LoopbackE2B, tmp_path: Path
) -> None:
    driver = await open_driver()
    sandbox = await serving(driver, built)
    other = await E2BDriver.open(driver.settings, None, tmp_path / "another")
    assert await other.leases.sweep() == 0
    assert await ask(sandbox) == "1"
    mark = {**e2b.cloud.sandboxes[sandbox.link.machine.id].metadata, "codewords-runtime": "an earlier one"}
    lost = await driver.account.create("base", ttl=60, metadata=mark, network={}, internet=True, key="lost")
    assert await driver.leases.sweep() == 1
    assert lost.id not in e2b.cloud.sandboxes
    assert await ask(sandbox) == "2"
    await sandbox.kill()
    await other.close()


@pytest.mark.requirement("e2b:private")
async def test_a_machine_is_reached_with_its_traffic_token_only_and_its_session_by_its_host_only(
    open_driver: OpenDriver, built: EnvironmentRef, e2b: LoopbackE2B
) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    driver = await open_driver()
    sandbox = await serving(driver, built)
    uri, headers = driver.account.address(sandbox.link.machine)
    without = {name: value for name, value in headers.items() if "token" not in name}
    async with httpx.AsyncClient() as client:
        assert (await client.get(e2b.sandbox_url, headers=without)).status_code == 403
    async with connect(
        uri, additional_headers=headers, proxy=None
    ) as intruder:  # the token, not the session's secret
        with pytest.raises(ConnectionClosed) as closed:
            await intruder.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4403
    assert await ask(sandbox) == "1"
    await sandbox.kill()


@pytest.mark.requirement("e2b:reconnect")
async def test_a_connection_that_breaks_is_made_again_and_no_output_is_lost_or_doubled(
    open_driver: OpenDriver, built: EnvironmentRef
) -> None:
    driver = await open_driver()
    sandbox = await serving(driver, built, TICKER)
    heard = Heard(sandbox)
    for _ in range(3):
        there = len(await heard.lines(1))
        sandbox.link.drop()
        await heard.lines(there + 20)
    assert await ask(sandbox) == "1"
    await sandbox.kill()
    lines = (await heard.end()).split("\n")[:-1]
    assert lines == [str(number) for number in range(len(lines))]


FETCH = """
import json, os, urllib.request
seen = {}
for url in os.environ["URLS"].split():
    try:
        seen[url] = urllib.request.urlopen(url, timeout=20).read().decode()
    except Exception as error:
        seen[url] = "refused"
print(json.dumps(seen))
"""


@pytest.mark.requirement("e2b:egress")
@pytest.mark.parametrize("by", ["machine", "runtime"])
async def test_the_policy_holds_wherever_connections_are_made_and_the_runtime_hears_of_them(
    open_driver: OpenDriver, built: EnvironmentRef, e2b: LoopbackE2B, by: str
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\noutside")
        writer.close()

    events: list[EgressEvent] = []
    outside = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = outside.sockets[0].getsockname()[1]
    internet = Internet({"allowed.example": ("127.0.0.1", port), "other.example": ("127.0.0.1", port)})
    e2b.cloud.set_internet(internet)
    policy = EgressPolicy("internet", frozenset({f"127.0.0.1:{port}"}))
    egress = Egress(policy, relayed_to("127.0.0.1", 9), on_event=lambda _, event: events.append(event))
    driver = await open_driver(egress, e2b_egress=by)
    hosts = [HOST_ALIAS, "allowed.example", "other.example", "169.254.169.254"]
    urls = [f"http://{host}:{port}/" for host in hosts]
    wanted = spec(built, FETCH, network=True, URLS=" ".join(urls))
    egress.expect(wanted.id, policy.narrowed({HOST_ALIAS, "allowed.example"}))
    try:
        sandbox = await driver.start(wanted)
        heard = Heard(sandbox)
        await sandbox.wait()
        seen = json.loads((await heard.end()).split("\n")[0])
    finally:
        egress.forget(wanted.id)
        e2b.cloud.set_internet(Internet(real=True))
        outside.close()
    # a name that only E2B's internet has is out of reach by way of the runtime
    assert [seen[url] for url in urls] == [
        "outside", "outside" if by == "machine" else "refused", "refused", "refused",
    ]  # fmt: skip
    told = {(event.host, event.allowed) for event in events}
    assert {(HOST_ALIAS, True), ("other.example", False), ("169.254.169.254", False)} < told
    assert by == "runtime" or ("allowed.example", True) in told
    await sandbox.kill()


@pytest.mark.requirement("e2b:egress")
async def test_the_policy_stands_around_the_machine_as_e2bs_own_rules_too(
    open_driver: OpenDriver, built: EnvironmentRef, e2b: LoopbackE2B
) -> None:
    egress = Egress(EgressPolicy("internet"), relayed_to("127.0.0.1", 9))
    driver = await open_driver(egress)
    narrow, none = spec(built, COUNTER, network=True), spec(built, COUNTER, network=False)
    egress.expect(narrow.id, egress.policy.narrowed(["pypi.org", "example.com"]))
    sandboxes = [await driver.start(one) for one in (narrow, none)]
    rules = [e2b.cloud.sandboxes[sandbox.link.machine.id].network for sandbox in sandboxes]
    assert rules[0]["allowOut"] == ["example.com", "pypi.org"]
    assert rules[0]["denyOut"] == ["0.0.0.0/0"]
    assert rules[1]["denyOut"] == ["0.0.0.0/0"]
    assert all(one["allowPublicTraffic"] is False for one in rules)
    egress.forget(narrow.id)
    await asyncio.gather(*(sandbox.kill() for sandbox in sandboxes))


@pytest.mark.requirement("e2b:pace")
async def test_no_more_sandboxes_run_at_once_than_are_allowed_and_the_next_one_waits_its_turn(
    open_driver: OpenDriver, built: EnvironmentRef, e2b: LoopbackE2B
) -> None:
    driver = await open_driver(e2b_sandboxes=1)
    first = await serving(driver, built)
    waiting = asyncio.create_task(driver.start(spec(built, COUNTER)))
    assert await ask(first) == "1"
    assert len(e2b.cloud.sandboxes) == 1
    assert not waiting.done()
    await first.kill()
    assert await ask(await waiting) == "1"
    await (await waiting).kill()


@pytest.mark.requirement("e2b:pace")
async def test_sandboxes_are_made_within_the_rate_that_the_account_has(
    open_driver: OpenDriver, built: EnvironmentRef, e2b: LoopbackE2B
) -> None:
    driver = await open_driver(e2b_creates=2)
    loop = asyncio.get_running_loop()
    began, before = loop.time(), e2b.cloud.created
    sandboxes = await asyncio.gather(*(driver.start(spec(built, COUNTER)) for _ in range(6)))
    assert e2b.cloud.created - before == 6
    assert loop.time() - began >= (6 - 2) / 2, "two at once, then one each half a second"
    await asyncio.gather(*(sandbox.kill() for sandbox in sandboxes))


@pytest.mark.requirement("e2b:pace")
async def test_a_refusal_for_want_of_room_is_waited_out_and_one_that_lasts_is_said(
    open_driver: OpenDriver, built: EnvironmentRef, e2b: LoopbackE2B, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = await open_driver()
    body = {"code": 429, "message": "you have reached the maximum number of concurrent E2B sandboxes (20)"}
    e2b.faults.add(CREATE, status=429, body=body, headers={"Retry-After": "0"}, times=5)
    sandbox = await serving(driver, built)
    await sandbox.kill()
    monkeypatch.setattr("codewords_mcp.runtime.sandboxes.e2b.machine_pool._BUSY_SECONDS", 1.0)
    e2b.faults.add(CREATE, status=429, body=body, headers={"Retry-After": "0"}, times=0)
    with pytest.raises(TooBusy, match="as its plan allows") as busy:
        await driver.start(spec(built, COUNTER))
    assert "CODEWORDS_E2B_SANDBOXES" in busy.value.hint
    e2b.faults.clear()


@pytest.mark.requirement("e2b:usage")
async def test_usage_says_what_the_machine_cost_by_its_size_and_seconds(
    open_driver: OpenDriver, built: EnvironmentRef
) -> None:
    driver = await open_driver(e2b_cpu_price=1.0, e2b_memory_price=0.5)
    sandbox = await serving(driver, built)
    await sandbox.kill()
    usage = await sandbox.usage()
    assert usage.cost == pytest.approx(
        usage.wall_seconds * (2 * 1.0 + 2 * 0.5), rel=1e-6
    )  # 2 processors, 2 GiB
