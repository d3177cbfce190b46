"""Load that a run and a replica are for PostgreSQL, and that 10, 100 and 1,000 replicas with 100 million runs would be.

One replica is measured: round trips, commits and bytes of a run and of a second without one, the processors of its beat
among so many others, and a notification's to so many listeners. The rest is computed with the code's own intervals.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from _bench import Numbers, options
from _door import WARM, served
from _load import cpu_seconds
from background_runs import Asker
from sqlalchemy import Connection, text
from tests.support.postgres import Postgres, serving_postgres
from tests.support.round_trips import RoundTrips, counting_round_trips
from tests.support.served_runtime import ServedRuntime

from codewords_mcp.runtime.runs import replica as replicas
from codewords_mcp.runtime.store import executors
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

SIZES = (10, 100, 1_000)
RUNS_OF_A_REPLICA = 10.0
"""Runs a second of each replica, a no-op in a sandbox of its own: what a machine of two cores carries."""
ACTIVE = 10
"""Runs that each replica has in flight."""
TTL = 15.0
STORED = 100_000_000
CONNECTIONS = 19
"""Of a replica at the most, the one that listens included."""
IDLE_SECONDS = 10


@dataclass(frozen=True)
class Cost:
    """Load on the server: round trips, commits, bytes of its log, and of tables with their indexes."""

    trips: float
    commits: float
    wal: float
    stored: float


class Meter:
    """Reads the server's counters of one database, and the line's."""

    def __init__(self, line: RoundTrips, url: str) -> None:
        self._line = line
        self._connection = psycopg.connect(url, autocommit=True)

    def read(self) -> Cost:
        """The counters as they are. Each process reports to the server within a second."""
        row = self._connection.execute(
            "SELECT xact_commit, pg_current_wal_lsn() - '0/0', (SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname IN ('public', 'dbos'))"
            " FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
        assert row is not None
        return Cost(self._line.count, *(float(value) for value in row))


def between(before: Cost, after: Cost) -> Cost:
    """The load that was added."""
    return Cost(
        *(getattr(after, name) - getattr(before, name) for name in ("trips", "commits", "wal", "stored"))
    )


def per_second(meter: Meter) -> Cost:
    """Of a replica that nobody uses."""
    before, began = meter.read(), time.monotonic()
    time.sleep(IDLE_SECONDS)
    added, seconds = between(before, meter.read()), time.monotonic() - began
    return Cost(added.trips / seconds, added.commits / seconds, added.wal / seconds, added.stored / seconds)


def per_run(meter: Meter, idle: Cost, ask: Callable[[], float], count: int) -> Cost:
    """Of one run, one after another, less what passes without any."""
    ask()
    before, began = meter.read(), time.monotonic()
    for _ in range(count):
        ask()
    # What is written after the answer, and the server's own counters.
    time.sleep(2)
    added, seconds = between(before, meter.read()), time.monotonic() - began
    return Cost(
        *(
            (getattr(added, name) - getattr(idle, name) * seconds) / count
            for name in ("trips", "commits", "wal", "stored")
        )
    )


def beat_ms(database: Database, size: int) -> tuple[float, float]:
    """Milliseconds of a beat, and of one that looks for the dead, among so many replicas with their runs."""
    at = executors.clock
    database.write_blocking(lambda c: c.execute(text("TRUNCATE executors, runs CASCADE")))

    def fill(connection: Connection) -> None:
        connection.execute(
            text(
                "INSERT INTO executors (id, version, started_at, seen_at) SELECT 'e' || n, '1', :at, :at"
                " FROM generate_series(1, :size) n"
            ),
            {"at": at(connection) + 3_600_000_000, "size": size},
        )
        connection.execute(
            text(
                "INSERT INTO runs (id, owner, status, created_at, executor, response_truncated, attempts, steps, usage, timings,"
                " background, retries, in_queue, deliveries, depth, priority, cancel_asked) SELECT 'r' || n, 'o', 'running',"
                " :at, 'e' || (n % :size + 1), false, '[]', '[]', '{}', '{}', true, 0, false, 1, 0, 50, false"
                " FROM generate_series(1, :count) n"
            ),
            {"at": now(), "size": size, "count": size * ACTIVE},
        )
        connection.execute(text("ANALYZE executors, runs"))

    def beat(connection: Connection) -> None:
        executors.seen(connection, "e1", "1")
        executors.alive(connection, TTL)
        executors.runs_of(connection, "e1")

    def search(connection: Connection) -> None:
        executors.holders(connection)
        executors.forget_dead(connection, TTL * replicas.LONG_DEAD)

    database.write_blocking(fill)
    return timed(lambda: database.write_blocking(beat)), timed(lambda: database.write_blocking(search))


def timed(call: Callable[[], object], count: int = 40) -> float:
    """Milliseconds of a call, the median of so many."""
    times: list[float] = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1000)
    return sorted(times)[count // 2]


def delivery_us(url: str, server_pid: int, listeners: int, count: int) -> float:
    """Microseconds of the server's processors that one notification costs for each of so many listeners."""
    with ExitStack() as stack:
        listening = [stack.enter_context(psycopg.connect(url, autocommit=True)) for _ in range(listeners)]
        for connection in listening:
            connection.execute("LISTEN simulated")
        sender = stack.enter_context(psycopg.connect(url, autocommit=True))
        before = family_cpu(server_pid)
        for number in range(count):
            sender.execute("SELECT pg_notify('simulated', %s)", [json.dumps(["someone", str(number)])])
        for connection in listening:
            assert len(list(connection.notifies(stop_after=count, timeout=30))) >= 1
        return (family_cpu(server_pid) - before) / (count * listeners) * 1e6


def family_cpu(pid: int) -> float:
    """Seconds of a server's processors, with the processes of its connections."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return cpu_seconds(pid) + sum(cpu_seconds(int(child)) for child in children)


def simulate(
    size: int, run: Cost, idle: Cost, beat: float, search: float, delivery: float, *, scaled: bool
) -> dict[str, Any]:
    """Load of so many replicas on one primary, a second; `scaled`: each does less the more there are."""
    interval = replicas.beat_interval(size, TTL) if scaled else replicas.BEAT
    spacing = replicas.spacing(size) if scaled else replicas.SPACING
    searching = replicas.search_probability(size) if scaled else 1.0
    beats = size / interval
    runs = size * RUNS_OF_A_REPLICA
    # A replica has changes to tell of as often as it may.
    notifications = size * min(1 / spacing, RUNS_OF_A_REPLICA * 4)
    return {
        "replicas": size,
        "runs_per_second": runs,
        "connections": size * CONNECTIONS,
        "round_trips_per_second": round(runs * run.trips + size * idle.trips),
        "commits_per_second": round(runs * run.commits + size * idle.commits),
        "wal_mb_per_second": round((runs * run.wal + size * idle.wal) / 1e6, 1),
        "beats_per_second": round(beats, 1),
        "cores_for_beats": round(beats * (beat + search * searching) / 1000, 2),
        "notifications_per_second": round(notifications),
        "deliveries_per_second": round(notifications * size),
        "cores_for_deliveries": round(notifications * size * delivery / 1e6, 2),
    }


def measure_replica(postgres: Postgres, folder: Path, count: int) -> tuple[Cost, Cost, Cost, float]:
    """(A second of an idle replica, a synchronous run, a background run, runs a second by the queue of eight callers.)"""
    url = postgres.url()
    with counting_round_trips(postgres.port) as line:
        through = url.replace(f":{postgres.port}/", f":{line.port}/")
        with served(folder, CODEWORDS_DATABASE_URL=through) as runtime:
            service = runtime.deploy(WARM, "warm")
            asker, meter = Asker(runtime, service), Meter(line, url)
            asker.background()
            asker.waited_for()
            time.sleep(3)
            idle = per_second(meter)
            waited = per_run(meter, idle, asker.waited_for, count)
            background = per_run(meter, idle, asker.background, count)
            return idle, waited, background, rate(runtime, service, count)


def rate(runtime: ServedRuntime, service: str, count: int) -> float:
    """Background runs a second that a replica carries, asked by eight callers."""
    askers: list[Any] = [Asker(runtime, service) for _ in range(8)]

    def ask(number: int) -> None:
        for _ in range(count):
            askers[number].background()

    began = time.monotonic()
    with ThreadPoolExecutor(len(askers)) as pool:
        list(pool.map(ask, range(len(askers))))
    return len(askers) * count / (time.monotonic() - began)


def main() -> int:
    chosen = options(__doc__ or "", runs=100, quick_runs=30)
    numbers = Numbers(chosen.as_json)
    with tempfile.TemporaryDirectory() as folder, serving_postgres() as postgres:
        idle, waited, background, a_second = measure_replica(postgres, Path(folder), chosen.runs)
        numbers.add(
            "round trips to PostgreSQL of a synchronous run",
            round(waited.trips, 1),
            "",
            at_most=24,
            runs=chosen.runs,
        )
        numbers.add(
            "round trips to PostgreSQL of a background run",
            round(background.trips, 1),
            "",
            at_most=24,
            runs=chosen.runs,
        )
        numbers.add(
            "round trips a second of a replica that nobody uses", round(idle.trips, 1), "", at_most=120
        )
        for name, cost in (("synchronous", waited), ("background", background)):
            numbers.add(f"commits of a {name} run", round(cost.commits, 1), "", runs=chosen.runs)
            numbers.add(
                f"bytes of the server's log of a {name} run", round(cost.wal), "bytes", runs=chosen.runs
            )
        numbers.add(
            "bytes of tables and indexes of a background run",
            round(background.stored),
            "bytes",
            runs=chosen.runs,
        )
        numbers.add("background runs a second of one replica, eight callers", round(a_second, 1), "/s")

        url = postgres.migrated_url()
        delivery = delivery_us(url, postgres.pid, 50, 200 if chosen.quick else 1000)
        numbers.add("server's processors for a notification to a listener", round(delivery, 1), "us")
        with tempfile.TemporaryDirectory() as home:
            database = Database.open(Path(home), url)
            for size in SIZES:
                beat, search = beat_ms(database, size)
                made = {
                    "scaled": simulate(size, background, idle, beat, search, delivery, scaled=True),
                    "unscaled": simulate(size, background, idle, beat, search, delivery, scaled=False),
                }
                numbers.add(
                    f"a beat among {size:,} replicas",
                    round(beat, 2),
                    "ms",
                    looking_for_the_dead=round(search, 2),
                    scaled=made["scaled"],
                    unscaled=made["unscaled"],
                )
            database.close()

        numbers.add(
            f"terabytes of {STORED:,} background runs without their logs",
            round(background.stored * STORED / 1e12, 2),
            "TB",
        )
    numbers.print_table()
    return 0 if numbers.hold else 1


if __name__ == "__main__":
    sys.exit(main())
