"""Where does the processor time of an execution go? `POST /run/{id}/` of the greeting workflow on 8 connections, a sandbox each.

Processor time says less about how busy the machine is than seconds do: it is what two processors divide by executions a
second. By process: the runtime (door, record, log, network, bookkeeping); the supervisor with the prepared
isolations that it made (process 1 of each sandbox, from its fork to its end); the fork server with its programs
(likewise); the kernel's own threads, which take network and control groups apart, and are the whole machine's. The
peer is `uv run --script` of the same file.

    python benchmarks/sandbox_cpu.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import uvloop
from _bench import Question, options, report
from _door import CODE, Client, served
from _sandboxes import PEER_NAME, UvRun, ask_port, greeting_environment, quiet
from sandbox_load import AT_ONCE, sustained

from codewords_mcp.runtime.sandboxes.host.measure import processes

TICK = os.sysconf("SC_CLK_TCK")
SETTLE = 1.5
"""Seconds after the last answer until what it left is taken apart, too."""
KERNEL = 2
"""The process whose children are the kernel's threads."""
PARTS = {
    "runtime": "the runtime",
    "supervisor": "the supervisor",
    "prepared": "prepared isolations, process 1 of each",
    "server": "the fork server",
    "programs": "programs",
}
BESIDE = {"kernel": "the kernel's threads, the whole machine's", "asking": "the process that asks"}


def own(pid: int) -> float:
    """Milliseconds of a living process, all its threads."""
    total = 0
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(FileNotFoundError, ProcessLookupError):
                total += int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text("ascii").split()[0])
    return total / 1e6


def fields(pid: int) -> list[str]:
    """Of /proc/<pid>/stat, from the state on."""
    return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()


def collected(pid: int) -> float:
    """Milliseconds of a process's children that have ended."""
    return sum(map(int, fields(pid)[13:15])) / TICK * 1000


def children(pid: int) -> list[int]:
    """Of all its threads."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for thread in threads for child in (thread / "children").read_text("ascii").split()]


def kernel() -> float:
    """Milliseconds of the kernel's threads; those that ended are missed."""
    total = 0.0
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(FileNotFoundError, ProcessLookupError):
            if int(fields(int(name))[1]) == KERNEL:
                total += own(int(name))
    return total


def family(runtime: int) -> tuple[int, int]:
    """The supervisor and the server of the one fork server that a runtime has."""
    for launcher in children(runtime):
        for supervisor in children(launcher):
            for server in children(supervisor):
                if b"zygote.py" in Path(f"/proc/{server}/cmdline").read_bytes():
                    return supervisor, server
    raise SystemExit("No fork server here: programs start by exec.")


def spent(runtime: int, supervisor: int, server: int) -> dict[str, float]:
    """Milliseconds until now, by part."""
    return {
        "runtime": own(runtime),
        "supervisor": own(supervisor),
        "prepared": collected(supervisor),
        "server": own(server),
        "programs": collected(server),
    }


async def ask(clients: list[Client], total: int) -> None:
    """So many executions, shared among the clients."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(client) for client in clients]

        async def some(client: Client) -> None:
            for _ in range(total // len(clients)):
                await client.ask()

        await asyncio.gather(*(some(client) for client in opened))


def by_uv(uv_run: UvRun) -> float:
    """Milliseconds of processor time of one `uv run` and its program, until it has answered."""
    with uv_run.running() as (port, pid):
        ask_port(port)
        return sum(own(one) + collected(one) for one in processes((pid,)))


def main() -> int:
    """Measure and report."""
    quiet()
    chosen = options(__doc__.splitlines()[0], runs=5, quick_runs=2)
    total = 80 if chosen.quick else 400
    whole = Question("processor time of an execution, all its processes", PEER_NAME, "ms", None)
    parts = {name: Question(f"of it: {words}", PEER_NAME, "ms", None) for name, words in PARTS.items()}
    threads, asking = (Question(f"beside it: {words}", PEER_NAME, "ms", None) for words in BESIDE.values())
    environment = asyncio.run(greeting_environment())
    with tempfile.TemporaryDirectory() as folder, served(Path(folder) / "served") as runtime:
        uv_run = UvRun(Path(folder), environment)
        service = runtime.deploy(CODE, "greeting")
        clients = [Client.of(runtime, service) for _ in range(AT_ONCE)]
        uvloop.run(sustained(clients, 2))
        time.sleep(SETTLE)
        supervisor, server = family(runtime.pid)
        for _ in range(chosen.runs):
            before, machine, here = spent(runtime.pid, supervisor, server), kernel(), own(os.getpid())
            uvloop.run(ask(clients, total))
            asking.ours.append((own(os.getpid()) - here) / total)
            time.sleep(SETTLE)
            after = spent(runtime.pid, supervisor, server)
            for name, question in parts.items():
                question.ours.append((after[name] - before[name]) / total)
            threads.ours.append((kernel() - machine) / total)
            whole.ours.append(sum(question.ours[-1] for question in parts.values()))
            theirs = by_uv(uv_run)
            for question in (whole, *parts.values(), threads, asking):
                question.peer.append(theirs)
    return report([whole, *parts.values(), threads, asking], chosen)


if __name__ == "__main__":
    sys.exit(main())
