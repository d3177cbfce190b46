"""One database, reached from async code through threads: one thread writes, a few read.

Synchronous SQLAlchemy Core through threads is faster than the async drivers on SQLite and equal on PostgreSQL, and it
is the engine that a durable queue can share in one transaction. WAL with synchronous=NORMAL survives kill -9; a power
cut may lose the last commits and never corrupts.
"""

from __future__ import annotations

import asyncio
import collections
import itertools
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

import structlog
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
)
from sqlalchemy.pool import ConnectionPoolEntry

from codewords_mcp.bounded_json import parse_stored
from codewords_mcp.errors import InvalidInput, StorageFailed
from codewords_mcp.runtime.store import local_file
from codewords_mcp.runtime.store.database_errors import (
    is_locked,
    is_retryable,
    is_transient,
    nul_error,
    storage_error,
)
from codewords_mcp.runtime.store.local_file import OpenFile
from codewords_mcp.runtime.store.migrations import migrate

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger(__name__)
READERS = 4
PATIENCE, AGAIN = 30.0, 0.2
"""Seconds that a database server may be away, as in a restart, before what was asked for fails; between two tries."""
STANDS_STILL = 15
"""Seconds after which the server ends a transaction of whose process nothing more comes."""
OTHERS = 12
"""Connections beside ours: those of the queue's threads, which wait for one where there is none."""
SOON = 0.004
"""Seconds over which `write_soon` gathers: short runs then take one transaction, not one for each of their states."""
_MARK = text(
    "INSERT INTO marks (id, number, at) VALUES (:id, :number, now()) ON CONFLICT (id) DO UPDATE"
    " SET number = excluded.number, at = excluded.at WHERE marks.number < excluded.number"
)
"""What a transaction leaves with all else that it writes: one whose commit is in doubt is done again only where its mark is
not there. Its number at the server would not tell, since a server that crashed gives numbers again that it had not written
down yet. While the server has not noticed that the connection is gone, this waits for the end of the first one.
"""
_OLD_MARKS = text("DELETE FROM marks WHERE at < now() - interval '1 day'")
READ_WAIT = 1.0
"""Seconds that a read waits for earlier `write_soon`, counted from when the store began to write: while the store stalls,
the first reads wait this long and later ones not at all.
"""
LEAST_PATIENCE = 0.1
"""Seconds that a write waits for a lock when its own patience was used up in the queue."""
DEFAULT_LOCK_WAIT, LOCK_WAIT_SLACK = 30.0, 0.05
"""Seconds that a new connection waits for a lock; seconds by which its wait may differ from what is left."""
_LOCK_WAIT = "lock_wait"
WAITS = "what must be written waits for the store"
HELD, HELD_AGAIN = 10_000, 1.0
"""Writes to keep, at the most, that wait for the store to take them again; seconds between two tries."""
REACHED: dict[str, Any] = {
    "connect_timeout": 10, "keepalives_idle": 5, "keepalives_interval": 3, "keepalives_count": 3, "tcp_user_timeout": 15_000,
}  # fmt: skip
"""How libpq notices a server that does not answer any more; the system alone would wait for a quarter of an hour, or for ever."""


def _configure_sqlite(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = "IMMEDIATE"  # a writer that has read first would be turned away, not wait
    cursor = connection.cursor()
    for pragma in (  # none that takes the write lock: a new connection for a read must not wait for it
        "synchronous=NORMAL",
        f"busy_timeout={round(DEFAULT_LOCK_WAIT * 1000)}",
        "foreign_keys=ON",
        "journal_size_limit=67108864",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _open_existing(path: Path, _dialect: Any, _entry: Any, args: list[Any], options: dict[str, Any]) -> None:
    """Never make a new, empty database where the home's file was deleted."""
    args[0] = f"file:{quote(str(path.absolute()))}?mode=rw"
    options["uri"] = True


def _limit_lock_wait(connection: Connection, seconds: float) -> None:
    """Let SQLite wait for another connection's lock this long, on this pooled connection, until the next call."""
    wait = max(LEAST_PATIENCE, min(PATIENCE, seconds))
    if abs(wait - connection.info.get(_LOCK_WAIT, DEFAULT_LOCK_WAIT)) > LOCK_WAIT_SLACK:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {round(wait * 1000)}")
        connection.info[_LOCK_WAIT] = wait


def _configure_file(path: Path) -> None:
    """Set what SQLite keeps in the database file, once for all connections. Raises OSError, sqlite3.DatabaseError."""
    local_file.prepare(path)
    with closing(sqlite3.connect(path, timeout=DEFAULT_LOCK_WAIT)) as connection:
        connection.execute(
            "PRAGMA auto_vacuum=INCREMENTAL"
        )  # takes effect in a new database; see retention.py
        connection.execute("PRAGMA journal_mode=WAL")


def _configure_postgres(connection: Any, _entry: ConnectionPoolEntry) -> None:
    """A process that stands still, or is cut off, in the middle of a transaction must not hold up the others with its locks."""
    connection.execute(f"SET idle_in_transaction_session_timeout = '{STANDS_STILL}s'")
    connection.commit()


def database_url(text: str) -> URL:
    """A database's address with the driver that we use. Raises InvalidInput."""
    try:
        url = make_url(text)
        backend = {"postgres": "postgresql"}.get(url.get_backend_name(), url.get_backend_name())
    except (ArgumentError, ValueError):
        backend, url = "", make_url("sqlite://")

    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and url.database:
        return url

    raise InvalidInput(
        "CODEWORDS_DATABASE_URL is not the address of a PostgreSQL database.",
        hint="Write it as postgresql://user:password@host:5432/name, or leave it out for SQLite in the home.",
    )


@dataclass(slots=True, frozen=True)
class _Soon:
    fn: Callable[[Connection], object]
    done: asyncio.Future[None]
    keep: bool


class Database:
    """Run functions of rows in threads, each in one transaction.

    `await write(function, *args, **kwargs)` and `await read(…)` call `function(connection, *args, **kwargs)`.
    `write_soon` does not wait: calls within some milliseconds share a transaction, and later reads see their writes.
    `write_with_retries` does so too, and tries again for as long as the store cannot take the write: the disk is full,
    or the server away. All writes happen in the order of the calls. A crash loses writes that were not committed.
    Raises StorageFailed when the disk is full, the home read-only or the database damaged; nothing of a failed
    transaction stays.
    """

    def __init__(self, engine: Engine, home: Path, file: OpenFile | None = None) -> None:
        self._engine = engine
        self._home = home
        self._file = file
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-write")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-read")
        self._soon: list[_Soon] = []
        self._held: list[_Soon] = []
        """The writer thread's: what is to be kept and could not be written, in order, before all else."""
        self._tried: asyncio.Future[list[_Outcome]] | None = None
        self._handed_over: collections.deque[float] = collections.deque()
        """When each batch that is not written yet was handed to the writer thread, by the monotonic clock."""
        self._holds = False
        self._again: asyncio.TimerHandle | None = None
        self._closed = False
        self._name = uuid.uuid4().hex
        self._numbers = itertools.count(1)

    @classmethod
    def open(cls, home: Path, url: str | None = None) -> Database:
        """Open and migrate. Blocking. Raises StorageFailed, InvalidInput for an address that is none."""
        if url:
            target = database_url(url)
        else:
            target = make_url(f"sqlite:///{home / local_file.NAME}")

        local = target.get_backend_name() == "sqlite"
        path = Path(target.database or "") if local else None
        try:
            if path is not None:
                _configure_file(path)
        except (OSError, sqlite3.Error) as error:
            raise storage_error(error, home) from error

        engine = create_engine(
            target, pool_size=READERS + 2, max_overflow=OTHERS, pool_pre_ping=not local,
            connect_args={} if local else REACHED, json_deserializer=parse_stored,
        )  # fmt: skip
        event.listen(engine, "connect", _configure_sqlite if local else _configure_postgres)
        if path is not None:
            event.listen(engine, "do_connect", partial(_open_existing, path))
        try:
            migrate(engine)
            if not local:
                with engine.begin() as connection:
                    connection.execute(_OLD_MARKS)
        except (DatabaseError, OSError) as error:
            engine.dispose()
            raise storage_error(error, home) from error
        except StorageFailed:
            engine.dispose()
            raise

        return cls(engine, home, None if path is None else OpenFile(path))

    @property
    def engine(self) -> Engine:
        """The engine, for who shares the database: the queue."""
        return self._engine

    @property
    def shared(self) -> bool:
        """Whether other processes use it too: PostgreSQL."""
        return self._engine.dialect.name != "sqlite"

    @property
    def behind(self) -> float:
        """Seconds that the oldest batch has been with the writer thread without being written; 0 where none is."""
        if self._handed_over:
            return time.monotonic() - self._handed_over[0]
        return 0.0

    @property
    def stalled(self) -> bool:
        """Whether reads no longer wait for earlier `write_soon`, and may miss what those write."""
        return self.behind > READ_WAIT

    @property
    def holds_writes(self) -> bool:
        """Whether writes that must be kept wait for a store that does not take them."""
        return self._holds

    def require_file(self) -> None:
        """Raises StorageFailed where the SQLite file was deleted or replaced under this runtime."""
        if self._file is not None:
            self._file.require()

    def _transact(
        self, fn: Callable[[Connection], T], asked_at: float | None = None, *, writes: bool = True
    ) -> T:
        """Run `fn` in one transaction. `asked_at`: when the caller began to wait, by the monotonic clock."""
        deadline = (time.monotonic() if asked_at is None else asked_at) + PATIENCE
        mark = {"id": f"{self._name}/{threading.get_ident()}", "number": next(self._numbers)}
        outcome: list[T] = []

        while True:
            if writes:
                self.require_file()
            try:
                with self._engine.begin() as connection:
                    if writes and not self.shared:
                        _limit_lock_wait(connection, deadline - time.monotonic())
                    if writes and self.shared and not connection.execute(_MARK, mark).rowcount:
                        return outcome[0]  # it was committed, and only the word of it was lost
                    outcome = [fn(connection)]

                return outcome[0]
            except (OperationalError, DatabaseError, InterfaceError) as error:
                if isinstance(error, DataError) and "NUL" in str(error.orig):
                    raise nul_error() from error
                if isinstance(error, IntegrityError):
                    raise
                if not (self.shared and is_transient(error)) or time.monotonic() > deadline or self._closed:
                    self.require_file()
                    raise storage_error(error, self._home) from error

            time.sleep(AGAIN)

    async def write(
        self, function: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run the function in the writer thread and commit."""
        self.hurry()
        call = _bind(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(
            self._writer, self._transact, call, time.monotonic()
        )

    def write_soon(
        self, function: Callable[Concatenate[Connection, P], object], /, *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[None]:
        """Run the function soon. The future ends with the commit or the error; nobody has to await it."""
        return self._add_soon(_bind(function, *args, **kwargs), keep=False)

    def write_with_retries(
        self, function: Callable[Concatenate[Connection, P], object], /, *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[None]:
        """Run the function soon, and again until the store takes the write. Don't await the future: it may take hours."""
        return self._add_soon(_bind(function, *args, **kwargs), keep=True)

    def _add_soon(self, fn: Callable[[Connection], object], *, keep: bool) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        done.add_done_callback(_tell_lost)
        if not self._soon:
            loop.call_later(SOON, self.hurry)
        self._soon.append(_Soon(fn, done, keep))
        return done

    def hurry(self) -> None:
        """Begin writing now what `write_soon` has gathered."""
        batch, self._soon = self._soon, []
        if batch and self._closed:
            _resolve([(soon.done, StorageFailed("The store is closed.")) for soon in batch])
        elif batch or self._held:
            loop = asyncio.get_running_loop()
            asked_at = time.monotonic()
            self._handed_over.append(asked_at)
            self._tried = loop.run_in_executor(self._writer, self._write_batch, batch, asked_at)
            self._tried.add_done_callback(self._written)

    def _written(self, tried: asyncio.Future[list[_Outcome]]) -> None:
        self._handed_over.popleft()  # one thread writes them, so they are done in this order
        _resolve(tried.result())
        if bool(self._held) is not self._holds:
            self._holds = bool(self._held)
            log.warning(WAITS if self._holds else "the store takes what waited for it")
        if self._held and self._again is None and not self._closed:
            self._again = asyncio.get_running_loop().call_later(HELD_AGAIN, self._hold_on)

    def _hold_on(self) -> None:
        self._again = None
        self.hurry()

    def _write_batch(self, batch: list[_Soon], asked_at: float) -> list[_Outcome]:
        """Write it, and first what is held; what came of each that is not held (again)."""
        batch, self._held = self._held + batch, []
        outcomes: list[_Outcome] = []
        for soon, error in zip(batch, self._try([soon.fn for soon in batch], asked_at), strict=True):
            if soon.keep and is_retryable(error) and len(self._held) < HELD and not self._closed:
                self._held.append(soon)
            else:
                outcomes.append((soon.done, error))
        return outcomes

    def _try(self, fns: list[Callable[[Connection], object]], asked_at: float) -> list[Exception | None]:
        """One transaction for all; where it fails, one for each, so that a bad one spoils no other."""

        def every(connection: Connection) -> None:
            for fn in fns:
                fn(connection)

        try:
            self._transact(every, asked_at)
        except Exception as error:  # noqa: BLE001  # whatever it is belongs to whoever asked for the write
            everybodys = is_retryable(error) and (self.shared or is_locked(error.__cause__))
            if len(fns) == 1 or everybodys:  # a server that is away and a lock meet each of them alike
                return [error] * len(fns)
            return [one for fn in fns for one in self._try([fn], asked_at)]

        return [None] * len(fns)

    async def read(
        self, function: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run the function in a reader thread, after earlier calls of `write_soon`.

        The wait for those is short: a store that cannot write (its lock is held, its disk is slow) must not stop reads,
        which need no lock.
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
        """`read` that waits for earlier writes until so many seconds after the store began to write them.

        A read whose result decides what is allowed waits longer than others.
        """
        await self._written_before(write_timeout)
        look = partial(self._transact, _bind(function, *args, **kwargs), writes=False)
        return await asyncio.get_running_loop().run_in_executor(self._readers, look)

    async def aside(
        self, function: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run the function in a transaction of its own, beside the writer; for a shared database only."""
        call = _bind(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._transact, call)

    async def _written_before(self, patience: float) -> None:
        if self._soon:
            self.hurry()
        if self._tried is None or self._tried.done():
            return
        left = patience - self.behind
        if left > 0:
            await asyncio.wait({self._tried}, timeout=left)

    async def drained(self) -> None:
        """Return when everything asked for with `write_soon` until now is written, has failed or is held."""
        if self._soon:
            self.hurry()
        if self._tried is not None and not self._tried.done():
            await asyncio.wait({self._tried})

    def write_blocking(
        self, function: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`write` for the time before and after the event loop."""
        return self._transact(_bind(function, *args, **kwargs))

    def close(self) -> None:
        """Finish what is queued and close. Blocking. What `write_soon` still gathers is lost: await `drained` first."""
        self._closed = True
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self._engine.dispose()
        if self._held:
            log.error("not written, since the store did not take it until the end", writes=len(self._held))


_Outcome = tuple[asyncio.Future[None], Exception | None]


def _bind(
    function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
) -> Callable[[Connection], T]:
    """The function with all arguments but the connection, which comes first."""

    def call(connection: Connection) -> T:
        return function(connection, *args, **kwargs)

    return call


def _resolve(outcomes: list[_Outcome]) -> None:
    for done, error in outcomes:
        if done.cancelled():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


def _tell_lost(done: asyncio.Future[None]) -> None:
    if not done.cancelled() and (error := done.exception()):
        log.error("not written", reason=str(error))
