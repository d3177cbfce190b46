"""Runs a second of 1, 2 and 3 replicas on one PostgreSQL of this machine, and the limit of each.

Runs of a workflow that does nothing, each in a sandbox of its own: by the queue, accepted by all replicas at once until all
have ended, and synchronous ones by callers of each replica. Beside each number is what it took: processors by what used them,
from /proc, and commits of the database for each run. The replicas, the server and the callers share the processors here,
so that more replicas carry more only until these are in use.

Then the three are replaced one by one under load, again and again, as rolling upgrades do: runs that were lost or doubled,
and requests that one retry did not mend.

    python benchmarks/replicas.py [--quick] [--json]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg
from _bench import Numbers, options

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.chaos.helpers import Replicas, starting
from tests.chaos.replicas import tree
from tests.chaos.rolling import IN_BETWEEN, SETTINGS, answered, faults_of, join, replace_all
from tests.chaos.upgrade_load import UpgradeLoad
from tests.support.background_runs import WORK
from tests.support.balancer import balancing
from tests.support.postgres import Postgres, serving_postgres
from tests.support.served_runtime import ServedRuntime

from codewords_mcp.cli._client import RuntimeEndpoint
from codewords_mcp.cli.load.command import NO_OP
from codewords_mcp.cli.load.load_steps import LoadStep, LoadTest

MOST = 3
CALLERS = 4
"""Callers of each replica at once."""
_TICKS = os.sysconf("SC_CLK_TCK")
IN_USE = 0.85
"""Share of the processors from which they are the limit."""


@dataclass(frozen=True)
class Amount:
    """The amount that is measured: runs of the queue in a batch, seconds of synchronous ones, rounds of upgrades."""

    batch: int
    seconds: float
    upgrades: int


@dataclass(frozen=True)
class Usage:
    """Seconds of processors until now, and commits of the database."""

    runtimes: float
    sandboxes: float
    database: float
    callers: float
    commits: int

    def since(self, before: Usage) -> Usage:
        """The difference."""
        return Usage(
            self.runtimes - before.runtimes, self.sandboxes - before.sandboxes, self.database - before.database,
            self.callers - before.callers, self.commits - before.commits,
        )  # fmt: skip


class Meter:
    """Reads what the replicas, their sandboxes, the server and this process have used."""

    def __init__(self, serving: list[ServedRuntime], postgres: Postgres, url: str) -> None:
        self._serving = serving
        self._postgres = postgres
        self._url = url

    def read(self) -> Usage:
        """The usage until now. What has ended is counted where a parent has waited for it."""
        runtimes = [_seconds(replica.pid, ended=False) for replica in self._serving]
        trees = [_of_tree(replica.pid) for replica in self._serving]
        own = os.times()
        return Usage(
            runtimes=sum(runtimes),
            sandboxes=sum(trees) - sum(runtimes),
            database=_of_tree(self._postgres.pid),
            callers=own.user + own.system,
            commits=self._commits(),
        )

    def _commits(self) -> int:
        with psycopg.connect(self._url, autocommit=True) as connection:
            query = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
            row = connection.execute(query).fetchone()
        return int(row[0]) if row else 0


def _of_tree(pid: int) -> float:
    return sum(_seconds(process) for process, _ in tree(pid))


def _seconds(pid: int, *, ended: bool = True) -> float:
    """Seconds of a process, with its ended children; 0 for one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    # utime, stime, cutime, cstime: proc_pid_stat(5).
    return sum(int(ticks) for ticks in fields[11 : 15 if ended else 13]) / _TICKS


def at_once(works: list[Callable[[], LoadStep]]) -> list[LoadStep]:
    """Load all replicas together."""
    with ThreadPoolExecutor(len(works)) as pool:
        return [loading.result() for loading in [pool.submit(work) for work in works]]


def measured(
    numbers: Numbers, question: str, meter: Meter, count: int, works: list[Callable[[], LoadStep]]
) -> None:
    """One number: runs a second of all replicas, with what they used."""
    before, began = meter.read(), time.monotonic()
    steps = at_once(works)
    seconds, used = time.monotonic() - began, meter.read().since(before)
    runs = sum(len(step.latencies) for step in steps)
    failed = sum(step.failures.total() for step in steps)
    cores = os.cpu_count() or 1
    shares = {
        "runtimes": used.runtimes, "sandboxes": used.sandboxes, "PostgreSQL": used.database, "callers": used.callers,
    }  # fmt: skip
    busy = sum(shares.values()) / (seconds * cores)
    whole = max((step.cpu or 0.0 for step in steps), default=0.0)
    largest = max(shares, key=lambda name: shares[name])
    rate = runs / max((step.seconds for step in steps), default=seconds)
    numbers.add(
        f"{question}, {count} {'replica' if count == 1 else 'replicas'}",
        round(rate, 1),
        "runs/s",
        runs=runs,
        limited_by=_limit(busy, whole, largest),
        processors_in_use=f"{busy:.0%} of {cores}",
        with_other_programs=f"{whole:.0%}",
        cpu_ms_of_a_run={name: round(spent * 1000 / max(runs, 1), 1) for name, spent in shares.items()},
        commits_of_a_run=round(used.commits / max(runs, 1), 1),
        failed=failed,
    )


def _limit(busy: float, whole: float, largest: str) -> str:
    """The limit of the rate. `busy` is our share of the processors, `whole` everybody's."""
    if busy >= IN_USE:
        return f"the processors, most of them used by {largest}"
    if whole >= IN_USE:
        return "other programs of this machine"
    return "waiting, not the processors"


def throughput(numbers: Numbers, replicas: Replicas, postgres: Postgres, url: str, amount: Amount) -> None:
    """Runs a second of one, two and three replicas."""
    serving: list[ServedRuntime] = []
    service = ""
    for count in range(1, MOST + 1):
        serving += replicas(1)
        service = service or serving[0].deploy(NO_OP, "no-op")
        tests = [
            LoadTest(RuntimeEndpoint(replica.url, replica.key), service, "/", b"{}", local=True)
            for replica in serving
        ]
        for test in tests:
            # Each replica has the environment, its fork server and its pools.
            test.synchronous(1, 0.5)

        meter = Meter(serving, postgres, url)
        queued = [partial(test.background, amount.batch // count) for test in tests]
        measured(numbers, "no-op runs by the queue", meter, count, queued)
        waited = [partial(test.synchronous, CALLERS, amount.seconds) for test in tests]
        measured(numbers, "synchronous no-op runs", meter, count, waited)


def upgrades(numbers: Numbers, replicas: Replicas, amount: Amount) -> None:
    """Replace three replicas by new ones, again and again, while requests come."""
    with balancing() as balancer:
        serving = replicas(MOST, **SETTINGS)
        service = serving[0].deploy(WORK, "work")
        for replica in serving:
            join(balancer, replica)

        load, began = UpgradeLoad(balancer.port, serving[0].key, service), time.monotonic()
        with load.running(callers=4, submitters=2):
            answered(load, IN_BETWEEN)
            for _ in range(amount.upgrades):
                serving = replace_all(replicas, serving, balancer, load)
        seconds = time.monotonic() - began

        faults = faults_of(load, serving[-1])
        of = f"{amount.upgrades} rolling {'upgrade' if amount.upgrades == 1 else 'upgrades'} of {MOST} replicas"
        besides = {"requests": len(load.replies), "sent_again": load.retried, "seconds": round(seconds)}
        for name, found in (
            ("runs lost", faults.lost),
            ("runs doubled", faults.doubled),
            ("requests refused twice", faults.refused),
        ):
            numbers.add(f"{name} in {of}", len(found), "", runs=len(load.replies), at_most=0, **besides)


def main() -> int:
    chosen = options(__doc__ or "", runs=10, quick_runs=1)
    amount = Amount(60, 4.0, 1) if chosen.quick else Amount(1500, 20.0, chosen.runs)
    numbers = Numbers(chosen.as_json)
    with serving_postgres() as postgres:
        for part in ("throughput", "upgrades"):
            url = postgres.migrated_url()
            with tempfile.TemporaryDirectory() as folder, starting(url, Path(folder)) as replicas:
                if part == "throughput":
                    throughput(numbers, replicas, postgres, url, amount)
                else:
                    upgrades(numbers, replicas, amount)

    numbers.print_table()
    return 0 if numbers.hold else 1


if __name__ == "__main__":
    sys.exit(main())
