"""Cost of what a runtime does again and again, for 1 to 10,000 workflows and 0 to 5,000,000 stored runs.

A start, a synchronous run, lists, the page of /metrics and retention, on SQLite and on PostgreSQL. Rows are made by the database.
Each number is processor time, of the runtime and of the database's connections, since others may use the machine, and is bounded
by the same of a store of 100 workflows and 2,500 runs. Last, retention removes runs from the largest store while others are
recorded.

    python benchmarks/growth.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from _bench import Numbers, options
from _door import WARM
from _sandboxes import quiet
from _stored import fill, vacuum
from background_runs import Asker
from sandbox_cpu import children, collected, own
from sqlalchemy import Connection, delete, text
from tests.support.postgres import serving_postgres
from tests.support.runtime import make_home
from tests.support.served_runtime import ServedRuntime, start_runtime
from tests.support.waiting import until

from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.model.run_state import to_finished
from codewords_mcp.runtime.store import retention, run_purge, runs
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.tables import versions, workflows
from codewords_mcp.settings import Settings

GROWS_AT_MOST = 2.0
"""Times the number of a small store: what is above is work that grows with the store."""
SMALL = (2_500, 100)
"""Runs and workflows of the store that the others are compared with: it has a page of each list."""
RAN = 100
"""Workflows that the stored runs are of."""
REMOVED_AT_LEAST = 1_000
"""Runs a second that a hundred replicas carry: retention keeps up if it removes as many."""
FLOOR = 1.0
"""Milliseconds below which a number counts as this much: two of them differ by chance."""
UNIT = "ms of CPU"
WARM_UP = 10
"""Calls before those that count: each thread and connection of the runtime has its first one."""


@dataclass(frozen=True)
class Amount:
    """Stored runs and workflows of the cells, how often each thing is measured in one, and runs that are removed at the end."""

    runs: tuple[int, ...]
    workflows: tuple[int, ...]
    times: int
    purged: int


class Growth:
    """The numbers of one database, in all cells. `server`: the first process of PostgreSQL, and 0 for SQLite."""

    def __init__(
        self, numbers: Numbers, name: str, amount: Amount, home: Path, url: str | None, server: int
    ) -> None:
        self._numbers = numbers
        self._name = name
        self._amount = amount
        self._home = home
        self._url = url
        self._server = server
        self._small: dict[str, float] = {}
        self._service = ""

    def measure(self) -> None:
        """Fill the store more and more, and measure each cell."""
        cells = [(stored, deployed) for stored in self._amount.runs for deployed in self._amount.workflows]
        there = 0
        for stored, deployed in sorted({SMALL, *cells}):
            self._fill(stored, deployed, there)
            there = max(stored, there)
            self._cell(stored, deployed)
        asyncio.run(self._purge(there))

    def _fill(self, stored: int, deployed: int, there: int) -> None:
        database = Database.open(self._home, self._url)
        if stored > there:
            database.write_blocking(remove_workflows)
            fill(database, stored=stored, deployments=RAN, times=0, there=there)
        database.write_blocking(remove_workflows)
        fill(database, stored=0, deployments=deployed, times=0)
        if self._server:
            vacuum(database)
        database.close()
        if self._server:
            # The processor time of the filling counts among what has ended from here on, not in the midst of a start.
            until(
                lambda: not any(map(is_connection, children(self._server))),
                "the filling's connections to end",
            )

    def _cell(self, stored: int, deployed: int) -> None:
        more = {"CODEWORDS_DATABASE_URL": self._url} if self._url else {}
        before = self._of_server()
        with start_runtime(
            self._home,
            python=sys.executable,
            CODEWORDS_LOG_LEVEL="ERROR",
            CODEWORDS_RUNS_KEPT="100000000",
            **more,
        ) as runtime:
            found = {"a start": own(runtime.pid) + self._of_server() - before}
            self._service = self._service or runtime.deploy(WARM, "warm")
            found |= self._of_runtime(runtime)
        found["a round of retention that removes nothing"] = self._idle_retention(stored)

        for question, ours in found.items():
            if (stored, deployed) == SMALL:
                self._small[question] = max(ours, FLOOR)
            small = self._small.get(question)
            most = None if small is None else round(GROWS_AT_MOST * small, 2)
            self._numbers.add(
                f"{question}, {deployed:,} workflows, {stored:,} runs, {self._name}", round(ours, 2), UNIT,
                runs=self._amount.times, at_most=most,
            )  # fmt: skip

    def _of_runtime(self, runtime: ServedRuntime) -> dict[str, float]:
        asker = Asker(runtime, self._service)
        lists = {
            "a page of runs": "/runs?limit=20",
            "a page of failed runs": "/runs?status=failed&limit=20",
            "a page of a workflow's runs": "/runs?service_id=other_0&limit=20",
            "a page of workflows": "/workflows?limit=20",
            "usage of 30 days": "/usage?days=30",
        }

        def of_each(work: Callable[[], object]) -> float:
            return self._processors(runtime.pid, work, self._amount.times)

        return {
            "a synchronous run": of_each(asker.waited_for),
            **{name: of_each(lambda p=path: runtime.call("GET", p)) for name, path in lists.items()},
            "the page of /metrics": of_each(lambda: page(runtime)),
        }

    def _processors(self, pid: int, work: Callable[[], object], times: int) -> float:
        """Milliseconds of a process and of the database from one call to the next, the median of so many."""
        readings: list[float] = []
        for _ in range(WARM_UP + times + 1):
            readings.append(own(pid) + self._of_server())
            work()
        return statistics.median(after - before for before, after in pairwise(readings[WARM_UP:]))

    def _of_server(self) -> float:
        """Milliseconds of the database's connections and workers until now: not of what the server does on its own."""
        if not self._server:
            return 0.0
        ours = (child for child in children(self._server) if is_connection(child))
        return collected(self._server) + sum(map(own, ours))

    def _idle_retention(self, stored: int) -> float:
        database = Database.open(self._home, self._url)
        settings = Settings(home=self._home, runs_kept=stored + 1_000_000)
        used = self._processors(os.getpid(), lambda: asyncio.run(retention.prune(database, settings)), 3)
        database.close()
        return used

    async def _purge(self, stored: int) -> None:
        """Remove runs from the largest store while others are recorded, as retention does."""
        database = Database.open(self._home, self._url)
        alone = [await recorded(database) for _ in range(200)]
        there = await database.read(run_purge.count)
        settings = Settings(home=self._home, runs_kept=max(there - self._amount.purged, 0))
        began, beside = time.perf_counter(), list[float]()
        purging = asyncio.create_task(retention.prune(database, settings))
        while not purging.done():
            beside.append(await recorded(database))
        await purging
        seconds = time.perf_counter() - began
        removed = there + len(beside) - await database.read(run_purge.count)
        after = await asyncio.to_thread(vacuumed, database) if database.shared else None
        database.close()
        self._numbers.add(
            f"runs that retention removes a second, of {stored:,}, {self._name}", round(removed / seconds), "/s",
            at_least=REMOVED_AT_LEAST, removed=removed, seconds=round(seconds, 1), recorded_meanwhile=len(beside),
            ms_of_a_record={"alone": quantiles(alone), "meanwhile": quantiles(beside)}, after=after,
        )  # fmt: skip


async def recorded(database: Database) -> float:
    """Milliseconds of the transaction that records a run."""
    row: RunColumns = {
        "id": str(uuid.uuid4()),
        "owner": "local",
        "created_at": now(),
        "service_id": "other_0",
    }
    row.update(to_finished("succeeded", None, now(), []))
    row["summed"] = True
    began = time.perf_counter()
    await database.write(runs.add, row)
    return (time.perf_counter() - began) * 1000


def quantiles(took: list[float]) -> list[float]:
    """The median and the 99th of a hundred."""
    return [round(sorted(took)[int(len(took) * share)], 2) for share in (0.5, 0.99)]


def vacuumed(database: Database) -> dict[str, float]:
    """Seconds that PostgreSQL takes to clean up after that, and the size of the table with its indexes."""
    began = time.perf_counter()
    vacuum(database)
    seconds = time.perf_counter() - began
    with database.engine.connect() as connection:
        size = connection.execute(text("SELECT pg_total_relation_size('runs') / 1e9")).scalar_one()
    return {"seconds_of_vacuum": round(seconds, 1), "gigabytes": round(float(size), 2)}


def is_connection(pid: int) -> bool:
    """True if a process of PostgreSQL serves a client, or has and isn't collected yet."""
    with suppress(FileNotFoundError, ProcessLookupError):
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
        return not line or b"postgres: codewords " in line
    return False


def remove_workflows(connection: Connection) -> None:
    """Remove what `fill` has deployed."""
    connection.execute(delete(versions).where(versions.c.workflow_id.startswith("other")))
    connection.execute(delete(workflows).where(workflows.c.id.startswith("other")))


def page(runtime: ServedRuntime) -> bytes:
    """The page of /metrics."""

    request = urllib.request.Request(f"{runtime.url}/metrics", headers={"Authorization": runtime.key})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def main() -> int:
    """Measure and report."""
    quiet()
    chosen = options(__doc__ or "", runs=40, quick_runs=10)
    if chosen.quick:
        amount = Amount((0, 20_000), (1, 1_000), chosen.runs, 10_000)
    else:
        amount = Amount((0, 100_000, 5_000_000), (1, 100, 10_000), chosen.runs, 100_000)

    numbers = Numbers(chosen.as_json)
    with tempfile.TemporaryDirectory() as temporary, serving_postgres() as postgres:
        for name, url, server in (("SQLite", None, 0), ("PostgreSQL", postgres.migrated_url(), postgres.pid)):
            Growth(numbers, name, amount, make_home(Path(temporary) / name), url, server).measure()
    numbers.print_table()
    return 0 if numbers.hold else 1


if __name__ == "__main__":
    sys.exit(main())
