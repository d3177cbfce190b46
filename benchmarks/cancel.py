"""How long after a cancel is asked for is the sandbox gone, on the replica that runs it and on another?

Seen from the host: until no process of the sandbox is left. The peer is `kill -9` of the process group of the same program
run by `uv run --script`, until none of its processes is left.

    python benchmarks/cancel.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from _bench import Question, interleave, options, report
from _door import served
from _sandboxes import UvRun, ask_port, greeting_environment
from tests.support.postgres import serving_postgres
from tests.support.runtime import workflow
from tests.support.served_runtime import ServedRuntime

from codewords_mcp.runtime.sandboxes.host.measure import processes

SLEEPER = workflow(
    """
import asyncio
@app.post("/")
async def sleep(request: Request):
    with open("/tmp/" + (await request.json())["mark"], "w"):
        await asyncio.sleep(600)
""",
    title="Sleeper",
)
PEER = "kill -9 of the process group of the same kind of program outside of any sandbox"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def until_gone(pids: list[int]) -> None:
    while any(alive(pid) for pid in pids):
        time.sleep(0.0002)


def sandbox_of(runtime: ServedRuntime, mark: str) -> list[int]:
    """Host pids of the sandbox whose program holds a file of this name open: all of its pid namespace."""
    below = processes((runtime.pid,))
    for pid in below:
        try:
            opened = [os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        if any(path.endswith(mark) for path in opened):
            inside = namespace(pid)
            return [one for one in below if namespace(one) == inside]
    return []


def namespace(pid: int) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return None


def cancelled(runs: ServedRuntime, asked: ServedRuntime, service: str) -> float:
    """Milliseconds from asking until no process of the run's sandbox is left."""
    mark = f"mark-{time.monotonic_ns()}"
    run_id = runs.call("POST", f"/run_async/{service}/", {"mark": mark})["request_id"]
    while not (sandbox := sandbox_of(runs, mark)):
        time.sleep(0.01)
    began = time.perf_counter()
    record = asked.call("POST", f"/runs/{run_id}/cancel")
    until_gone(sandbox)
    took = (time.perf_counter() - began) * 1000
    assert record["status"] == "cancelled", record
    return took


def killed(program: UvRun) -> float:
    with program.running() as (port, pid):
        ask_port(port)
        family = processes((pid,))
        began = time.perf_counter()
        os.killpg(pid, 9)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        until_gone(family)
        return (time.perf_counter() - began) * 1000


def main() -> int:
    """Measure and report."""
    chosen = options((__doc__ or "").splitlines()[0], runs=15, quick_runs=5)
    same = Question("cancel until the sandbox is gone, same replica", PEER, "ms", None, at_most=200)
    other = Question("cancel until the sandbox is gone, another replica", PEER, "ms", None, at_most=1500)
    settings = {"CODEWORDS_API_KEY": "cwk-of-this-benchmark-0123456789",
                "CODEWORDS_MASTER_KEY": "a1" * 32}  # fmt: skip
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        program = UvRun(folder, asyncio.run(greeting_environment()))
        settings["CODEWORDS_DATABASE_URL"] = stack.enter_context(serving_postgres()).url()
        one, two = (stack.enter_context(served(folder / name, **settings)) for name in ("one", "two"))
        service = one.deploy(SLEEPER, "sleeper")
        interleave(same, lambda: cancelled(one, one, service), lambda: killed(program), chosen.runs)
        interleave(other, lambda: cancelled(one, two, service), lambda: killed(program), chosen.runs)
    return report([same, other], chosen)


if __name__ == "__main__":
    sys.exit(main())
