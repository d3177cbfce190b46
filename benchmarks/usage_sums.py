"""Costs of summing up what a million runs of a day used.

The peer is the plain sum, that reads each of the runs, on the same database, by processor time of ours and of the server.
PostgreSQL is asked twice: right after the runs are added up, when its statistics are still those of before, and after what
autovacuum does then. Also told is how long it takes to add them up in the background, as after an upgrade.

    python benchmarks/usage_sums.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from _bench import Options, Question, interleave, options, report
from _sandboxes import quiet
from _stored import fill, vacuum
from sandbox_cpu import collected, own
from sqlalchemy import Connection, text
from tests.support.postgres import serving_postgres

from codewords_mcp.runtime.store import summing, usage
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

PEER = "the plain sum of all runs"
BACKEND = text("SELECT pg_backend_pid()")
PLAIN = text(
    "SELECT service_id, count(*), sum(CASE WHEN status = 'succeeded' THEN 1 ELSE 0 END), sum(started_at - created_at),"
    " sum(running_at - started_at), sum(completed_at - running_at), sum(cpu_seconds), max(peak_memory), sum(egress_in),"
    " sum(egress_out), sum(cost) FROM runs WHERE created_at >= :since AND status <> 'provisioned' GROUP BY service_id"
)


def processors(database: Database, ask: Callable[[Connection], Any], server: int) -> Callable[[], float]:
    """Milliseconds of processors for a transaction: ours, the connection's and its workers' (`server`: its pid, or 0)."""

    def once(connection: Connection) -> float:
        backend = connection.execute(BACKEND).scalar_one() if server else 0

        def spent() -> float:
            return time.process_time() * 1000 + (own(backend) + collected(server) if server else 0)

        before = spent()
        ask(connection)
        return spent() - before

    return lambda: database.write_blocking(once)


def measure(chosen: Options, database: Database, server: int, name: str) -> list[Question]:
    stored = 100_000 if chosen.quick else 1_000_000
    # What our sums read does not depend on how many runs there are.
    target = None if chosen.quick else 0.1 if server else 0.05
    fill(database, stored=stored, deployments=1000, times=0, summed=False)
    since = (now() // usage.DAY - 29) * usage.DAY
    by_workflow = processors(database, lambda c: usage.sums(c, None, by="workflow", since=since), server)
    by_day = processors(database, lambda c: usage.sums(c, "local", by="day", since=since), server)
    plain = processors(database, lambda c: c.execute(PLAIN, {"since": since}).all(), server)

    def compare(ours: Callable[[], float], words: str, runs: int, target: float | None) -> Question:
        asked = Question(f"sums of {stored:,} runs {words}, {name}", PEER, "ms of CPU", target)
        interleave(asked, ours, plain, runs)
        return asked

    found = [compare(by_workflow, "by workflow, none added up", 2, None)]
    began = time.perf_counter()
    asyncio.run(summing.sum_up(database, at_once=1_000))
    took = time.perf_counter() - began
    print(f"{name}: {stored:,} added up in {took:.1f} s, {took / stored * 1e6:.0f} µs each", file=sys.stderr)
    for state in ("just added up", "vacuumed") if server else ("added up",):
        if state == "vacuumed":
            vacuum(database)
        found.append(compare(by_workflow, f"by workflow, {state}", chosen.runs, target))
        found.append(compare(by_day, f"by day, {state}", chosen.runs, target))
    return found


def main() -> int:
    """Measure and report."""
    quiet()
    chosen = options((__doc__ or "").splitlines()[0], runs=10, quick_runs=5)
    questions: list[Question] = []
    with tempfile.TemporaryDirectory() as folder, serving_postgres() as postgres:
        for name, url, server in (("SQLite", None, 0), ("PostgreSQL", postgres.url(), postgres.pid)):
            (home := Path(folder) / name).mkdir()
            with closing(Database.open(home, url)) as database:
                questions += measure(chosen, database, server, name)
    return report(questions, chosen)


if __name__ == "__main__":
    sys.exit(main())
