"""What a background run costs: until its result is read, in CPU, at full load, on its way through the line, and among
many stored runs and schedules. Each beside a peer measured in turns.
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

from _bench import Options, Question, clean_environment, interleave, options, report
from _door import PROJECT, WARM, served
from _sandboxes import ANSWER, BODY, CODE

from codewords_mcp.runtime.runs.queue import RunQueue
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.tables import runs, schedules

sys.path[:0] = [str(PROJECT)]
from tests.postgres import serving_postgres  # noqa: E402
from tests.serving import ServedRuntime  # noqa: E402

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


def latency(asker: Asker, bare: subprocess.Popen[str], store: str, chosen: Options) -> Question:
    question = Question(
        f"warm background run until its result is read, {store}", BARE, "ms", None, at_most=25
    )
    interleave(question, asker.background, lambda: told(bare, "step"), chosen.runs)
    return question


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
        "background runs a second, a sandbox each", "the same runs, waited for", "/s", None, at_least=40
    )
    interleave(question, lambda: sliced("background"), lambda: sliced("waited_for"), 2)
    return question


def through_the_line(folder: Path, bare: subprocess.Popen[str], chosen: Options) -> Question:
    total = 200 if chosen.quick else 1000
    database = Database.open(folder)

    async def measure() -> list[float]:
        done = asyncio.Event()
        seen = 0

        async def carry(_run_id: str) -> None:
            nonlocal seen
            seen += 1
            if seen % total == 0:
                done.set()

        queue = RunQueue(database.engine, "benchmark", limit=100, carry=carry)
        await queue.open()
        rates: list[float] = []
        for turn in range(3):
            done.clear()
            began = time.perf_counter()
            for n in range(total):
                await database.write(
                    lambda c, n=n, turn=turn: queue.put(
                        c, f"{turn}-{n}", 1, owner=f"o{n % 5}", priority=50, delay=0.0
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
        at_least=120,
    )
    question.ours = asyncio.run(measure())
    question.peer = [total / told(bare, f"queue {total}") * 1000 for _ in range(3)]
    database.close()
    return question


def fill(home: Path, stored: int, times: int) -> None:
    """A home with so many finished runs and schedules."""
    home.mkdir(parents=True, exist_ok=True)
    database, at = Database.open(home), now()
    row = {
        "owner": "local", "service_id": "other_00000000", "status": "succeeded", "response_truncated": False,
        "attempts": [], "steps": [], "usage": {}, "timings": {}, "background": True, "retries": 0, "in_queue": False,
        "deliveries": 1, "depth": 0, "priority": 50, "cancel_asked": False, "started_at": at, "completed_at": at,
    }  # fmt: skip
    for first in range(0, stored, 10_000):
        batch = [
            row | {"id": f"stored-{n}", "created_at": at - (stored - n) * 1000}
            for n in range(first, min(first + 10_000, stored))
        ]
        database.write_blocking(lambda c, batch=batch: c.execute(runs.insert(), batch))
    plan = {
        "owner": "local", "service_id": "other_00000000", "name": "", "method": "POST", "path": "/", "cron": "0 0 1 1 *",
        "timezone": "UTC", "catch_up": "skip", "overlap": "skip", "jitter": 0.0, "paused": False, "created_at": at,
        "next_at": at + 30 * 86_400_000_000, "missed": 0, "held_back": 0, "note": "",
    }  # fmt: skip
    if times:
        every = [plan | {"id": f"sch_{n}"} for n in range(times)]
        database.write_blocking(lambda c: c.execute(schedules.insert(), every))
    database.close()


def crowded(empty: Asker, full: Asker, stored: int, chosen: Options) -> Question:
    question = Question(f"background run among {stored:,} stored runs", "in an empty store", "ms", 1.2)
    interleave(question, full.background, empty.background, chosen.runs)
    return question


def idle(with_schedules: ServedRuntime, without: ServedRuntime, chosen: Options) -> Question:
    seconds = 4 if chosen.quick else 20

    def share(runtime: ServedRuntime) -> float:
        before = cpu_seconds(runtime.pid)
        time.sleep(seconds)
        return max((cpu_seconds(runtime.pid) - before) / seconds * 100, 0.01)

    question = Question("idle with 1,000 schedules", "idle with none", "% of a core", None, at_most=2)
    interleave(question, lambda: share(with_schedules), lambda: share(without), 2)
    return question


def main() -> int:
    chosen = options(__doc__ or "", runs=100, quick_runs=20)
    stored = 50_000 if chosen.quick else 1_000_000
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fill(folder / "full" / "home", stored, 1000)
        empty = stack.enter_context(served(folder / "empty"))
        full = stack.enter_context(served(folder / "full"))
        bare_home, line_home = folder / "bare", folder / "line"
        for made in (bare_home, line_home):
            made.mkdir()
        bare = stack.enter_context(bare_dbos(bare_home))
        service = empty.deploy(CODE, "greeting")
        cold, warm = Asker(empty, service), Asker(empty, empty.deploy(WARM, "warm"))
        questions = [
            idle(full, empty, chosen),
            latency(warm, bare, "SQLite", chosen),
            over_waiting(warm, chosen),
            cost(empty, cold, chosen),
            throughput(empty, service, chosen),
            through_the_line(line_home, bare, chosen),
            crowded(warm, Asker(full, full.deploy(WARM, "warm")), stored, chosen),
        ]
        postgres = stack.enter_context(serving_postgres())
        shared = stack.enter_context(served(folder / "shared", CODEWORDS_DATABASE_URL=postgres.url()))
        questions.insert(2, latency(Asker(shared, shared.deploy(WARM, "warm")), bare, "PostgreSQL", chosen))
    return report(questions, chosen)


if __name__ == "__main__":
    sys.exit(main())
