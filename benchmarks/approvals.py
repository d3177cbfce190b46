"""The cost of 10,000 runs that wait for a person, and the time from an answer until the workflow goes on.

One run waits for real; its rows are copied until 10,000 wait. A runtime that serves this home is compared with one that
serves an empty home: memory after the start, and the processors' time of an idle minute. Then runs that wait are answered,
one after the other, in the home with the 10,000: the time from the answer until a host gets the request that the workflow
sends next. There is no peer.

    python benchmarks/approvals.py [--quick] [--json] [--waiting 10000] [--answers 40]
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _bench import alone
from tests.integration.approvals.helpers import YES, approval_ground, ask, suspended
from tests.integration.recording.resume_ground import ResumeGround
from tests.support.runtime import ADMIN, make_home
from tests.support.served_runtime import ServedRuntime, start_runtime

_STATUS = Path("/proc")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--answers", type=int, default=40)
    chosen = parser.parse_args()
    seconds, answers = (10, 8) if chosen.quick else (60, chosen.answers)

    with tempfile.TemporaryDirectory(prefix="codewords-approvals-") as folder:
        path = Path(folder)
        asyncio.run(_wait_once(path))
        _copy(path / "home" / "codewords.db", chosen.waiting)
        waiting = _measure(path / "home", seconds)
        empty = _measure(make_home(path / "empty"), seconds)
        delays = asyncio.run(_answer(path, answers))

    memory = round(waiting[0] - empty[0], 1)
    processor = round(100 * (waiting[1] - empty[1]) / seconds, 2)
    sandboxes = waiting[2] - empty[2]
    median = round(statistics.median(delays) * 1000, 1)
    if chosen.json:
        alone(f"memory of {chosen.waiting} waiting approvals", memory, "MB", runs=1, at_most=20)
        alone(f"processor of {chosen.waiting} waiting approvals", processor, "% of a core", runs=1, at_most=1)
        alone(f"sandboxes of {chosen.waiting} waiting approvals", sandboxes, "sandboxes", runs=1, at_most=0)
        alone("answer until the workflow goes on, median", median, "ms", runs=len(delays), at_most=100)
    else:
        print(
            f"{chosen.waiting} waiting approvals: {memory} MB (at most 20), {processor} % of a core (at most 1), "
        )
        print(f"{sandboxes} sandboxes (at most 0)")
        print(f"answer until the workflow goes on: median {median} ms (at most 100), of {len(delays)}")
        print("all, ms:", [round(delay * 1000) for delay in sorted(delays)])
    return int(memory > 20 or processor > 1 or sandboxes > 0 or median > 100)


async def _wait_once(path: Path) -> None:
    async with approval_ground(path, grace=0) as ground:
        await suspended(ground.runtime, await ground.start([ask(details="Invoice 2041 " * 20)]))


def _copy(database: Path, count: int) -> None:
    """Copy the run that waits, with its request, its journal and its question."""
    connection = sqlite3.connect(database)
    (run,) = connection.execute("SELECT id FROM runs WHERE waits_for = 'answer'").fetchone()
    with connection:
        for _ in range(count - 1):
            new = str(uuid.uuid4())
            _copy_row(connection, "runs", "id", run, {"id": new, "correlation_id": new})
            _copy_row(connection, "run_requests", "run_id", run, {"run_id": new})
            _copy_row(
                connection, "run_waits", "run_id", run, {"run_id": new, "id": f"ask_{uuid.uuid4().hex}"}
            )
    connection.close()


def _copy_row(
    connection: sqlite3.Connection, table: str, key: str, value: str, values: dict[str, Any]
) -> None:
    names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    chosen = ", ".join("?" if name in values else name for name in names)
    statement = f"INSERT INTO {table} SELECT {chosen} FROM {table} WHERE {key} = ?"  # names of ours
    connection.execute(statement, [*(values[name] for name in names if name in values), value])


def _measure(home: Path, seconds: float) -> tuple[float, float, int]:
    """(resident memory in MB, seconds of processors in so many seconds, child processes) of a runtime that serves this home."""
    with start_runtime(home) as runtime:
        # What a start does once is not what waiting costs.
        time.sleep(5)
        before = _processor(runtime)
        time.sleep(seconds)
        spent = _processor(runtime) - before
        return _resident(runtime), spent, _children(runtime)


def _children(runtime: ServedRuntime) -> int:
    found = (_STATUS / str(runtime.pid) / "task").glob("*/children")
    return sum(len(path.read_text().split()) for path in found)


def _processor(runtime: ServedRuntime) -> float:
    fields = (_STATUS / str(runtime.pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _resident(runtime: ServedRuntime) -> float:
    text = (_STATUS / str(runtime.pid) / "status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS")) / 1024


async def _answer(path: Path, count: int) -> list[float]:
    """Seconds from each answer until the workflow's next request has come."""
    delays: list[float] = []
    async with approval_ground(path, grace=0) as ground:
        for number in range(-3, count):
            delay = await _answer_one(ground, f"after-{number}")
            # The first ones fill caches.
            if number >= 0:
                delays.append(delay)
    return delays


async def _answer_one(ground: ResumeGround, key: str) -> float:
    run_id = await ground.start([ground.write(f"before {key}")], [ask()], [ground.write(key)])
    question = await suspended(ground.runtime, run_id)
    came = asyncio.Event()
    loop = asyncio.get_running_loop()

    def fate(written: str) -> int:
        if written == key:
            loop.call_soon_threadsafe(came.set)
        return 200

    ground.host.fate = fate
    began = time.monotonic()
    await ground.runtime.approvals.answer(ADMIN, question.id, YES)
    await came.wait()
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
