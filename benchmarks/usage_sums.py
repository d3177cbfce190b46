"""How long does it take to sum up what a million runs of a day used?

The peer is the plain sum, that reads each of the runs, on the same database; also told is how long it takes to add them up in the
background, as after an upgrade, and what of that time one transaction takes.

    python benchmarks/usage_sums.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _bench import Options, Question, interleave, options, report
from _sandboxes import quiet
from _stored import fill
from sqlalchemy import Connection, text
from tests.support.postgres import serving_postgres

from codewords_mcp.runtime.store import summing, usage
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

PEER = "the plain sum of all runs"
PLAIN = text(
    "SELECT service_id, count(*), sum(CASE WHEN status = 'succeeded' THEN 1 ELSE 0 END), sum(started_at - created_at),"
    " sum(running_at - started_at), sum(completed_at - running_at), sum(cpu_seconds), max(peak_memory), sum(egress_in),"
    " sum(egress_out), sum(cost) FROM runs WHERE created_at >= :since AND status <> 'provisioned' GROUP BY service_id"
)


def timed(database: Database, ask: Callable[[Connection], Any]) -> Callable[[], float]:
    """Milliseconds in a transaction of its own."""

    def measure() -> float:
        began = time.perf_counter()
        database.write_blocking(ask)
        return (time.perf_counter() - began) * 1000

    return measure


def measure(chosen: Options, folder: Path, url: str | None, name: str) -> list[Question]:
    stored = 100_000 if chosen.quick else 1_000_000
    # What our sums read does not depend on how many runs there are.
    target = None if chosen.quick else 0.05 if url is None else 0.1
    folder.mkdir()
    database = Database.open(folder, url)
    fill(database, stored=stored, deployments=1000, times=0, summed=False)
    since = (now() // usage.DAY - 29) * usage.DAY
    ours = timed(database, lambda c: usage.sums(c, None, by="workflow", since=since))
    plain = timed(database, lambda c: c.execute(PLAIN, {"since": since}).all())
    before = Question(f"sums of {stored:,} runs by workflow, none added up, {name}", PEER, "ms", None)
    interleave(before, ours, plain, 2)
    began = time.perf_counter()
    asyncio.run(summing.sum_up(database))
    took = time.perf_counter() - began
    print(
        f"{name}: {stored:,} runs added up in {took:.1f} s, {took / stored * 1e6:.0f} µs each",
        file=sys.stderr,
    )
    after = Question(f"sums of {stored:,} runs by workflow, {name}", PEER, "ms", target)
    interleave(after, ours, plain, chosen.runs)
    by_day = timed(database, lambda c: usage.sums(c, "local", by="day", since=since))
    of_days = Question(f"sums of {stored:,} runs by day, {name}", PEER, "ms", target)
    interleave(of_days, by_day, plain, chosen.runs)
    database.close()
    return [before, after, of_days]


def main() -> int:
    """Measure and report."""
    quiet()
    chosen = options((__doc__ or "").splitlines()[0], runs=10, quick_runs=5)
    with tempfile.TemporaryDirectory() as folder, serving_postgres() as postgres:
        questions = measure(chosen, Path(folder) / "sqlite", None, "SQLite")
        questions += measure(chosen, Path(folder) / "postgres", postgres.url(), "PostgreSQL")
    return report(questions, chosen)


if __name__ == "__main__":
    sys.exit(main())
