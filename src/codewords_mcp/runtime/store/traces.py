"""Traces of runs: what each attempt did, and the rows of the runs below one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from codewords_mcp.common.bounded_json import JsonObject
from codewords_mcp.runtime.model.run import ExecutionMode, RunStatus
from codewords_mcp.runtime.model.run_columns import AttemptEntry, StepEntry
from codewords_mcp.runtime.store import inserts
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.tables import log_chunks, run_traces, runs


class TracedRun(NamedTuple):
    """The columns of a run that its trace is made of. Times are µs since 1970."""

    id: str
    owner: str
    parent_id: str | None
    service_id: str | None
    version: int | None
    status: RunStatus
    mode: ExecutionMode | None
    trace_parent: str | None
    created_at: int
    completed_at: int | None
    executor: str | None
    response_status: int | None
    error: JsonObject | None
    attempts: list[AttemptEntry]
    steps: list[StepEntry]
    timings: dict[str, float]
    usage: JsonObject


_COLUMNS = [runs.c[name] for name in TracedRun._fields]


class StoredTrace(NamedTuple):
    """A run with the runs below it, the nearest first, and the stored attempts of each. `cut`: there are more runs."""

    runs: list[TracedRun]
    bodies: dict[str, bytes]
    log_lines: int
    cut: bool


def keep(connection: Connection, run_id: str, holder: str, add: Callable[[bytes | None], bytes]) -> None:
    """Store the trace of a run that this executor holds: `add` gets what is stored and returns what shall be."""
    if rows.held(connection, [run_id], holder):
        change(connection, run_id, add)


def change(connection: Connection, run_id: str, add: Callable[[bytes | None], bytes]) -> None:
    """Store the trace of a run: `add` gets what is stored and returns what shall be."""
    body = add(connection.execute(select(run_traces.c.body).where(run_traces.c.run_id == run_id)).scalar())
    inserts.put(connection, run_traces, {"run_id": run_id, "body": body})


def load(connection: Connection, run_id: str, owner: str, *, depth: int, limit: int) -> StoredTrace | None:
    """A run of this owner, and up to `limit` runs below it, `depth` calls deep; None if there is no such run."""
    root = connection.execute(select(*_COLUMNS).where(runs.c.id == run_id, runs.c.owner == owner)).first()
    if root is None:
        return None

    found = [TracedRun(*root)]
    level = [run_id]
    cut = False
    for _ in range(depth):
        below = select(*_COLUMNS).where(runs.c.parent_id.in_(level), runs.c.owner == owner)
        # One row beyond the limit tells that there are more.
        below = below.order_by(runs.c.created_at, runs.c.id).limit(limit - len(found) + 2)
        children = [TracedRun(*row) for row in connection.execute(below)]
        if len(found) + len(children) > limit + 1:
            children, cut = children[: limit + 1 - len(found)], True

        found += children
        level = [child.id for child in children]
        if not level or cut:
            break

    ids = [run.id for run in found]
    bodies = connection.execute(select(run_traces).where(run_traces.c.run_id.in_(ids)))
    lines = select(func.coalesce(func.sum(log_chunks.c.lines), 0)).where(log_chunks.c.run_id == run_id)
    return StoredTrace(
        found,
        {row.run_id: row.body for row in bodies},
        int(connection.execute(lines).scalar_one()),
        cut,
    )
