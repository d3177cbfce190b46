"""A browser in a sandbox beside the same Playwright and Chromium with nothing around them: first steps, later ones, memory."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from _bench import Options, Question, clean_environment, options, report
from _sandboxes import quiet

from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.lifecycle import close_container, open_container
from codewords_mcp.runtime.browser.actions import Action, Extract, Navigate
from codewords_mcp.runtime.browser.base import BrowserUser
from codewords_mcp.runtime.browser.headless import chromium
from codewords_mcp.runtime.browser.headless.driver import PROGRAM
from codewords_mcp.runtime.model.availability import Hosting
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.settings import Settings

PEER = "Playwright 1.65.2 and the same Chromium, unconfined"
_MIB = 1 << 20


def questions() -> list[Question]:
    return [
        Question("first steps of a cold browser: open, go to a page, read it", PEER, "s", 1.05),
        Question("the same steps in a later call of the run", PEER, "ms", 1.05),
        Question("memory of a browser with one page (PSS)", PEER, "MiB", 1.05),
    ]


@contextmanager
def site() -> Generator[tuple[str, int]]:
    """A page on loopback: its URL and process, since in the runtime's it would wait for the runtime's turn."""
    script = Path(__file__).with_name("_site.py")
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.terminate()


def memory_below(pid: int, but: int = 0) -> float:
    """MiB of all processes that a process has started, `but` one, each page by its share."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                parent = int((path / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(path.name))
    below, found = [one for one in parents.get(pid, []) if one != but], 0
    while below:
        one = below.pop()
        below += parents.get(one, [])
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        found += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
    return found / _MIB


async def ours(container: Container, run: str, url: str, server: int) -> tuple[float, float, float]:
    """(seconds, milliseconds, MiB) of one browser, as a service's calls get it."""
    user = BrowserUser(Caller("local", "run", run_id=run), run)
    steps: list[Action] = [Navigate(type="navigate", url=url), Extract(type="extract")]

    async def call() -> float:
        began = time.perf_counter()
        async with container.browsers.lease(user) as lease:
            for step in steps:
                await lease.tab.act(step, 60)
        return time.perf_counter() - began

    cold, second = await call(), await call()
    memory = memory_below(os.getpid(), server)
    container.browsers.run_ended(run)
    while memory_below(os.getpid(), server) > memory / 2:
        await asyncio.sleep(0.05)
    return cold, second * 1000, memory


def peer(packages: Path, program: Path, url: str) -> tuple[float, float, float]:
    """The same of plain Playwright, which a Python of its own has to import first, as ours has."""
    script = Path(__file__).with_name("_plain_browser.py")
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, script, program, url],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean_environment(PYTHONPATH=str(packages)),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        cold = time.perf_counter() - began - told["second"]
        memory = memory_below(process.pid) + _own(process.pid)
        process.communicate(b"\n")
    return cold, told["second"] * 1000, memory


def _own(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")) / _MIB


async def measure(chosen: Options) -> list[Question]:
    asked = questions()
    found = chromium.find(None)
    if found is None:
        raise SystemExit("Chromium is not installed (Debian: apt-get install chromium)")
    with site() as (url, server), tempfile.TemporaryDirectory() as folder:
        allowed = url.removeprefix("http://").rstrip("/")
        container = await open_container(
            Settings(home=Path(folder), port=0, egress_allow_private=[allowed]), Hosting()
        )
        try:
            script = parse_script(PROGRAM.read_text(encoding="utf-8"))
            packages = (await container.environments.ensure(script)).site_packages
            for number in range(chosen.runs + 1):  # the first pair warms up and is dropped
                mine = await ours(container, f"run-{number}", url, server)
                theirs = await asyncio.to_thread(peer, packages, found.program, url)
                if number:
                    for question, one, other in zip(asked, mine, theirs, strict=True):
                        question.ours.append(one)
                        question.peer.append(other)
        finally:
            await close_container(container)
    return asked


def main() -> int:
    quiet()
    chosen = options(__doc__ or "", runs=10, quick_runs=3)
    return report(asyncio.run(measure(chosen)), chosen)


if __name__ == "__main__":
    sys.exit(main())
