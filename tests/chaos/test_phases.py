"""kill -9 of a runtime's driver in each phase of a sandbox's life: nothing is left once the next one has started."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.processes import descendants, until_gone
from tests.support.sandbox_programs import build_environment

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("sandbox:killed-in-each-phase")]
PHASES = ("prepare", "warm", "start", "isolated", "running", "stopping", "ending", "closing")
"""The first two are those of fork servers."""
OWNER = '''
import asyncio, json, sys, threading
from pathlib import Path
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, SandboxSpec
from codewords_mcp.runtime.sandboxes.forkserver import fork_isolation
from codewords_mcp.runtime.sandboxes.host import paths
from codewords_mcp.runtime.sandboxes.namespaces import driver, isolation

run_dir, path, prefix, version, phase, way = sys.argv[1:]
CODE = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
open("/tmp/mine", "w").write("x" * 100_000)
print("ready", flush=True)
time.sleep(600)
"""

def here(opened):
    print(json.dumps({"cgroups": [str(folder) for folder in opened.cgroups]}), flush=True)

async def hang(opened):
    here(opened)
    await asyncio.Event().wait()

def block(opened):
    here(opened)
    threading.Event().wait()

async def main():
    environment = EnvironmentRef(Path(path), Path(prefix), version)
    opened = await driver.LocalDriver.open(None, Path(run_dir), forking=way == "fork", max_warm=2 if phase == "warm" else 0)
    if way == "fork":
        await opened.prepare(environment)
        if phase == "prepare":
            await hang(opened)
        while not any(one["starts"] == "forks" for one in opened.forks.describe()):
            await asyncio.sleep(0.01)
    kind = fork_isolation.ForkIsolation if way == "fork" else isolation.ExecIsolation
    if phase == "start":
        kind._expect = lambda *_: hang(opened)  # the first answer from inside
    elif phase == "isolated":
        kind.run = lambda *_: hang(opened)
    elif phase == "ending":
        isolation.Isolation.remove = lambda *_: block(opened)
    elif phase == "closing":
        paths.DriverFolder.close = lambda *_: block(opened)
    sandbox = await opened.start(SandboxSpec("one", environment, CODE, {}))
    async for _ in sandbox.output():
        break
    if phase == "warm":
        while not any(one["warm"] for one in opened.forks.describe()):
            await asyncio.sleep(0.01)
    if phase in ("running", "warm"):
        await hang(opened)
    if phase == "stopping":
        stopping = asyncio.ensure_future(sandbox.stop(600))
        await asyncio.sleep(0)
        await hang(opened)
    if phase == "closing":
        await opened.close()
    await sandbox.kill()

asyncio.run(main())
'''


@pytest.fixture(scope="module")
def environment() -> EnvironmentRef:
    return build_environment()


async def facts_of(owner: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What it says when it is there; its log before that is passed over."""
    assert owner.stdout
    while True:
        line = await asyncio.to_thread(owner.stdout.readline)
        assert line, "it ended before it was there"
        if line.startswith(b"{"):
            return json.loads(line)


@pytest.mark.parametrize(
    ("way", "phase"), [("fork", phase) for phase in PHASES] + [("exec", phase) for phase in PHASES[2:]]
)
async def test_a_runtime_killed_in_any_phase_leaves_nothing_after_the_next_start(
    environment: EnvironmentRef, tmp_path: Path, way: str, phase: str
) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    place = (str(run_dir), str(environment.path), str(environment.base_prefix), environment.python_version)
    with subprocess.Popen([sys.executable, "-c", OWNER, *place, phase, way], stdout=subprocess.PIPE) as owner:
        facts = await asyncio.wait_for(facts_of(owner), 60)
        family = descendants(owner.pid)
        owner.send_signal(signal.SIGKILL)
    await until_gone(family)
    successor = await LocalDriver.open(None, run_dir)
    await successor.close()
    assert [path.name for path in run_dir.iterdir()] == ["tier.json"]
    assert [folder for folder in facts["cgroups"] if Path(folder).exists()] == []
    assert str(run_dir) not in Path("/proc/self/mountinfo").read_text(encoding="utf-8")
