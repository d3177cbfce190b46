"""Transactions of one database: of SQLite's file, or of a server that may be away for a while. All of it blocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, InterfaceError, OperationalError

from codewords_mcp.errors import StorageFailed
from codewords_mcp.runtime.model.measures import EndedRun, Measures
from codewords_mcp.runtime.store import audit_capture, run_ends
from codewords_mcp.runtime.store.checkpoints import Checkpoints
from codewords_mcp.runtime.store.database_errors import is_damage, is_transient, nul_error, storage_error
from codewords_mcp.runtime.store.engine import limit_lock_wait
from codewords_mcp.runtime.store.local_file import OpenFile
from codewords_mcp.runtime.store.transaction_marks import TransactionMarks

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
RETRY_INTERVAL = 0.2
"""Seconds between attempts while a database server is away."""


class _Attempt(Protocol[T_co]):
    def __call__(self, *, repeated: bool) -> T_co: ...


class Transactions:
    """Run functions in one transaction each, again while the server is away, for `timeout` seconds.

    `closed` ends the attempts. Raises StorageFailed when the disk is full, the home read-only or the database damaged. A failed
    transaction changes nothing.
    """

    def __init__(
        self, engine: Engine, home: Path, file: OpenFile | None, timeout: float, measures: Measures
    ) -> None:
        self.shared = engine.dialect.name != "sqlite"
        """True if other processes use the database too: PostgreSQL."""
        # The driver then sends nothing of its own before a statement: a read is one round trip.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT") if self.shared else engine
        self._home = home
        self._file = file
        self._timeout = timeout
        self._measures = measures
        self._marks = TransactionMarks()
        self._checkpoints = Checkpoints(file.path) if file is not None else None
        self.audited = 0
        """Entries that these transactions have added to the audit trail."""
        self.refusal: StorageFailed | None = None
        """The error of the last write, until one succeeds. Damage stays until the file is opened anew: other pages may still
        take writes."""
        self.closed = False

    def require_file(self) -> None:
        """Raises StorageFailed where the SQLite file was deleted or replaced under this runtime."""
        if self._file is not None:
            self._file.require()

    def write(self, fn: Callable[[Connection], T], requested_at: float | None = None) -> T:
        """Run `fn` in one transaction. `requested_at`: when the caller began to wait, by the monotonic clock."""
        deadline = (time.monotonic() if requested_at is None else requested_at) + self._timeout
        mark = self._marks.next()
        outcome: list[T] = []
        ended: list[EndedRun] = []
        added = 0

        def attempt(*, repeated: bool) -> T:
            nonlocal added
            self.require_file()
            with self._engine.begin() as connection:
                # SQLite waits for a lock by itself, and not longer than this call has left.
                if not self.shared:
                    limit_lock_wait(connection, min(self._timeout, deadline - time.monotonic()))
                elif not mark.begin(connection, repeated=repeated):
                    return outcome[0]  # the transaction was committed, and only the reply was lost

                audit_capture.begin(connection)
                run_ends.begin(connection)
                outcome[:] = [fn(connection)]
                added = audit_capture.flush(connection)
                ended[:] = run_ends.take(connection)

            return outcome[0]

        try:
            result = self._measured("write", attempt, deadline)
        except StorageFailed as error:
            self.refusal = error
            raise
        if self.refusal is not None and not is_damage(self.refusal.__cause__):
            self.refusal = None
        if self._checkpoints is not None:
            self._checkpoints.count_commit()
        # After the commit: whoever sees the new count must find the entries.
        self.audited += added
        for run in ended:
            self._measures.count_run(run)
        return result

    def end(self) -> None:
        """End what goes on beside the transactions. Blocking."""
        if self._checkpoints is not None:
            self._checkpoints.close()

    def read(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn`, which only reads. On a server each statement is by itself, as it would be in a transaction."""

        def attempt(*, repeated: bool) -> T:  # noqa: ARG001  # a read may be repeated
            with self._engine.begin() as connection:
                return fn(connection)

        return self._measured("read", attempt, time.monotonic() + self._timeout)

    def _measured(self, kind: str, attempt: _Attempt[T], deadline: float) -> T:
        """Count a transaction, its time and its failure."""
        began = time.monotonic()
        try:
            return self._repeat(attempt, deadline)
        except StorageFailed:
            self._measures.transaction_failures.add()
            raise
        finally:
            self._measures.transactions.observe(time.monotonic() - began, kind)

    def _repeat(self, attempt: _Attempt[T], deadline: float) -> T:
        """Make attempts while the server is away, until the deadline. Raises as the class says."""
        repeated = False
        while True:
            try:
                return attempt(repeated=repeated)
            except (OperationalError, DatabaseError, InterfaceError) as error:
                if isinstance(error, DataError) and "NUL" in str(error.orig):
                    raise nul_error() from error
                # A violated constraint is an answer to the caller (a name is taken), not a fault of the
                # store.
                if isinstance(error, IntegrityError):
                    raise
                if not (self.shared and is_transient(error)) or time.monotonic() > deadline or self.closed:
                    self.require_file()
                    raise storage_error(error, self._home) from error

            repeated = True
            time.sleep(RETRY_INTERVAL)
