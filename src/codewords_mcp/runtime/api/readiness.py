"""Readiness of this runtime: it tries what a run needs of its database, its disk and its sandbox driver.

Liveness (`/healthz`) says that the process answers; a process whose database is away is alive and not ready.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import structlog

from codewords_mcp.errors import CodewordsError
from codewords_mcp.errors.remedies import Remedy
from codewords_mcp.runtime.model.disk_errors import DiskSpace
from codewords_mcp.runtime.sandboxes.base import Driver
from codewords_mcp.runtime.store.database import Database

CHECK_TIMEOUT = 3.0
"""Seconds after which a part that has not answered is not ready; a probe waits no longer."""
RESULT_TTL = 1.0
"""Seconds that a result serves further probes, which need no key and must cost nothing."""
WRITES_STALLED = 5.0
"""Seconds that a write may wait for the database before the runtime is not ready."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """A part that is not ready, why, and what to do about it."""

    part: str
    message: str
    hint: str = ""
    remedy: Remedy | None = None


class Readiness:
    """Checks the parts, each bounded in time and one check at a time.

    `driver` opens the sandbox driver, whose files are in `run_disk`.
    """

    def __init__(
        self,
        database: Database,
        disk: DiskSpace,
        run_disk: DiskSpace,
        driver: Callable[[], Awaitable[Driver]],
    ) -> None:
        self._checks: dict[str, Callable[[], Awaitable[Problem | None]]] = {
            "database": self._check_database,
            "disk": self._check_disk,
            "sandbox": self._check_sandbox,
        }
        self._database = database
        self._driver = driver
        self._disk = disk
        self._run_disk = run_disk
        self._running: dict[str, asyncio.Task[Problem | None]] = {}
        self._found: tuple[float, list[Problem]] | None = None
        self._checking: asyncio.Task[list[Problem]] | None = None
        self._ends = False

    def announce_end(self) -> None:
        """Be not ready from now on: this runtime ends soon, and goes on answering until then."""
        self._ends = True

    async def check(self) -> list[Problem]:
        """List the parts that are not ready; none where all are. Takes `CHECK_TIMEOUT` at the most."""
        if self._ends:
            return [Problem("runtime", "The runtime is about to end.")]
        if self._found is not None and time.monotonic() - self._found[0] < RESULT_TTL:
            return self._found[1]
        if self._checking is None:
            self._checking = asyncio.create_task(self._check())
            self._checking.add_done_callback(self._checked)
        # Probes that come meanwhile share one check, and one that disconnects doesn't cancel
        # it.
        return await asyncio.shield(self._checking)

    async def close(self) -> None:
        """Cancel the checks that have not ended."""
        tasks = {*self._running.values(), *([self._checking] if self._checking else [])}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _checked(self, _: asyncio.Task[list[Problem]]) -> None:
        self._checking = None

    async def _check(self) -> list[Problem]:
        results = await asyncio.gather(*(self._bounded(part) for part in self._checks))
        problems = [problem for problem in results if problem is not None]
        before = self._found[1] if self._found else []
        # Only changes are logged: a probe comes every few seconds.
        if bool(problems) is not bool(before):
            parts = [problem.part for problem in problems]
            log.warning("runtime not ready", parts=parts) if problems else log.info("runtime ready again")
        self._found = time.monotonic(), problems
        return problems

    async def _bounded(self, part: str) -> Problem | None:
        """Run one check within its timeout. A check that takes longer goes on, and the next probe waits for it."""
        task = self._running.get(part)
        if task is None:
            task = self._running[part] = asyncio.create_task(self._named(part))
            task.add_done_callback(partial(self._check_ended, part))
        # `wait` leaves the check running. Cancelling a database call that hangs would hang too.
        done, _ = await asyncio.wait({task}, timeout=CHECK_TIMEOUT)
        if done:
            return task.result()
        hint = "The runtime's log has the details."
        return Problem(part, f"The {part} has not answered within {CHECK_TIMEOUT:g} s.", hint)

    def _check_ended(self, part: str, _: asyncio.Task[Problem | None]) -> None:
        self._running.pop(part, None)

    async def _named(self, part: str) -> Problem | None:
        try:
            return await self._checks[part]()
        except CodewordsError as error:
            return Problem(part, error.message, error.hint, error.remedy)
        # A check that breaks tells of a part that does not work, and a probe must get its answer.
        except Exception as error:
            log.exception("readiness check failed", part=part)
            return Problem(
                part,
                f"The {part} could not be checked: {type(error).__name__}.",
                "The runtime's log has the details.",
            )

    async def _check_database(self) -> Problem | None:
        database = self._database
        stalled = database.behind
        # Reads may work while the disk is full or another program has the lock.
        if database.holds_writes or stalled > WRITES_STALLED:
            hint = "Look for a full disk, or for another program that holds the database locked."
            return Problem("database", "The database answers and takes no writes; they wait.", hint)
        await database.require_usable()
        return None

    async def _check_disk(self) -> Problem | None:
        # SQLite takes small writes into the pages that it has, while no sandbox finds room for its folder.
        await asyncio.to_thread(self._disk.require)
        return None

    async def _check_sandbox(self) -> Problem | None:
        tier = (await self._driver()).tier
        await asyncio.to_thread(self._run_disk.require)
        if tier.id != "D":
            return None
        return Problem("sandbox", " ".join(tier.facts) or "No isolation here.", tier.fix)
