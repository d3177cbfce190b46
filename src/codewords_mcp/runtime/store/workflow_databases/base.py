"""The promise of both kinds of databases: bounded calls in one transaction each, and errors in words."""

from __future__ import annotations

import asyncio
import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from codewords_mcp.errors import (
    BodyTooLarge,
    CodewordsError,
    InvalidInput,
    RunTimedOut,
    StorageFailed,
    TooBusy,
)

MAX_STATEMENTS: Final = 100
MAX_SQL: Final = 100_000
MAX_ROWS: Final = 10_000
MAX_ANSWER: Final = 4 << 20
"""Bytes of one answer as JSON."""
MAX_VALUE: Final = 4 << 20
MAX_DATABASE: Final = 256 << 20
MAX_AT_ONCE: Final = 2
"""Calls of one database that go on at once, so that no workflow takes all processes or threads."""
TIMEOUT: Final = 10.0
"""Seconds that one call may take."""
MIGRATIONS: Final = "_migrations"
"""The table of applied migrations; nobody but the service writes to it."""
_MAX_MESSAGE: Final = 300


@dataclass(frozen=True, slots=True)
class DatabaseKey:
    """The owner of the runs, and the workflow's id."""

    owner: str
    workflow: str

    @property
    def name(self) -> str:
        """The name of its file, schema and role; the same at each call, and no other pair's."""
        return f"{workflow_name(self.workflow)}_{owner_name(self.owner)}"


def owner_name(owner: str) -> str:
    """The end of the names of an owner's databases."""
    return hashlib.blake2b(owner.encode(), digest_size=8, person=b"workflow db").hexdigest()


def workflow_name(workflow: str) -> str:
    """The beginning of the names of a workflow's databases. Names of PostgreSQL have 63 bytes at most."""
    digest = hashlib.blake2b(workflow.encode(), digest_size=10, person=b"workflow db")
    return f"cwdb_{digest.hexdigest()}"


@dataclass(frozen=True, slots=True)
class SqlStatement:
    """One statement, with values for its placeholders: `?` by place, `:name` by name."""

    sql: str
    parameters: list[Any] | dict[str, Any] = field(default_factory=list[Any])


@dataclass(frozen=True, slots=True)
class SqlCall:
    """Statements for one transaction, after the migrations that were not applied yet."""

    statements: tuple[SqlStatement, ...]
    migrations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StatementResult:
    """The answer of one statement. `changed`: rows that were inserted, updated or deleted."""

    columns: list[str]
    rows: list[list[Any]]
    changed: int


@dataclass(frozen=True, slots=True)
class CallResult:
    """The answer of a call. `migrated`: migrations that were applied by it; `version`: those that are applied."""

    results: list[StatementResult]
    migrated: int
    version: int


@dataclass(frozen=True, slots=True)
class TableShape:
    """A table, its columns as they were declared, and its number of rows."""

    name: str
    columns: list[str]
    rows: int


class CallSlots:
    """Slots of calls, for each database its own."""

    def __init__(self, most: int = MAX_AT_ONCE) -> None:
        self._most = most
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._users = Counter[str]()

    @asynccontextmanager
    async def of(self, key: DatabaseKey) -> AsyncGenerator[None]:
        """Wait for a slot of this database, and have it for a while."""
        name = key.name
        slots = self._slots.setdefault(name, asyncio.Semaphore(self._most))
        self._users[name] += 1
        try:
            async with slots:
                yield
        finally:
            self._users[name] -= 1
            if not self._users[name]:
                # Else one would stay for every database that was ever called.
                del self._users[name], self._slots[name]


class WritesRefused(InvalidInput):
    """SQL of a call that may only read would write."""

    code = "read_only"


class WorkflowDatabases(ABC):
    """Databases of workflows, made when they are first written to. Every call is bounded in time, rows and bytes."""

    @abstractmethod
    async def run(self, key: DatabaseKey, call: SqlCall, *, read_only: bool = False) -> CallResult:
        """Carry out a call in one transaction. Raises WritesRefused where `read_only` would write, InvalidInput for SQL
        that fails, RunTimedOut, BodyTooLarge, TooBusy, StorageFailed.
        """

    @abstractmethod
    async def tables(self, key: DatabaseKey) -> tuple[list[TableShape], int]:
        """(The tables, the database's size in bytes). Raises as `run`."""

    @abstractmethod
    async def exists(self, key: DatabaseKey) -> bool:
        """Whether it has been made."""

    @abstractmethod
    async def delete(self, workflow: str) -> None:
        """Delete the databases of a workflow, of all owners."""

    @abstractmethod
    async def count(self, workflow: str) -> int:
        """The number of its databases."""

    @abstractmethod
    async def bytes_of(self, owner: str) -> int:
        """The bytes of all databases of an owner."""

    @abstractmethod
    async def close(self) -> None:
        """End its threads and processes. Calls that go on end with them."""


def error_of(kind: str, message: str, place: int | None = None) -> CodewordsError:
    """The error for a kind of failure: of a worker, or of PostgreSQL. `place`: the statement's, from 0."""
    where = "" if place is None else f" in statement {place + 1}"
    reason = " ".join(message.split())[:_MAX_MESSAGE]
    match kind:
        case "writes":
            return WritesRefused(
                "This statement writes, and the call may only read.", hint="Leave out the path `query`."
            )
        case "timeout":
            return RunTimedOut(
                f"The database did not answer within {TIMEOUT:g} s; nothing was changed.",
                hint="Add an index, or ask for less at once.",
            )
        case "rows":
            return BodyTooLarge(
                f"The answer has more than {MAX_ROWS} rows or {MAX_ANSWER >> 20} MiB; nothing was changed.",
                hint="Add LIMIT, and ask page by page.",
            )
        case "full":
            return StorageFailed(
                f"The database would be larger than {MAX_DATABASE >> 20} MiB; nothing was changed.",
                hint="Delete rows that are not needed, or keep large data as files.",
            )
        case "memory":
            return InvalidInput(
                "The statement needs too much memory; nothing was changed.", hint="Add LIMIT or an index."
            )
        case "busy":
            return TooBusy("The database is in use by another call.", hint="Try again.", retry_after=1)
        case "migration":
            return InvalidInput(
                f"Migration {message} is not the one that was applied here; nothing was changed.",
                hint="Leave applied migrations as they are, and add a new one at the end of the list.",
            )
        case "refused":
            return InvalidInput(
                f"Refused{where}: {reason}.", hint="docs/guides/services.md says what SQL may do."
            )
        case "damaged":
            return StorageFailed(
                "The workflow's database is damaged, or its disk failed.", hint="Restore a backup."
            )
        case _:
            return InvalidInput(
                f"The database said{where}: {reason.rstrip('.')}.", hint="Nothing was changed."
            )
