"""Bytes that owners store: those of rows are measured, those of files are known."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    LargeBinary,
    String,
    Table,
    cast,
    func,
    literal,
    select,
)

from codewords_mcp.runtime.store import inserts
from codewords_mcp.runtime.store.tables import (
    drafts,
    files,
    held_writes,
    log_chunks,
    outbox,
    owner_storage,
    recorded_bodies,
    recording_journal,
    recordings,
    replays,
    run_requests,
    run_traces,
    runs,
    schedules,
    secrets,
    service_values,
    trigger_events,
    triggers,
    versions,
    webhook_deliveries,
    workflows,
)

_LENGTH_WITHOUT_READING: Final = sqlite3.sqlite_version_info >= (3, 43)
"""Whether SQLite has `octet_length`, which does not read a long text to know its bytes."""


class _Owned(NamedTuple):
    """Rows of one table. They are the owner's by their own column, or by that of `parent`, which `key` names."""

    table: Table
    parent: Table | None = None
    key: str = ""

    def source(self) -> tuple[FromClause, ColumnElement[str]]:
        """(What is selected from, the column of the owner.)"""
        if self.parent is None:
            return self.table, self.table.c.owner
        joined = self.table.join(self.parent, self.parent.c.id == self.table.c[self.key])
        return joined, self.parent.c.owner


_ROWS_BY_KIND: Final[Mapping[str, tuple[_Owned, ...]]] = {
    "runs": (_Owned(runs), _Owned(run_requests, runs, "run_id"), _Owned(run_traces, runs, "run_id")),
    "logs": (_Owned(log_chunks, runs, "run_id"),),
    "recordings": (
        _Owned(recordings),
        _Owned(recorded_bodies),
        _Owned(recording_journal, runs, "run_id"),
        _Owned(held_writes),
        _Owned(replays),
    ),
    "sources": (_Owned(workflows), _Owned(versions, workflows, "workflow_id"), _Owned(drafts)),
    "values": (
        _Owned(service_values),
        _Owned(outbox),
        _Owned(webhook_deliveries),
        _Owned(trigger_events, triggers, "trigger_id"),
        _Owned(schedules),
        _Owned(secrets),
    ),
}
MEASURED: Final = tuple(_ROWS_BY_KIND)
"""Kinds whose rows are measured."""


class Measurement(NamedTuple):
    """Bytes by kind, and the time in µs at which they were measured."""

    bytes: dict[str, int]
    at: int


def measure(connection: Connection, owner: str, kind: str) -> int:
    """Sum the bytes of the texts and documents of an owner's rows of a kind of `MEASURED`. Reads all of these rows."""
    is_sqlite = connection.dialect.name == "sqlite"
    return sum(_sum(connection, owner, part, is_sqlite=is_sqlite) for part in _ROWS_BY_KIND[kind])


def put(connection: Connection, owner: str, sizes: Mapping[str, int], at: int) -> None:
    """Store a measurement in place of the one before."""
    inserts.put(connection, owner_storage, {"owner": owner, "bytes": dict(sizes), "measured_at": at})


def read(connection: Connection, owner: str) -> tuple[Measurement | None, int]:
    """(The last measurement; the bytes of the owner's files now)."""
    row = connection.execute(select(owner_storage).where(owner_storage.c.owner == owner)).mappings().first()
    size = select(func.coalesce(func.sum(files.c.size), 0)).where(files.c.owner == owner)
    found = None if row is None else Measurement(row["bytes"], row["measured_at"])
    return found, connection.execute(size).scalar_one()


def _sum(connection: Connection, owner: str, part: _Owned, *, is_sqlite: bool) -> int:
    source, owned_by = part.source()
    lengths: ColumnElement[Any] = literal(0)
    # Numbers and flags are left out: a few bytes a row, as indexes are.
    for column in part.table.columns:
        if isinstance(column.type, String | JSON | LargeBinary):
            lengths += func.coalesce(_length(column, is_sqlite=is_sqlite), 0)
    total = select(func.coalesce(func.sum(lengths), 0)).select_from(source).where(owned_by == owner)
    return int(connection.execute(total).scalar_one())


def _length(column: ColumnElement[Any], *, is_sqlite: bool) -> ColumnElement[int]:
    if not is_sqlite:
        # As they are stored: compressed, and beside the row. Nothing of them is read.
        return func.pg_column_size(column, type_=Integer)
    if _LENGTH_WITHOUT_READING:
        return func.octet_length(column, type_=Integer)
    return func.length(cast(column, LargeBinary), type_=Integer)
