"""Cost of what a runtime does again and again, for 1 to 10,000 workflows and 0 to 5,000,000 stored runs.

A start, a synchronous run, lists, the page of /metrics and retention, on SQLite and on PostgreSQL. Rows are made by the database.
Each number is the least of several, since the machine may be busy, and is bounded by the same of a store of 100 workflows and
1,000 runs. Last, retention removes runs from the largest store while others are recorded.

    python benchmarks/growth.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from _bench import Numbers, options
from _door import WARM
from _load import cpu_seconds
from _sandboxes import quiet
from _stored import fill
from background_runs import Asker
from sqlalchemy import Connection, delete, text
from tests.support.postgres import serving_postgres
from tests.support.runtime import make_home
from tests.support.served_runtime import ServedRuntime, start_runtime

from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.model.run_state import to_finished
from codewords_mcp.runtime.store import retention, run_purge, runs
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.tables import versions, workflows
from codewords_mcp.settings import Settings

GROWS_AT_MOST = 2.0
"""Times the number of a small store: what is above is work that grows with the store."""
SMALL = (1_000, 100)
"""Runs and workflows of the store that the others are compared with: it has a page of each list."""
RAN = 100
"""Workflows that the stored runs are of."""
REMOVED_AT_LEAST = 1_000
"""Runs a second that a hundred replicas carry: retention keeps up if it removes as many."""
FLOOR = 1.0
"""Milliseconds below which a number counts as this much: two of them differ by chance."""


@dataclass(frozen=True)
class Amount:
    """Stored runs and workflows of the cells, how often each thing is measured in one, and runs that are removed at the end."""

    runs: tuple[int, ...]
    workflows: tuple[int, ...]
    times: int
    purged: int


class Growth:
    """The numbers of one database, in all cells."""

    def __init__(self, numbers: Numbers, name: str, amount: Amount, home: Path, url: str | None) -> None:
        self._numbers = numbers
        self._name = name
        self._amount = amount
        self._home = home
        self._url = url
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
        database.close()

    def _cell(self, stored: int, deployed: int) -> None:
        more = {"CODEWORDS_DATABASE_URL": self._url} if self._url else {}
        began = time.perf_counter()
        with start_runtime(
            self._home,
            python=sys.executable,
            CODEWORDS_LOG_LEVEL="ERROR",
            CODEWORDS_RUNS_KEPT="100000000",
            **more,
        ) as runtime:
            found = {
                "a start": (time.perf_counter() - began) * 1000,
                "processors of a start": cpu_seconds(runtime.pid) * 1000,
            }
            self._service = self._service or runtime.deploy(WARM, "warm")
            found |= self._of_runtime(runtime)
        found["a round of retention that removes nothing"] = self._idle_retention(stored)

        for question, ours in found.items():
            if (stored, deployed) == SMALL:
                self._small[question] = max(ours, FLOOR)
            small = self._small.get(question)
            most = None if small is None else round(GROWS_AT_MOST * small, 2)
            self._numbers.add(
                f"{question}, {deployed:,} workflows, {stored:,} runs, {self._name}", round(ours, 2), "ms",
                runs=self._amount.times, at_most=most,
            )  # fmt: skip

    def _of_runtime(self, runtime: ServedRuntime) -> dict[str, float]:
        asker, times = Asker(runtime, self._service), self._amount.times
        asker.waited_for()
        before = cpu_seconds(runtime.pid)
        waited = [asker.waited_for() for _ in range(times * 4)]
        used = (cpu_seconds(runtime.pid) - before) * 1000 / len(waited)
        lists = {
            "a page of runs": "/runs?limit=20",
            "a page of failed runs": "/runs?status=failed&limit=20",
            "a page of a workflow's runs": "/runs?service_id=other_0&limit=20",
            "a page of workflows": "/workflows?limit=20",
            "usage of 30 days": "/usage?days=30",
        }
        return {
            "a synchronous run": min(waited),
            "processors of a synchronous run": used,
            **{name: least(times, lambda p=path: runtime.call("GET", p)) for name, path in lists.items()},
            "the page of /metrics": least(times, lambda: page(runtime)),
        }

    def _idle_retention(self, stored: int) -> float:
        database = Database.open(self._home, self._url)
        settings = Settings(home=self._home, runs_kept=stored + 1_000_000)
        took = least(3, lambda: asyncio.run(retention.prune(database, settings)))
        database.close()
        return took

    async def _purge(self, stored: int) -> None:
        """Remove runs from the largest store while others are recorded, as retention does."""
        database = Database.open(self._home, self._url)
        alone = [await recorded(database) for _ in range(self._amount.times * 20)]
        there = await database.read(run_purge.count)
        settings = Settings(home=self._home, runs_kept=max(there - self._amount.purged, 0))
        began, beside = time.perf_counter(), list[float]()
        purging = asyncio.create_task(retention.prune(database, settings))
        while not purging.done():
            beside.append(await recorded(database))
        await purging
        seconds = time.perf_counter() - began
        removed = there + len(beside) - await database.read(run_purge.count)
        vacuumed = await asyncio.to_thread(vacuum, database) if database.shared else None
        database.close()
        self._numbers.add(
            f"runs that retention removes a second, of {stored:,}, {self._name}", round(removed / seconds), "/s",
            at_least=REMOVED_AT_LEAST, removed=removed, seconds=round(seconds, 1), recorded_meanwhile=len(beside),
            ms_of_a_record={"alone": quantiles(alone), "meanwhile": quantiles(beside)}, after=vacuumed,
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


def vacuum(database: Database) -> dict[str, float]:
    """Seconds that PostgreSQL takes to clean up after that, and the size of the table with its indexes."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        began = time.perf_counter()
        connection.execute(text("VACUUM runs"))
        size = connection.execute(text("SELECT pg_total_relation_size('runs') / 1e9")).scalar_one()
        return {
            "seconds_of_vacuum": round(time.perf_counter() - began, 1),
            "gigabytes": round(float(size), 2),
        }


def remove_workflows(connection: Connection) -> None:
    """Remove what `fill` has deployed."""
    connection.execute(delete(versions).where(versions.c.workflow_id.startswith("other")))
    connection.execute(delete(workflows).where(workflows.c.id.startswith("other")))


def least(times: int, work: Callable[[], object]) -> float:
    """Milliseconds of a call, the least; the first is not counted."""
    took: list[float] = []
    for _ in range(times + 1):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1000)
    return min(took[1:])


def page(runtime: ServedRuntime) -> bytes:
    """The page of /metrics."""

    request = urllib.request.Request(f"{runtime.url}/metrics", headers={"Authorization": runtime.key})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def main() -> int:
    """Measure and report."""
    quiet()
    chosen = options(__doc__ or "", runs=10, quick_runs=5)
    if chosen.quick:
        amount = Amount((0, 20_000), (1, 1_000), chosen.runs, 10_000)
    else:
        amount = Amount((0, 100_000, 5_000_000), (1, 100, 10_000), chosen.runs, 500_000)

    numbers = Numbers(chosen.as_json)
    with tempfile.TemporaryDirectory() as temporary, serving_postgres() as postgres:
        for name, url in (("SQLite", None), ("PostgreSQL", postgres.migrated_url())):
            Growth(numbers, name, amount, make_home(Path(temporary) / name), url).measure()
    numbers.print_table()
    return 0 if numbers.hold else 1


if __name__ == "__main__":
    sys.exit(main())
