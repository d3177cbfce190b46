"""One database, used from async code through threads: one thread writes, a few read.

Synchronous SQLAlchemy Core in threads is faster than the async drivers on SQLite and equal on
PostgreSQL. A durable queue can share its engine in one transaction. WAL with synchronous=NORMAL
survives kill -9. A power cut may lose the last commits and never corrupts the file.
"""

from __future__ import annotations

import asyncio
import collections
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection, Engine, make_url

from codewords_mcp.errors import StorageFailed
from codewords_mcp.runtime.model.audit import CURRENT
from codewords_mcp.runtime.model.measures import Measures
from codewords_mcp.runtime.store import audit_capture, local_file, table_pages
from codewords_mcp.runtime.store.database_address import database_url
from codewords_mcp.runtime.store.database_errors import is_damage, is_locked, is_retryable
from codewords_mcp.runtime.store.engine import CONNECTIONS, IDLE_TIMEOUT, open_engine
from codewords_mcp.runtime.store.gathered_write import GatheredWrite, Outcome, gathered, settle
from codewords_mcp.runtime.store.local_file import OpenFile
from codewords_mcp.runtime.store.transactions import Transactions

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger(__name__)
READERS = 4
WRITE_TIMEOUT = 30.0
"""Seconds that a database server may be away, as in a restart, before a call fails."""
GATHER_INTERVAL = 0.004
"""Seconds over which `write_soon` gathers.

Short runs then take one transaction instead of one for each state.
"""
LATER_INTERVAL = 0.1
"""Seconds over which `write_later` gathers, unless something else is written or read before."""
READ_WAIT = 1.0
"""Seconds that a read waits for earlier `write_soon`, counted from the start of their transaction.

While the store stalls, the first reads wait this long and later ones do not wait.
"""
WRITES_RETAINED = "writes retained: the store does not accept them"
MAX_RETAINED, RETAINED_INTERVAL = 10_000, 1.0
"""Maximum number of retained writes that wait for the store; seconds between retries."""


class Database:
    """Run functions in threads, each in one transaction.

    `await write(function, *args, **kwargs)` and `await read(…)` call `function(connection, *args,
    **kwargs)`. `write_soon` does not wait: calls within some milliseconds share a transaction, and
    later reads see their writes. `write_with_retries` does the same and retries until the store
    accepts the write, as when the disk is full or the server away. `write_later` gathers for longer.
    `write_passing` is for what may never have to be written.

    All other writes happen in the order of the calls. A crash loses writes that were not committed.
    Raises StorageFailed when the disk is full, the home read-only or the database damaged. A failed
    transaction changes nothing.
    """

    def __init__(
        self,
        engine: Engine,
        home: Path,
        file: OpenFile | None = None,
        write_timeout: float = WRITE_TIMEOUT,
        measures: Measures | None = None,
    ) -> None:
        self.measures = measures or Measures()
        """Counts transactions, and the runs that they end."""
        self._engine = engine
        self._transactions = Transactions(engine, home, file, write_timeout, self.measures)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-write")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-read")
        self._soon: list[GatheredWrite] = []
        self._gathering: asyncio.Handle | None = None
        self._due = 0.0
        self._passing: list[GatheredWrite] = []
        self._passing_timer: asyncio.TimerHandle | None = None
        self._retained: list[GatheredWrite] = []
        """Failed writes that are retried, in order, before all others.

        Used by the writer thread only.
        """
        self._tried: asyncio.Future[list[Outcome]] | None = None
        self._handed_over: collections.deque[float] = collections.deque()
        """The monotonic times at which unwritten batches were passed to the writer thread."""
        self._holds = False
        self._retry: asyncio.TimerHandle | None = None

    @classmethod
    def open(
        cls,
        home: Path,
        url: str | None = None,
        *,
        idle_timeout: int = IDLE_TIMEOUT,
        write_timeout: float = WRITE_TIMEOUT,
        connections: int = CONNECTIONS,
        measures: Measures | None = None,
    ) -> Database:
        """Open and migrate. Blocking. Raises StorageFailed, InvalidInput for an address that is none."""
        if url:
            target = database_url(url)
        else:
            target = make_url(f"sqlite:///{home / local_file.NAME}")

        engine, path = open_engine(
            target, home, readers=READERS, idle_timeout=idle_timeout, connections=connections
        )
        return cls(engine, home, None if path is None else OpenFile(path), write_timeout, measures)

    @property
    def engine(self) -> Engine:
        """The engine, for the queue, which shares the database."""
        return self._engine

    @property
    def shared(self) -> bool:
        """Whether other processes use it too: PostgreSQL."""
        return self._transactions.shared

    @property
    def audited(self) -> int:
        """The number of entries that this process has added to the audit trail."""
        return self._transactions.audited

    @property
    def behind(self) -> float:
        """Seconds that the oldest batch has been with the writer thread unwritten; 0 without one."""
        if self._handed_over:
            return time.monotonic() - self._handed_over[0]
        return 0.0

    @property
    def stalled(self) -> bool:
        """Whether reads no longer wait for earlier `write_soon`, and may miss those writes."""
        return self.behind > READ_WAIT

    @property
    def holds_writes(self) -> bool:
        """Whether retained writes wait for a store that does not accept them."""
        return self._holds

    def require_file(self) -> None:
        """Raises StorageFailed where the SQLite file was deleted or replaced under this runtime."""
        self._transactions.require_file()

    async def require_usable(self) -> None:
        """Raise StorageFailed where the database would refuse what a run reads or writes. May wait as long as a write."""
        self._transactions.require_file()
        refusal = self._transactions.refusal
        if refusal is not None:
            if is_damage(refusal.__cause__):
                raise refusal
            # Nothing else may write while a balancer sends no requests here.
            await self.write(table_pages.write_one)
        await self.read_within(0, table_pages.read_one_of_each)

    async def write(
        self, function: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run the function in the writer thread and commit."""
        # Gathered calls are older than this one, and writes keep the order of the calls.
        self.hurry()
        call = _bind(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(
            self._writer, self._transactions.write, call, time.monotonic()
        )

    def write_soon(
        self, function: Callable[Concatenate[Connection, P], object], /, *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[None]:
        """Run the function soon.

        The future ends with the commit or the error; it need not be awaited.
        """
        return self._add_soon(_bind(function, *args, **kwargs), GATHER_INTERVAL, keep=False)

    def write_with_retries(
        self, function: Callable[Concatenate[Connection, P], object], /, *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[None]:
        """Run the function soon, and again until the store accepts the write.

        Don't await the future: it may take hours.
        """
        return self._add_soon(_bind(function, *args, **kwargs), GATHER_INTERVAL, keep=True)

    def write_later(
        self, function: Callable[Concatenate[Connection, P], object], /, *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[None]:
        """`write_with_retries` in the transaction of the next write, or in one of its own after a tenth of a second.

        For what a crash may lose. Later reads see it as they see other writes.
        """
        return self._add_soon(_bind(function, *args, **kwargs), LATER_INTERVAL, keep=True)

    def write_passing(
        self, function: Callable[Concatenate[Connection, P], object], /, *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[None]:
        """Run the function before the next read, or after a tenth of a second; never, where the future is cancelled before.

        For a state that soon passes. It may be written after later calls, and must change nothing then.
        """
        soon = gathered(_bind(function, *args, **kwargs), keep=True)
        self._passing.append(soon)
        if self._passing_timer is None:
            self._passing_timer = asyncio.get_running_loop().call_later(LATER_INTERVAL, self._write_passing)
        return soon.done

    def _write_passing(self) -> None:
        if self._passing_timer is not None:
            self._passing_timer.cancel()
            self._passing_timer = None
        self._soon += [soon for soon in self._passing if not soon.done.cancelled()]
        self._passing.clear()
        self.hurry()

    def is_latest(self, write: asyncio.Future[None]) -> bool:
        """True if a gathered write has not begun and no other came after it, so that its arguments may still grow."""
        return bool(self._soon) and self._soon[-1].done is write

    def _add_soon(
        self, fn: Callable[[Connection], object], within: float, *, keep: bool
    ) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        soon = gathered(fn, keep=keep)
        self._soon.append(soon)
        due = loop.time() + within
        if self._gathering is None or due < self._due:
            self._stop_gathering()
            # uvloop gives a plain handle, which knows no time, where the time is over by now: as on a busy machine.
            self._gathering, self._due = loop.call_at(due, self.hurry), due
        return soon.done

    def _stop_gathering(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None

    def hurry(self) -> None:
        """Start writing the calls that are gathered."""
        self._stop_gathering()
        batch, self._soon = self._soon, []
        if batch and self._transactions.closed:
            settle([(soon.done, StorageFailed("The store is closed.")) for soon in batch])
        elif batch or self._retained:
            loop = asyncio.get_running_loop()
            requested_at = time.monotonic()
            self._handed_over.append(requested_at)
            self._tried = loop.run_in_executor(self._writer, self._write_batch, batch, requested_at)
            self._tried.add_done_callback(self._written)

    def _written(self, tried: asyncio.Future[list[Outcome]]) -> None:
        self._handed_over.popleft()  # one thread writes them, so they are done in this order
        settle(tried.result())
        if bool(self._retained) is not self._holds:
            self._holds = bool(self._retained)
            log.warning(WRITES_RETAINED if self._holds else "retained writes accepted")
        if self._retained and self._retry is None and not self._transactions.closed:
            self._retry = asyncio.get_running_loop().call_later(RETAINED_INTERVAL, self._retry_retained)

    def _retry_retained(self) -> None:
        self._retry = None
        self.hurry()

    def _write_batch(self, batch: list[GatheredWrite], requested_at: float) -> list[Outcome]:
        """Write retained writes, then the batch.

        Returns the outcome of each write that is not retained.
        """
        batch, self._retained = self._retained + batch, []
        outcomes: list[Outcome] = []
        for soon, error in zip(batch, self._try([soon.fn for soon in batch], requested_at), strict=True):
            if (
                soon.keep
                and is_retryable(error)
                and len(self._retained) < MAX_RETAINED
                and not self._transactions.closed
            ):
                self._retained.append(soon)
            else:
                outcomes.append((soon.done, error))
        return outcomes

    def _try(self, fns: list[Callable[[Connection], object]], requested_at: float) -> list[Exception | None]:
        """One transaction for all; where it fails, one for each, so that a bad one spoils no other."""

        def every(connection: Connection) -> None:
            for fn in fns:
                fn(connection)

        try:
            self._transactions.write(every, requested_at)
        except Exception as error:  # noqa: BLE001  # every error goes to the caller of the write
            shared_cause = is_retryable(error) and (self.shared or is_locked(error.__cause__))
            if len(fns) == 1 or shared_cause:  # a lock or an absent server fails each function alike
                return [error] * len(fns)
            return [error for fn in fns for error in self._try([fn], requested_at)]

        return [None] * len(fns)

    async def read(
        self, function: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run the function in a reader thread, after earlier calls of `write_soon`.

        The wait for those is short: a store that cannot write (its lock is taken, its disk is slow)
        must not stop reads, which need no lock.
        """
        return await self.read_within(READ_WAIT, function, *args, **kwargs)

    async def read_within(
        self,
        write_timeout: float,
        function: Callable[Concatenate[Connection, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Read, waiting for earlier writes until `write_timeout` seconds after their transaction
        started.

        A read that decides on a permission waits longer than others.
        """
        await self._written_before(write_timeout)
        call = _bind(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._transactions.read, call)

    async def aside(
        self, function: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run the function in a transaction of its own, beside the writer; for a shared database only."""
        call = _bind(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._transactions.write, call)

    async def _written_before(self, write_timeout: float) -> None:
        self._hurry_all()
        if self._tried is None or self._tried.done():
            return
        remaining = write_timeout - self.behind
        if remaining > 0:
            await asyncio.wait({self._tried}, timeout=remaining)

    def _hurry_all(self) -> None:
        if self._passing:
            self._write_passing()
        elif self._soon:
            self.hurry()

    async def drained(self) -> None:
        """Return when all earlier calls of `write_soon` are written, have failed or are retained."""
        self._hurry_all()
        if self._tried is not None and not self._tried.done():
            await asyncio.wait({self._tried})

    def write_blocking(
        self, function: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`write` for the time before and after the event loop."""
        return self._transactions.write(_bind(function, *args, **kwargs))

    def close(self) -> None:
        """Finish queued writes and close. Blocking.

        Calls that `write_soon` still gathers are lost: await `drained` first.
        """
        # First, since it ends the retries of calls that the shutdown waits for.
        self._transactions.closed = True
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self._transactions.end()
        self._engine.dispose()
        if self._retained:
            log.error("retained writes lost at close", writes=len(self._retained))


def _bind(
    function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
) -> Callable[[Connection], T]:
    """The function with all arguments but the connection, which comes first.

    Its changes belong to the operation of the caller's context, which threads do not have.
    """
    operation = CURRENT.get()

    def call(connection: Connection) -> T:
        audit_capture.attribute(connection, operation)
        return function(connection, *args, **kwargs)

    return call
