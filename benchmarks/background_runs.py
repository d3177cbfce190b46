"""What a background run costs: until its result is read, in CPU, at full load, on its way through the line, and
with many schedules that are not due. Each beside a peer measured in turns: a bare dbos, and Prefect, which is installed once
under `$XDG_CACHE_HOME` or `~/.cache`, and left out where it cannot be.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from _bench import (
    Options,
    Question,
    clean_environment,
    interleave,
    interleave_several,
    options,
    report,
)  # fmt: skip
from _door import PROJECT, WARM, served
from _prefect import NAME as PREFECT
from _prefect import prefect
from _sandboxes import ANSWER, BODY, CODE
from _stored import fill
from tests.support.postgres import serving_postgres
from tests.support.served_runtime import ServedRuntime

from codewords_mcp.runtime.runs.queue import RunQueue
from codewords_mcp.runtime.store.database import Database

TICK = os.sysconf("SC_CLK_TCK")
CLIENTS = 8
BARE = "a bare dbos workflow of one step, in process, without any sandbox or HTTP"


class Asker:
    """One kept-alive connection to a runtime."""

    def __init__(self, runtime: ServedRuntime, service: str) -> None:
        parts = urllib.parse.urlsplit(runtime.url)
        self._http = http.client.HTTPConnection(parts.hostname or "", parts.port)
        self._headers = {"Authorization": runtime.key, "Content-Type": "application/json"}
        self._service = service

    def _ask(self, method: str, path: str, body: bytes | None = None) -> dict:
        self._http.request(method, path, body, self._headers)
        answer = self._http.getresponse()
        data = json.loads(answer.read())
        assert answer.status == 200, data
        return data

    def background(self) -> float:
        """Milliseconds from asking until a waiting /result has the answer."""
        began = time.perf_counter()
        run_id = self._ask("POST", f"/run_async/{self._service}/", BODY)["request_id"]
        record = self._ask("GET", f"/result/{run_id}?timeout=60")
        took = (time.perf_counter() - began) * 1000
        assert record["responseJson"] == ANSWER, record
        return took

    def waited_for(self) -> float:
        """Milliseconds of the same run, waited for."""
        began = time.perf_counter()
        assert self._ask("POST", f"/run/{self._service}/", BODY) == ANSWER
        return (time.perf_counter() - began) * 1000


def cpu_seconds(pid: int) -> float:
    """Of the process itself, without its sandboxes."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


@contextmanager
def bare_dbos(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, PROJECT / "benchmarks" / "_bare_dbos.py", folder], env=clean_environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def told(process: subprocess.Popen[str], line: str) -> float:
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def latency(
    asker: Asker,
    bare: subprocess.Popen[str],
    other: subprocess.Popen[str] | None,
    store: str,
    chosen: Options,
) -> list[Question]:
    asked = f"warm background run until its result is read, {store}"
    found = [(Question(asked, BARE, "ms", None, at_most=25), lambda: told(bare, "step"))]
    if other is not None:
        beside = Question(f"{asked}, beside Prefect", PREFECT, "ms", 1.0, at_most=25)
        found.append((beside, lambda: told(other, "task")))
    interleave_several(found, asker.background, chosen.runs)
    return [question for question, _ in found]


def over_waiting(asker: Asker, chosen: Options) -> Question:
    question = Question(
        "warm background run until its result is read",
        "the same run, waited for",
        "ms",
        None,
        adds_at_most=15,
    )
    interleave(question, asker.background, asker.waited_for, chosen.runs)
    return question


def cost(runtime: ServedRuntime, asker: Asker, chosen: Options) -> Question:
    each = 20 if chosen.quick else 100

    def cpu_of(ask: object) -> float:
        before = cpu_seconds(runtime.pid)
        for _ in range(each):
            ask()  # type: ignore[operator]
        return (cpu_seconds(runtime.pid) - before) / each * 1000

    question = Question(
        "CPU of the runtime for a background run", "the same run, waited for", "ms", None, adds_at_most=10
    )
    interleave(question, lambda: cpu_of(asker.background), lambda: cpu_of(asker.waited_for), 3)
    return question


def throughput(runtime: ServedRuntime, service: str, chosen: Options) -> Question:
    total = 80 if chosen.quick else 600
    askers = [Asker(runtime, service) for _ in range(CLIENTS)]

    def sliced(name: str) -> float:
        # each client has its own share, since a connection takes one request at a time
        began = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda a: [getattr(a, name)() for _ in range(total // CLIENTS)], askers))
        return total / (time.perf_counter() - began)

    question = Question(
        "background runs a second, a sandbox each", "the same runs, waited for", "/s", None, at_least=75
    )
    interleave(question, lambda: sliced("background"), lambda: sliced("waited_for"), 2)
    return question


def through_the_line(folder: Path, bare: subprocess.Popen[str]) -> Question:
    # Far more than the queue hands out between two looks: few runs measure how long they wait for the next one.
    total = 1000
    database = Database.open(folder)

    async def measure() -> list[float]:
        done = asyncio.Event()
        seen = 0

        async def execute(_run_id: str) -> None:
            nonlocal seen
            seen += 1
            if seen % total == 0:
                done.set()

        queue = RunQueue(database.engine, "benchmark", limit=100, execute=execute)
        await queue.open()
        rates: list[float] = []
        for turn in range(3):
            done.clear()
            began = time.perf_counter()
            for n in range(total):
                await database.write(
                    lambda c, n=n, turn=turn: queue.put(
                        c, f"{turn}-{n}", 1, partition=f"o{n % 5}", priority=50, delay=0.0
                    )
                )
            await done.wait()
            rates.append(total / (time.perf_counter() - began))
        await queue.close()
        return rates

    question = Question(
        "runs a second through the line, doing nothing",
        "the same through a bare dbos queue",
        "/s",
        None,
        at_least=1_000,
    )
    question.ours = asyncio.run(measure())
    question.peer = [total / told(bare, f"queue {total}") * 1000 for _ in range(3)]
    database.close()
    return question


def idle(with_schedules: ServedRuntime, without: ServedRuntime, chosen: Options) -> list[Question]:
    seconds = 4 if chosen.quick else 20

    def share(runtime: ServedRuntime) -> float:
        before = cpu_seconds(runtime.pid)
        time.sleep(seconds)
        return max((cpu_seconds(runtime.pid) - before) / seconds * 100, 0.01)

    def threads(runtime: ServedRuntime) -> float:
        return len(os.listdir(f"/proc/{runtime.pid}/task"))

    cpu = Question("CPU while idle with 1,000 schedules", "idle with none", "% of a core", None, at_most=2)
    interleave(cpu, lambda: share(with_schedules), lambda: share(without), 2)
    count = Question("threads with 1,000 schedules", "idle with none", "", None, adds_at_most=0)
    interleave(count, lambda: threads(with_schedules), lambda: threads(without), 1)
    return [cpu, count]


def main() -> int:
    chosen = options(__doc__ or "", runs=100, quick_runs=20)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        scheduled = folder / "full" / "home"
        scheduled.mkdir(parents=True)
        database = Database.open(scheduled)
        fill(database, stored=0, deployments=1, times=1000)
        database.close()
        empty = stack.enter_context(served(folder / "empty"))
        full = stack.enter_context(served(folder / "full"))
        bare_home, line_home = folder / "bare", folder / "line"
        for made in (bare_home, line_home):
            made.mkdir()
        bare = stack.enter_context(bare_dbos(bare_home))
        service = empty.deploy(CODE, "greeting")
        cold, warm = Asker(empty, service), Asker(empty, empty.deploy(WARM, "warm"))
        questions = idle(full, empty, chosen)
        postgres = stack.enter_context(serving_postgres())
        shared = stack.enter_context(served(folder / "shared", CODEWORDS_DATABASE_URL=postgres.url()))
        on_postgres = Asker(shared, shared.deploy(WARM, "warm"))
        with prefect(folder / "prefect") as other:
            for asker, store in ((warm, "SQLite"), (on_postgres, "PostgreSQL")):
                questions += latency(asker, bare, other, store, chosen)
        questions += [
            over_waiting(warm, chosen),
            cost(empty, cold, chosen),
            throughput(empty, service, chosen),
            through_the_line(line_home, bare),
        ]
    return report(questions, chosen)


if __name__ == "__main__":
    sys.exit(main())
