"""How many executions a second, a sandbox each; a hundred cold at once; and what a forked sandbox keeps in memory?

- sustained: `POST /run/{id}/` of the greeting workflow on 8 connections through the HTTP door, each run in a sandbox of its own
  that is destroyed after it; the peer is `uv run --script` of the same file, 8 at a time.
- a hundred at once: no fork server, no sandbox is there beforehand; the peer starts a hundred `uv run`.
- memory: what one more sandbox, serving, adds (unique set size of all its processes), beside a Python that runs the file.

    python benchmarks/sandbox_load.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import uvloop
from _bench import Options, Question, options, report
from _door import Client, served
from _sandboxes import (
    CODE,
    PEER_NAME,
    UvRun,
    ask,
    ask_port,
    drain,
    execute,
    greeting_environment,
    open_driver,
    quiet,
    spec,
)

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.host.measure import processes
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver
from codewords_mcp.runtime.sandboxes.namespaces.sandbox import LocalSandbox

AT_ONCE = 8
HUNDRED = 100
MIB = 1 << 20


async def sustained(clients: list[Client], seconds: float) -> float:
    """Runs per second; the last ones are waited for."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(client) for client in clients]
        began = time.perf_counter()

        async def ask_on(client: Client) -> int:
            count = 0
            while time.perf_counter() < began + seconds:
                await client.ask()
                count += 1
            return count

        counts = await asyncio.gather(*(ask_on(client) for client in opened))
        return sum(counts) / (time.perf_counter() - began)


def at_a_time(count: int, total: int, do: Callable[[], object]) -> float:
    """Seconds for so many calls in so many threads."""
    began = time.perf_counter()
    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(do) for _ in range(total)]:
            done.result()
    return time.perf_counter() - began


def rate(chosen: Options, folder: Path, uv_run: UvRun) -> Question:
    """Executions per second."""
    question = Question("executions a second, one sandbox each", PEER_NAME, "/s", None, at_least=75)
    seconds = 4 if chosen.quick else 10
    with served(folder) as runtime:
        service = runtime.deploy(CODE, "greeting")
        clients = [Client.of(runtime, service) for _ in range(AT_ONCE)]
        uvloop.run(sustained(clients, 2))
        for _ in range(2 if chosen.quick else 5):
            question.ours.append(uvloop.run(sustained(clients, seconds)))
            total = AT_ONCE * (1 if chosen.quick else 3)
            question.peer.append(total / at_a_time(AT_ONCE, total, uv_run.milliseconds))
    return question


async def hundred(environment: EnvironmentRef) -> float:
    """Seconds until a hundred sandboxes that were asked for at once have answered, nothing being warm."""
    with tempfile.TemporaryDirectory(prefix="codewords-bench-") as folder:
        driver = await LocalDriver.open(None, Path(folder) / "run")
        try:
            began = time.perf_counter()
            await asyncio.gather(*(execute(driver, environment) for _ in range(HUNDRED)))
            return time.perf_counter() - began
        finally:
            await driver.close()


def unique(pid: int) -> int:
    """Bytes of memory that go with this process: pages that nobody else maps."""
    size = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        if name in ("Private_Clean", "Private_Dirty"):
            size += int(rest.split()[0]) << 10
    return size


async def memory(environment: EnvironmentRef, uv_run: UvRun, count: int) -> Question:
    """MiB of each of `count` sandboxes that have answered once."""
    question = Question("memory that a forked sandbox adds (USS)", PEER_NAME, "MiB", None, at_most=8.0)
    async with open_driver(environment) as driver:
        running: list[LocalSandbox] = []
        readers: list[asyncio.Task[bytes]] = []
        for _ in range(count):
            sandbox = await driver.start(spec(environment))
            running.append(sandbox)
            readers.append(asyncio.create_task(drain(sandbox)))
            await ask(sandbox.socket_path)
        for sandbox in running:
            question.ours.append(sum(map(unique, processes(sandbox.roots))) / MIB)
        await asyncio.gather(*(sandbox.kill() for sandbox in running))
        await asyncio.gather(*readers)
    with ExitStack() as stack:
        for _ in range(count):
            port, pid = stack.enter_context(uv_run.running())
            await asyncio.to_thread(ask_port, port)
            question.peer.append(sum(map(unique, processes((pid,)))) / MIB)
    return question


def main() -> int:
    """Measure and report."""
    quiet()
    chosen = options(__doc__.splitlines()[0], runs=20, quick_runs=5)
    environment = asyncio.run(greeting_environment())
    cold = Question("a hundred cold ones at once, until all have answered", PEER_NAME, "s", None, at_most=1.2)
    with tempfile.TemporaryDirectory() as folder:
        uv_run = UvRun(Path(folder), environment)
        questions = [rate(chosen, Path(folder) / "rate", uv_run)]
        for _ in range(1 if chosen.quick else 3):
            cold.ours.append(uvloop.run(hundred(environment)))
            cold.peer.append(at_a_time(HUNDRED, HUNDRED, uv_run.milliseconds))
        questions += [cold, uvloop.run(memory(environment, uv_run, chosen.runs))]
    return report(questions, chosen)


if __name__ == "__main__":
    sys.exit(main())
