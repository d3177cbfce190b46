"""The runtime's numbers for Prometheus: what its parts have counted, and what is so at this moment."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy.pool import QueuePool

from codewords_mcp import __version__
from codewords_mcp.common.instruments import Kind, family, label_text
from codewords_mcp.errors import CodewordsError, Forbidden
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.model.budget import Budget
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.measures import Measures
from codewords_mcp.runtime.runs import headroom
from codewords_mcp.runtime.store import audit_cursors, home_counts
from codewords_mcp.runtime.store.home_counts import HomeCounts

STORE_TTL: Final = 5.0
"""Seconds for which numbers of the store serve further pages."""
STORE_WAIT: Final = 1.0
"""Seconds that a page waits for the store. Then it has the numbers from before, and says that the store is away."""
MAX_BUDGETS: Final = 40
"""Budgets that have series."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoredNumbers:
    """Numbers that only the store knows. `read_at` is a monotonic time."""

    counts: HomeCounts
    unsent: Mapping[str, int]
    names: Mapping[str, str]
    budgets: Sequence[Budget]
    read_at: float = field(default_factory=time.monotonic)


class MetricsApi:
    """The page of `/metrics`. For admins and keys with the scope `metrics`, since its numbers are of all owners."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._stored: StoredNumbers | None = None
        self._reading: asyncio.Task[StoredNumbers] | None = None

    @property
    def measures(self) -> Measures:
        """The instruments, for the front doors to count with."""
        return self._container.database.measures

    async def page(self, caller: Caller) -> str:
        """All families in Prometheus' text format. Raises Forbidden."""
        refuse_run(caller, "read metrics")
        if caller.kind != "admin" and (caller.scopes is None or "metrics" not in caller.scopes):
            raise Forbidden(
                "This key may not read metrics, which are of the whole home.",
                hint="Use the home's admin key, or a key with the scope metrics.",
            )
        is_up = await self._refresh()

        lines = [line for instrument in self.measures.instruments for line in instrument.lines()]
        lines += self._families(is_up=is_up)
        lines += process_families()
        return "".join(lines)

    async def _refresh(self) -> bool:
        """Read the store's numbers anew where they are old. Whether the store answered in time."""
        stored = self._stored
        if stored is not None and time.monotonic() - stored.read_at < STORE_TTL:
            return True
        # A read that a slow store holds up goes on for the next page, instead of one more for each.
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())

        done, _ = await asyncio.wait({self._reading}, timeout=STORE_WAIT)
        if not done:
            return False
        task, self._reading = self._reading, None
        try:
            self._stored = task.result()
        except CodewordsError as error:
            log.warning("metrics without the store's numbers", reason=error.message)
            return False
        return True

    async def _read(self) -> StoredNumbers:
        container = self._container
        # A file that was replaced goes on to be read, and is not written any more.
        container.database.require_file()
        counts = await container.database.read(home_counts.read, container.replica_ttl)
        names = await container.database.read(home_counts.names, list(self.measures.workflows))
        budgets = await container.gateway.budgets.list()
        unsent = {
            forwarder.receiver.name: (
                await container.database.read(audit_cursors.read, forwarder.receiver.name)
            ).unsent
            for forwarder in container.audit_forwarders
        }
        return StoredNumbers(
            counts, unsent, names, [budget for budget in budgets if budget.spent is not None]
        )

    def _families(self, *, is_up: bool) -> Iterator[str]:
        container = self._container
        driver = container.opened_driver
        build = {
            "version": __version__,
            "python": platform.python_version(),
            "database": "postgresql" if container.database.shared else "sqlite",
            "isolation": "" if driver is None else driver.tier.id,
        }
        yield from _gauge("build_info", "The runtime's version and surroundings.", [(build, 1)])
        admission = container.admission
        runs = [({"state": "active"}, admission.active), ({"state": "waiting"}, admission.queued)]
        yield from _gauge("active_runs", "Runs of this runtime that hold a slot, or wait for one.", runs)
        yield from _gauge(
            "sandboxes",
            "Sandboxes of runs, by state.",
            [({"state": state}, count) for state, count in container.supply.count().items()],
        )
        yield from self._of_database(is_up=is_up)
        free = shutil.disk_usage(container.settings.home).free
        yield from _gauge("disk_free_bytes", "Bytes free on the home's disk.", [({}, free)])
        available = headroom.available()
        if available is not None:
            yield from _gauge(
                "memory_available_bytes", "Bytes of memory that can be taken.", [({}, available)]
            )
        if self._stored is not None:
            yield from _of_store(self._stored, self.measures)

    def _of_database(self, *, is_up: bool) -> Iterator[str]:
        database = self._container.database
        yield from _gauge("database_up", "Whether the database answered this page.", [({}, int(is_up))])
        yield from _gauge(
            "database_writes_behind_seconds",
            "Age of the oldest write that is not committed.",
            [({}, database.behind)],
        )
        yield from _gauge(
            "database_writes_retained",
            "Whether writes are kept back since the database does not accept them.",
            [({}, int(database.holds_writes))],
        )
        pool = database.engine.pool
        if isinstance(pool, QueuePool):
            used, idle = pool.checkedout(), pool.checkedin()
            connections = [({"state": "used"}, used), ({"state": "idle"}, idle)]
            yield from _gauge("database_connections", "Connections of the pool.", connections)


def _of_store(stored: StoredNumbers, measures: Measures) -> Iterator[str]:
    counts = stored.counts
    plain = (
        ("workflows", "Workflows of the home.", counts.workflows),
        ("queue_runs", f"Runs of the home that wait for their turn, counted to {home_counts.MAX_COUNTED}.", counts.waiting_runs),
        ("queue_oldest_seconds", "Age of the oldest run that waits for its turn.", counts.oldest_waiting_s),
        ("suspended_runs", "Runs of the home that wait for a person or a time.", counts.suspended_runs),
        ("alerts_open", "Alerts of the home that are not resolved.", counts.open_alerts),
        ("replicas", "Runtimes that share the home's database.", counts.replicas),
        ("database_bytes", "Bytes of the database.", counts.database_bytes),
        ("database_free_bytes", "Bytes of the database that hold nothing.", counts.free_bytes),
    )  # fmt: skip
    for name, description, value in plain:
        yield from _gauge(name, description, [({}, value)])

    waiting = [({"receiver": receiver}, count) for receiver, count in stored.unsent.items()]
    yield from _gauge("audit_unsent_entries", "Audit entries that a receiver has not got.", waiting)
    known = [({"workflow": one, "name": stored.names.get(one, "")}, 1) for one in measures.workflows]
    yield from _gauge("workflow_info", "Names of the workflows that have series.", known)
    shown = [(_budget_labels(budget), budget) for budget in stored.budgets[:MAX_BUDGETS]]
    limits = [(labels, budget.usd) for labels, budget in shown]
    yield from _gauge("budget_limit_usd", "Limits of budgets for models in US dollars.", limits)
    spent = [(labels, budget.spent or 0.0) for labels, budget in shown]
    yield from _gauge("budget_spent_usd", "Spent parts of budgets in US dollars.", spent)
    reserved = [(labels, budget.reserved or 0.0) for labels, budget in shown]
    yield from _gauge("budget_reserved_usd", "Parts of budgets that calls under way reserve.", reserved)


def _budget_labels(budget: Budget) -> dict[str, str]:
    return {"scope": budget.scope, "subject": budget.subject, "period": budget.period}


def process_families() -> Iterator[str]:
    """The families of the process that every client library of Prometheus has, by their usual names."""
    if sys.platform == "win32":
        return
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = usage.ru_utime + usage.ru_stime
    yield from _family("process_cpu_seconds_total", "Seconds of processors.", "counter", [({}, seconds)])
    if sys.platform != "linux":
        return

    process = Path("/proc/self")
    # The name of the program, in parentheses, may hold spaces.
    fields = (process / "stat").read_bytes().rpartition(b")")[2].split()
    ticks, pages = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    started = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + int(fields[19]) / ticks
    yield from _family(
        "process_start_time_seconds", "Time of the start since 1970.", "gauge", [({}, started)]
    )
    resident = int(fields[21]) * pages
    yield from _family("process_resident_memory_bytes", "Bytes of memory.", "gauge", [({}, resident)])
    descriptors = sum(1 for _ in (process / "fd").iterdir())
    yield from _family("process_open_fds", "Open file descriptors.", "gauge", [({}, descriptors)])
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield from _family("process_max_fds", "Limit of open file descriptors.", "gauge", [({}, limit)])


def _gauge(name: str, description: str, series: Iterable[tuple[Mapping[str, str], float]]) -> Iterator[str]:
    return _family(f"codewords_{name}", description, "gauge", series)


def _family(
    name: str, description: str, kind: Kind, series: Iterable[tuple[Mapping[str, str], float]]
) -> Iterator[str]:
    texts = ((label_text(tuple(labels), tuple(labels.values())), value) for labels, value in series)
    return family(name, description, kind, texts)
