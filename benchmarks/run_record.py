"""What do the record and the log of a synchronous run cost, over a run that leaves none?

The peer is the same runtime in the same process, which for that one run writes neither row nor line. The program prints ten
lines; asked are a sandbox that is shared by runs, where little else is there to wait for, and one of its own.

    python benchmarks/run_record.py [--quick] [--json]
"""

# pyright: basic, reportOptionalMemberAccess=false
from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import uvloop
from _bench import Options, Question, options, report
from _sandboxes import quiet
from tests.support.background_runs import with_options
from tests.support.postgres import serving_postgres
from tests.support.runtime import deploy, fetch, make_home, open_runtime, workflow

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.runs.run_logs import RunLog

PEER = "the same run, that leaves no record and no log"
TALKER = workflow(
    """
@app.post("/")
async def talk(request: Request):
    for n in range(10):
        print("line", n, flush=True)
    return {"ok": True}
""",
    title="Talker",
)
SHARED = with_options(TALKER, 'isolation = "instance"')


@contextmanager
def unrecorded(runtime: Runtime) -> Generator[None]:
    """A run that begins meanwhile leaves nothing, also no last words of its sandbox."""
    nothing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    nothing.set_result(None)
    house = runtime._container

    def deaf(run_id: str) -> RunLog:
        return RunLog(house.dispatcher._journal, run_id, -1)

    with (
        patch.object(house.database, "write_soon", lambda _fn, *_, **__: nothing),
        patch.object(house.dispatcher._journal, "open", deaf),
    ):
        yield


async def milliseconds(runtime: Runtime, service: str) -> float:
    began = time.perf_counter()
    status, body, _ = await fetch(runtime, service, {})
    took = (time.perf_counter() - began) * 1000
    assert (status, body) == (200, b'{"ok":true}'), (status, body)
    return took


async def compare(runtime: Runtime, service: str, name: str, runs: int) -> Question:
    question = Question(f"synchronous run, {name}", PEER, "ms", None, adds_at_most=1.5)
    for number in range(runs + 5):
        ours = await milliseconds(runtime, service)
        with unrecorded(runtime):
            peer = await milliseconds(runtime, service)
        if number >= 5:
            question.ours.append(ours)
            question.peer.append(peer)
        await runtime._container.database.drained()
    return question


async def measure(chosen: Options, url: str | None, folder: Path, database: str) -> list[Question]:
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(open_runtime(make_home(folder), database_url=url))
        shared, own = await deploy(runtime, SHARED, name="shared"), await deploy(runtime, TALKER, name="own")
        return [
            await compare(runtime, shared, f"shared sandbox, {database}", chosen.runs),
            await compare(runtime, own, f"a sandbox of its own, {database}", chosen.runs // 2),
        ]


def main() -> int:
    """Measure and report."""
    quiet()
    sys.setswitchinterval(0.0005)  # as `serve` does
    chosen = options((__doc__ or "").splitlines()[0], runs=400, quick_runs=100)
    with tempfile.TemporaryDirectory() as folder, serving_postgres() as postgres:
        run: Callable[..., list[Question]] = lambda *given: uvloop.run(measure(chosen, *given))  # noqa: E731
        questions = run(None, Path(folder) / "sqlite", "SQLite")
        questions += run(postgres.url(), Path(folder) / "postgres", "PostgreSQL")
    return report(questions, chosen)


if __name__ == "__main__":
    sys.exit(main())
