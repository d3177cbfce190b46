"""However it ends, nothing of a sandbox is left: no process, no file, no cgroup."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.processes import alive, descendants, until_gone
from tests.support.sandbox_programs import HELLO, Program, report, running, specification
from tests.support.waiting import until_async

from codewords_mcp.runtime.sandboxes.base import Driver, EnvironmentRef, Exit
from codewords_mcp.runtime.sandboxes.drivers import open_driver
from codewords_mcp.runtime.sandboxes.forkserver import warm_pool
from codewords_mcp.runtime.sandboxes.host import measure
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver
from codewords_mcp.runtime.sandboxes.namespaces.isolation import ExecIsolation
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("sandbox:cleanup")]

FAMILY = """
    import os, signal, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            while True: time.sleep(60)
    print("ready", flush=True)
    {then}
"""


def leftovers(driver: LocalDriver) -> list[Path]:
    found = [entry for group in driver.cgroups for entry in group.iterdir() if entry.is_dir()]
    return [entry for entry in found if entry.name not in driver.reserved_names]


async def test_killing_ends_children_that_forked_twice(
    driver: LocalDriver, environment: EnvironmentRef
) -> None:
    async with running(driver, specification(environment, FAMILY.format(then="time.sleep(60)"))) as program:
        await program.until_printed("ready")
        family = measure.processes(program.local.roots)
        assert len(family) >= 5
        assert await program.sandbox.kill() == Exit("killed")
        assert [pid for pid in family if alive(pid)] == []
        assert not Path(program.sandbox.socket_path).exists()
        assert leftovers(driver) == []
        await until_gone(family)


async def test_children_end_with_the_program(driver: LocalDriver, environment: EnvironmentRef) -> None:
    async with running(driver, specification(environment, FAMILY.format(then="sys.exit(4)"))) as program:
        assert await program.ended() == Exit("exited", code=4)
        assert leftovers(driver) == []


async def test_orphans_are_reaped_while_the_program_runs(driver: Driver, environment: EnvironmentRef) -> None:
    code = """
    import json, os, time
    for _ in range(20):
        if os.fork() == 0:
            if os.fork() == 0:
                os._exit(0)
            os._exit(0)
        os.wait()
    def zombies():
        count = 0
        for name in os.listdir("/proc"):
            try:
                count += name.isdigit() and open(f"/proc/{name}/stat").read().rsplit(")")[1].split()[0] == "Z"
            except OSError:
                pass
        return count
    end = time.monotonic() + 10
    while zombies() and time.monotonic() < end: time.sleep(0.01)
    print(json.dumps(zombies()))
    """
    assert await report(driver, specification(environment, code)) == 0


async def test_a_program_killed_by_its_own_child_is_told_as_signaled(
    driver: Driver, environment: EnvironmentRef
) -> None:
    code = "import os, time\nif os.fork() == 0:\n    os.kill(os.getppid(), 9)\ntime.sleep(60)"
    async with running(driver, specification(environment, code)) as program:
        assert await program.ended() == Exit("signaled", signal=9)


async def test_closing_the_driver_ends_what_still_runs(
    driver: LocalDriver, environment: EnvironmentRef, tmp_path: Path
) -> None:
    sandboxes = [
        await driver.start(specification(environment, FAMILY.format(then="time.sleep(60)"))) for _ in range(3)
    ]
    folders = driver.cgroups
    await driver.close()
    await driver.close()
    assert [await sandbox.wait() for sandbox in sandboxes] == [Exit("killed")] * 3
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["tier.json"]
    assert [folder for folder in folders if folder.exists()] == []


OWNER = """
import asyncio, json, sys
from pathlib import Path
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, SandboxSpec
from codewords_mcp.runtime.sandboxes.drivers import open_driver
from codewords_mcp.settings import Settings

async def main():
    home, path, prefix, version, code = sys.argv[1:]
    driver = await open_driver(Settings(home=Path(home)), None, Path(home) / "run")
    environment = EnvironmentRef(Path(path), Path(prefix), version)
    for n in range(3):
        sandbox = await driver.start(SandboxSpec(f"s{n}", environment, code, {}))
        async for chunk in sandbox.output():
            break
    folders = [str(folder) for folder in driver.cgroups]
    print(json.dumps({"folders": folders}), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_kill_9_of_the_runtime_leaves_no_process_and_the_next_one_clears_the_rest(
    environment: EnvironmentRef, tmp_path: Path, driver: Driver
) -> None:
    home = tmp_path / "owner"
    home.mkdir()
    code = FAMILY.format(then="time.sleep(600)").replace("\n    ", "\n")
    arguments = [
        str(home),
        str(environment.path),
        str(environment.base_prefix),
        environment.python_version,
        code,
    ]
    owner = subprocess.Popen([sys.executable, "-c", OWNER, *arguments], stdout=subprocess.PIPE)
    assert owner.stdout
    with owner.stdout:
        line = b""
        while not line.startswith(b"{"):  # after lines of the log
            line = await asyncio.to_thread(owner.stdout.readline)
        facts = json.loads(line)
    family = descendants(owner.pid)  # what is ready for the next programs, too
    assert len(family) >= 15
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    await until_gone(family)
    assert any(path.is_dir() for path in (home / "run").iterdir())
    successor = await open_driver(Settings(home=home), None, home / "run")
    await successor.close()
    assert [path.name for path in (home / "run").iterdir()] == ["tier.json"]
    assert [folder for folder in facts["folders"] if Path(folder).exists()] == []


async def test_two_drivers_of_one_home_leave_each_other_alone(
    driver: LocalDriver, environment: EnvironmentRef, tmp_path: Path
) -> None:
    async with running(driver, specification(environment, HELLO)) as program:
        other = await open_driver(Settings(home=tmp_path), None, tmp_path / "run")
        await other.close()
        assert (await program.ask(data={"name": "Ada"}))[0] == 200


@pytest.mark.slow
@pytest.mark.requirement("sandbox:concurrency")
async def test_a_hundred_start_at_once_and_all_answer(
    driver: LocalDriver, environment: EnvironmentRef
) -> None:
    code = """
    import os
    from http.server import BaseHTTPRequestHandler, HTTPServer
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200); self.end_headers(); self.wfile.write(os.environ["NUMBER"].encode())
        def log_message(self, *args): pass
    HTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
    """

    async def one(number: int) -> bytes:
        async with running(driver, specification(environment, code, env={"NUMBER": str(number)})) as program:
            await program.sandbox.wait_ready()
            return (await program.ask("GET"))[1]

    answers = await asyncio.gather(*(one(number) for number in range(100)))
    assert answers == [str(number).encode() for number in range(100)]
    assert leftovers(driver) == []


@pytest.mark.requirement("sandbox:concurrency")
async def test_a_crowd_waits_for_the_fork_server_instead_of_starting_as_many_pythons(
    environment: EnvironmentRef, proved: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    if proved.exists():
        (run_dir / "tier.json").write_bytes(proved.read_bytes())
    driver = await LocalDriver.open(None, run_dir, max_warm=0)

    async def is_exec() -> bool:
        async with running(driver, specification(environment, "print('x')")) as program:
            return isinstance(program.local.isolation, ExecIsolation)

    try:
        by_exec = sum(await asyncio.gather(*(is_exec() for _ in range(12))))
    finally:
        await driver.close()
    assert by_exec <= (os.cpu_count() or 1)


async def test_open_descriptors_do_not_grow(driver: Driver, environment: EnvironmentRef) -> None:
    async def once() -> Program:
        async with running(driver, specification(environment, "print('x')")) as program:
            await program.ended()
            return program

    async def filled() -> None:
        """What waits ready for programs has descriptors too."""
        assert isinstance(driver, LocalDriver)
        forks = driver.forks
        await until_async(
            lambda: all(
                state["starts"] != "forks" or state["prepared"] >= warm_pool.PREPARED
                for state in forks.describe()
            )
        )

    await once()
    await filled()
    before = len(os.listdir("/proc/self/fd"))
    await asyncio.gather(*(once() for _ in range(10)))
    await filled()
    # The remover and the watchdog hold some for a moment.
    await until_async(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_a_driver_that_is_given_up_while_it_opens_takes_its_self_test_along(tmp_path: Path) -> None:
    others = _launchers()  # of drivers that other tests of this process have open
    opening = asyncio.create_task(LocalDriver.open(None, tmp_path))
    async with asyncio.timeout(60):
        while not _launchers() - others:
            await asyncio.sleep(0.001)
            assert not opening.done()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert _launchers() - others == set()
    assert [path.name for path in tmp_path.iterdir()] == []


def _launchers() -> set[int]:
    """Pids of the launchers that this process has started."""
    return {pid for pid in descendants(os.getpid())[1:] if "launch.py" in _command(pid)}


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    except OSError:
        return ""
