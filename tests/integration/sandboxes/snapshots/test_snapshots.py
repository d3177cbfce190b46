"""Snapshots: a run goes on from where its script's imports ended, with everything of its own; what is unfit starts plainly."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.integration.sandboxes.helpers import Opened
from tests.support.sandbox_programs import Program, build_environment_of, fork_server, running, specification
from tests.support.snapshots import BEGIN, END, again, ask, fit, program
from tests.support.waiting import PATIENT_TIMEOUT, until_async

from codewords_mcp.errors import ProgramFailed, SandboxFailed
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, Limits, Sandbox, SandboxSpec
from codewords_mcp.runtime.sandboxes.forkserver.snapshots import MemorySnapshot, Snapshots
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver
from codewords_mcp.runtime.sandboxes.namespaces.isolation import Isolation

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("sandbox:snapshots")]

OWN = """
import secrets, socket, ssl, sys, threading, time, uuid

seen = []
held = list(range(40_000))
lock = threading.Lock()

def __before_snapshot__():
    seen.append("before")

def __after_restore__():
    seen.append("after")
    app.state.restored = [time.time(), time.monotonic()]

@app.get("/")
def own():
    status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
    random_ones = [random.random(), str(uuid.uuid4()), str(uuid.uuid1()), secrets.token_hex(8), ssl.RAND_bytes(8).hex(), os.urandom(8).hex()]
    threads = []
    started = threading.Thread(target=lambda: threads.append(threading.get_native_id()))
    with lock:
        started.start()
        started.join()
    child = os.fork()
    if child == 0:
        os._exit(7)
    held.extend(range(4_000_000))
    earlier = sorted(set(os.listdir("/tmp")) | {name for name in os.listdir("/app") if name != "main.py"})
    open("/tmp/left", "w").close()
    app.state.left = getattr(app.state, "left", 0) + 1
    return {
        "forks": forks, "seen": seen, "random": random_ones, "worked": worked, "pid": os.getpid(),
        "native": threading.main_thread().native_id, "threads": len(threads), "child": os.waitpid(child, 0)[1] >> 8,
        "held": [len(held), sum(held[:40_000]), held[-1]], "earlier": earlier, "left": app.state.left,
        "secret": os.environ.get("SECRET"), "pids": sorted(filter(str.isdigit, os.listdir("/proc"))),
        "fds": [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{fd}")],
        "rights": {name: status[name].strip() for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Uid")},
        "spaces": {name: os.readlink(f"/proc/self/ns/{name}") for name in ("pid", "mnt", "net", "ipc", "uts", "user", "cgroup")},
        "shared": [line for line in open("/proc/self/maps") if line.split()[1][3] == "s" and "w" in line.split()[1]],
        "runnable": [line for line in open("/proc/self/maps") if "wx" in line.split()[1] or line.startswith("2000000")],
        "written": sorted(name for name in dir() if name == "never"), "host": socket.gethostname(),
        "times": [*app.state.restored, time.time(), time.monotonic()], "hash": hash("text"), "set": list({*"abcdefgh"}),
    }
"""


@pytest.fixture(params=["", "3.13"], ids=["own", "3.13"])
async def any_environment(
    request: pytest.FixtureRequest, driver: LocalDriver, environment: EnvironmentRef
) -> EnvironmentRef:
    """With a fork server up: this Python's, and one with immortal objects."""
    if request.param:
        environment = build_environment_of(request.param, Path("/usr"))
        await fork_server(driver, environment)
    return environment


async def test_each_run_goes_on_after_the_imports_with_everything_of_its_own(
    driver: LocalDriver, any_environment: EnvironmentRef
) -> None:
    spec = program(any_environment, OWN, SECRET="of the first run", COMMON="1")
    plain, _ = await ask(driver, replace(again(spec), snapshot=None))
    await fit(driver, spec)
    began = [time.time(), time.monotonic()]
    runs = [await ask(driver, again(spec)) for _ in range(3)]
    ended = [time.time(), time.monotonic()]
    other, _ = await ask(driver, replace(again(spec), env={"SECRET": "of another", "COMMON": "1"}))
    answers = [answer for answer, _ in runs]

    assert (plain["forks"], plain["seen"]) == ([], ["after"])
    for answer, printed in runs:
        assert printed.startswith("imported\n")
        # Where it goes on it is a fork, to everything that asks.
        assert (answer["forks"], answer["pid"], answer["native"]) == ([2], 2, 2)
        assert (answer["seen"], answer["pids"]) == (["before", "after"], ["1", "2"])
        assert answer["held"] == [4_040_000, sum(range(40_000)), 3_999_999]
        assert (answer["threads"], answer["child"], answer["worked"]) == (1, 7, plain["worked"])
        assert (answer["earlier"], answer["left"], answer["secret"]) == ([], 1, "of the first run")
        for same in ("rights", "shared", "runnable", "host", "hash", "set"):
            assert answer[same] == plain[same], same
        assert len(answer["fds"]) == len(plain["fds"])
        assert not any("memfd" in name for name in answer["fds"])
        for clock in (0, 1):
            assert began[clock] < answer["times"][clock] < answer["times"][2 + clock] < ended[clock]
    for number in range(6):
        assert len({answer["random"][number] for answer in [*answers, plain]}) == 4
    assert other["secret"] == "of another"
    assert plain["rights"] == {
        **dict.fromkeys(("CapEff", "CapPrm", "CapBnd", "CapAmb"), "0" * 16),
        "NoNewPrivs": "1", "Seccomp": "2", "Uid": plain["rights"]["Uid"],
    }  # fmt: skip


async def test_runs_of_one_snapshot_share_no_namespace(
    driver: LocalDriver, environment: EnvironmentRef
) -> None:
    spec = program(environment, OWN, COMMON="1")
    await fit(driver, spec)
    # At the same time: the kernel gives the numbers of those that have ended to others.
    async with running(driver, again(spec)) as one, running(driver, again(spec)) as two:
        first, second = [json.loads((await started.ask("GET"))[1]) for started in (one, two)]
    assert first["forks"] == second["forks"] == [2]
    assert set(first["spaces"].values()).isdisjoint(second["spaces"].values())


async def test_a_snapshot_holds_nothing_of_a_run_and_nobody_can_change_it(
    driver: LocalDriver, environment: EnvironmentRef
) -> None:
    spec = program(environment, OWN, SECRET="a-secret-of-this-run-only", COMMON="a-value-of-all-runs")
    found = await fit(driver, spec)
    size = os.fstat(found.file.fd).st_size
    memory = await asyncio.to_thread(os.pread, found.file.fd, size, 0)
    assert b"a-value-of-all-runs" in memory
    assert b"a-secret-of-this-run" not in memory
    for change in (lambda: os.pwrite(found.file.fd, b"x", 0), lambda: os.ftruncate(found.file.fd, size + 1)):
        with pytest.raises(PermissionError):
            change()


UNFIT = {
    "thread": ("import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()", "threads"),
    "socket": ("import socket; kept = socket.socket()", "open after its import (socket)"),
    "file": ("kept = open('/etc/hosts')", "open after its import (/etc/hosts)"),
    "loop": ("import asyncio; kept = asyncio.new_event_loop()", "event loop open"),
    "child": ("import subprocess; kept = subprocess.Popen(['sleep', '60'])", "child processes"),
    "left": ("open('/tmp/cache', 'w').close()", "writes files in /tmp"),
    "random": ("token = random.random()", "the script takes random numbers"),
    "uuid": ("import uuid; token = uuid.uuid4()", "takes random numbers"),
    "time-uuid": ("import uuid; token = uuid.uuid1()", "takes random numbers"),
    "seed": ("random.seed(7)", "the script seeds random numbers"),
    "generator": ("import random as r; own = r.Random()", "takes random numbers"),
    "clock": ("import time; began = time.monotonic()", "the script reads the time"),
    "now": ("import datetime; began = datetime.datetime.now()", "the script reads the time"),
    "today": ("import time; began = time.strftime('%F')", "the script reads the time"),
    "clock-id": ("import time; began = time.clock_gettime(time.CLOCK_REALTIME)", "the script reads the time"),
    "pid": ("own = os.getpid()", "process number"),
    "variable": ("key = os.environ.get('SECRET')", "it reads SECRET at import"),
    "variables": ("everything = dict(os.environ)", "all variables"),
    "needed": ("key = os.environ['SECRET']", "does not come to its server"),
    "network": ("import urllib.request; urllib.request.urlopen('http://192.0.2.1/', timeout=5)", "does not come to its server"),
    "folder": ("os.chdir('/tmp')", "working folder"),
    "umask": ("os.umask(0)", "umask"),
    "limits": ("import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99))", "resource limits"),
    "priority": ("os.nice(1)", "priority"),
    "processors": ("os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})", "processors"),
    "timer": ("import signal; signal.alarm(1000)", "timers"),
    "blocked": ("import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])", "blocks signals"),
    "native": ("import faulthandler; faulthandler.enable()", "not Python's"),
    "profiler": ("import sys; sys.setprofile(None)", "profiler"),
    "shared": ("import mmap; kept = mmap.mmap(-1, 4096)", "shares memory"),
    "chatty": ("print('x' * 20_000)", "writes more than"),
    "crash": ("'SECRET' in os.environ or os.abort()", "was ended before its server (signaled)"),
    "server": ("'SECRET' in os.environ or __import__('socketserver').TCPServer(('', 8000), None).serve_forever()", "another server than uvicorn"),
    "slow": ("'SECRET' in os.environ or __import__('time').sleep(600)", "takes longer than 3 seconds"),
    "large": ("kept = bytearray(os.urandom(1)) * 300_000_000", ""),
}  # fmt: skip
"""Things that a script does at import, with what is said of them."""


@pytest.mark.parametrize(("does", "why"), UNFIT.values(), ids=UNFIT)
async def test_a_script_that_is_unfit_is_told_why_and_starts_without(
    driver: LocalDriver, environment: EnvironmentRef, does: str, why: str
) -> None:
    answer = '\n@app.get("/")\ndef index():\n    return [forks, worked > 0]\n'
    spec = program(environment, does + answer, SECRET="x")
    if "longer" in why:
        spec = replace(spec, limits=replace(spec.limits, start_timeout=1))
    reasons = await driver.judge_snapshot(spec)
    assert reasons
    assert why in "; ".join(reasons)
    spec = replace(spec, limits=Limits(start_timeout=90))
    if "network" not in does and "urllib" not in does:
        assert (await ask(driver, again(spec)))[0] == [[], True]


async def test_what_failed_by_the_machine_is_tried_again(
    driver: LocalDriver, environment: EnvironmentRef
) -> None:
    start_in = driver.snapshots.__dict__["_start_in"]
    killed: list[str] = []

    async def started(isolation: Isolation, spec: SandboxSpec) -> Sandbox:
        sandbox: Sandbox = await start_in(isolation, spec)
        if len(killed) < 2:
            killed.append(sandbox.id)
            await sandbox.kill()
        return sandbox

    spec = program(environment, '@app.get("/")\ndef index():\n    return [forks, "killed"]\n')
    server = await driver.forks.server(spec)
    assert server is not None
    snapshots = Snapshots(started)
    found = await snapshots.judge(server, spec)
    await snapshots.close()
    assert isinstance(found, MemorySnapshot), found
    assert len(killed) == 2


async def test_a_quick_script_and_a_start_by_exec_have_their_hook_called_too(
    driver: LocalDriver, opened: Opened, environment: EnvironmentRef, tmp_path: Path
) -> None:
    body = OWN.replace("import secrets", "import time, secrets")
    spec = replace(
        specification(environment, BEGIN.replace("1_000_000", "10") + body + END, network=False),
        snapshot=frozenset(),
    )
    assert await driver.judge_snapshot(spec) == (
        "its import takes so little that a start from a snapshot would not be faster",
    )
    async with opened(tmp_path / "run", False) as without:
        for one in (driver, without):
            assert (await ask(one, again(spec)))[0]["seen"] == ["after"]


async def test_another_version_or_configuration_has_a_snapshot_of_its_own(
    driver: LocalDriver, environment: EnvironmentRef
) -> None:
    body = 'common = os.environ["COMMON"]\n@app.get("/")\ndef index():\n    return [forks, common, VERSION]\n'
    answers: list[Any] = []
    for version in ("1", "2"):
        for common in ("a", "b"):
            spec = program(environment, f"VERSION = {version}\n" + body, COMMON=common)
            await fit(driver, spec)
            answers.append((await ask(driver, again(spec)))[0])
    assert answers == [[[2], "a", 1], [[2], "b", 1], [[2], "a", 2], [[2], "b", 2]]
    # A variable that the script did not read is no reason.
    strange = replace(again(spec), env={"COMMON": "b", "OTHER": "x"})
    assert (await ask(driver, strange))[0] == [[2], "b", 2]


async def test_memory_is_held_in_a_run_that_goes_on_from_a_snapshot(
    driver: LocalDriver, environment: EnvironmentRef
) -> None:
    body = '@app.get("/")\ndef index():\n    return len(bytearray(1 << 30))\n'
    spec = replace(program(environment, body), limits=Limits(memory=256 << 20, start_timeout=90))
    await fit(driver, spec)
    async with running(driver, again(spec)) as started:
        if driver.tier.id == "B":  # without cgroups Python itself is refused the memory
            assert (await started.ask("GET"))[0] == 500

            async def told() -> bool:
                return "MemoryError" in started.stderr

            await until_async(told, "the error in its output", PATIENT_TIMEOUT)
            return
        with pytest.raises(ProgramFailed):
            await started.ask("GET")
        assert (await started.ended()).reason == "out_of_memory"


OWN_ERRORS = {
    "raises": "int(os.environ['SECRET'])",
    "exits": "os.environ['SECRET'] == '1' or os._exit(3)",
    "hangs": "os.environ['SECRET'] == '1' or __import__('time').sleep(600)",
}


@pytest.mark.parametrize("does", OWN_ERRORS.values(), ids=OWN_ERRORS)
async def test_an_error_of_the_programs_own_does_not_end_its_snapshots(
    driver: LocalDriver, environment: EnvironmentRef, does: str
) -> None:
    body = f'def __after_restore__():\n    {does}\n@app.get("/")\ndef index():\n    return forks\n'
    spec = program(environment, body, SECRET="none")
    await fit(driver, replace(spec, env={"SECRET": "1"}))
    failing = replace(again(spec), limits=replace(spec.limits, start_timeout=2))
    async with running(driver, failing) as started:
        with pytest.raises(ProgramFailed):
            await started.sandbox.wait_ready()
    assert (await ask(driver, replace(again(spec), env={"SECRET": "1"})))[0] == [2]


async def test_a_snapshot_that_is_dropped_before_a_start_has_it_is_still_gone_on_from(
    driver: LocalDriver, environment: EnvironmentRef
) -> None:
    spec = program(environment, '@app.get("/")\ndef index():\n    return [forks, "dropped"]\n')
    found = await fit(driver, spec)
    isolation = await driver.forks.take(spec)
    assert isolation is not None
    isolation.use_snapshot(found.file)
    driver.snapshots.failed(isolation.server, spec)
    # The number is another file's at once, which the program must not get.
    other = os.open("/etc/hosts", os.O_RDONLY)
    started = Program(await driver.snapshots.__dict__["_start_in"](isolation, spec))
    try:
        assert other == found.file.fd
        assert json.loads((await started.ask("GET"))[1]) == [[2], "dropped"]
    finally:
        os.close(other)
        await started.sandbox.kill()


async def test_a_server_that_is_killed_takes_its_snapshots_along_and_the_next_takes_new_ones(
    opened: Opened, environment: EnvironmentRef, tmp_path: Path
) -> None:
    spec = program(environment, '@app.get("/")\ndef index():\n    return forks\n')
    async with opened(tmp_path / "run", True) as driver:
        await fit(driver, spec)
        assert (await ask(driver, again(spec)))[0] == [2]
        (state,) = (one for one in driver.forks.describe() if one["environment"] == str(environment.path))
        os.kill(state["pid"], signal.SIGKILL)
        assert (await ask(driver, again(spec)))[0] == []

        async def another() -> bool:
            await driver.prepare(environment)
            return driver.forks.describe()[0]["pid"] not in {None, state["pid"]}

        await until_async(another, "another server", PATIENT_TIMEOUT)
        await fork_server(driver, environment)
        await fit(driver, spec)
        assert (await ask(driver, again(spec)))[0] == [2]


@pytest.mark.parametrize("when", ["taken", "judged", "restored"])
async def test_a_driver_that_closes_meanwhile_ends_at_once_and_leaves_nothing(
    opened: Opened, environment: EnvironmentRef, tmp_path: Path, when: str
) -> None:
    """Also of a start that comes while it closes: what was ready for it has processes."""
    spec = replace(program(environment, '@app.get("/")\ndef index():\n    return forks\n'), network=True)
    async with opened(tmp_path / "run", True) as driver:
        await driver.start(specification(environment, "import time; time.sleep(600)"))
        if when == "restored":
            await fit(driver, spec)

        async def ready() -> bool:
            return driver.forks.describe()[0]["prepared"] >= 3

        await until_async(ready, "prepared isolations", PATIENT_TIMEOUT)
        live = driver.__dict__["_live"]

        async def begun() -> bool:
            return when == "restored" or any(name.startswith("snapshot-") for name in live)

        before = fds().count(SNAPSHOT_FILE)
        with capture_logs() as logs:
            work = driver.judge_snapshot(spec) if when == "judged" else driver.start(spec)
            working = asyncio.ensure_future(work)
            await until_async(begun, "a snapshot that is taken", PATIENT_TIMEOUT)
            closing = asyncio.ensure_future(driver.close())
            await asyncio.sleep(0)
            late = asyncio.ensure_future(driver.start(again(spec)))
            _, closed, refused = await asyncio.gather(working, closing, late, return_exceptions=True)
        assert closed is None
        assert isinstance(refused, SandboxFailed)
        assert not [entry for entry in logs if "not ended in time" in entry["event"]]
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["tier.json"]
        # Those of what was restored go with it.
        assert fds().count(SNAPSHOT_FILE) == before - (when == "restored")


SNAPSHOT_FILE = "/memfd:snapshot (deleted)"


def fds() -> list[str]:
    """Files and connections that this process has open."""
    paths = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    return [os.readlink(path) for path in paths if os.path.islink(path)]
