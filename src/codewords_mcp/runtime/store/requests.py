"""Requests of background runs, stored until the run ends, so that any process can execute it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select

from codewords_mcp.common.bounded_json import JsonObject
from codewords_mcp.runtime.model.caller import CallerKind
from codewords_mcp.runtime.model.run import ExecutionMode
from codewords_mcp.runtime.model.run_columns import AttemptEntry
from codewords_mcp.runtime.store import recording_journal as journal
from codewords_mcp.runtime.store.tables import run_requests, runs

_INSERT = insert(run_requests)
_DELETE = delete(run_requests).where(run_requests.c.run_id == bindparam("ended"))


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A request without its credentials. `headers` are pairs of latin-1 text; `timeout` in seconds."""

    run_id: str
    method: str
    path: str
    query: bytes
    headers: list[list[str]]
    body: bytes
    timeout: float | None
    caller_kind: CallerKind


@dataclass(frozen=True, slots=True)
class RequestedRun:
    """A background run that has not ended, by its record, with its request. `not_before` in µs."""

    request: StoredRequest
    owner: str
    service_id: str
    key_id: str | None
    parent_id: str | None
    correlation_id: str
    depth: int
    retries: int
    priority: int
    attempts: list[AttemptEntry]
    not_before: int | None
    cancel_requested: bool
    schedule_id: str | None
    made_by: JsonObject | None
    mode: ExecutionMode | None
    mode_of: str | None
    trace_parent: str | None
    executor: str | None
    deliveries: int


_RUN_COLUMNS = [
    runs.c["cancel_asked" if name == "cancel_requested" else name]
    for name in RequestedRun.__slots__
    if name != "request"
]
_REQUEST_COLUMNS = [run_requests.c[name] for name in StoredRequest.__slots__]
_LOAD = select(*_REQUEST_COLUMNS, *_RUN_COLUMNS).join(runs, run_requests.c.run_id == runs.c.id)


def add(connection: Connection, request: StoredRequest) -> None:
    """Keep a request."""
    connection.execute(_INSERT, asdict(request))


def load(connection: Connection, run_id: str) -> RequestedRun | None:
    """The run with its request; None if there is none."""
    row = connection.execute(_LOAD.where(runs.c.id == run_id)).first()
    if row is None:
        return None
    split = len(_REQUEST_COLUMNS)
    return RequestedRun(StoredRequest(*row[:split]), *row[split:])


def forget(connection: Connection, run_id: str) -> None:
    """Delete the request of a run that has ended, and what its attempts have on record for the next one."""
    journal.remove(connection, run_id)
    remove(connection, run_id)


def remove(connection: Connection, run_id: str) -> None:
    """Delete the request of a run that has ended and has no journal."""
    connection.execute(_DELETE, {"ended": run_id})


def forget_unless_resumable(connection: Connection, run_id: str) -> None:
    """Delete the request of a run that ended without an attempt, unless its journal has to be read first (`KilledAttempts`)."""
    if not journal.has_any(connection, run_id):
        forget(connection, run_id)
