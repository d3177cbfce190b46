"""Runs that start each other: the chain above a run, and what goes on below it."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, and_, or_, select

from codewords_mcp.common.bounded_json import JsonObject
from codewords_mcp.runtime.model.run import (
    ExecutionMode,
)
from codewords_mcp.runtime.model.run_state import UNFINISHED
from codewords_mcp.runtime.store.tables import runs

_RESUMED = select(runs.c.mode_of).where(runs.c.mode == "resume")
DEEPEST_CHAIN = 64
"""Calls in a chain that are followed upwards; none is so long (`model/caller.py`: `MAX_DEPTH`)."""


class RecordedCaller(NamedTuple):
    """A calling run, by its record."""

    depth: int
    correlation_id: str | None
    key_id: str | None
    mode: ExecutionMode | None
    mode_of: str | None
    trace_parent: str | None


def chain_of(connection: Connection, run_id: str) -> RecordedCaller | None:
    """The place of a run in its chain of calls; None if there is no such run."""
    columns = (
        runs.c.depth,
        runs.c.correlation_id,
        runs.c.key_id,
        runs.c.mode,
        runs.c.mode_of,
        runs.c.trace_parent,
    )
    query = select(*columns).where(runs.c.id == run_id)
    row = connection.execute(query).first()
    return RecordedCaller(*row) if row else None


def descends(connection: Connection, run_id: str, ancestor: str) -> bool:
    """Whether a run is this one, or was started by it or by one of its descendants."""
    next_id: str | None = run_id
    for _ in range(DEEPEST_CHAIN):
        if next_id is None or next_id == ancestor:
            break
        next_id = connection.execute(select(runs.c.parent_id).where(runs.c.id == next_id)).scalar()
    return next_id == ancestor


class ChainLink(NamedTuple):
    """A run in a chain of calls."""

    id: str
    owner: str
    service_id: str
    parent_id: str | None
    made_by: JsonObject | None


def chain_above(connection: Connection, run_id: str, most: int) -> list[ChainLink]:
    """A run and those that started it, the nearest first."""
    found: list[ChainLink] = []
    next_id: str | None = run_id

    while next_id is not None and len(found) < most:
        columns = (runs.c.id, runs.c.owner, runs.c.service_id, runs.c.parent_id, runs.c.made_by)
        query = select(*columns).where(runs.c.id == next_id)
        row = connection.execute(query).first()
        if row is None:
            break

        found.append(ChainLink(*row))
        next_id = row.parent_id

    return found


def unfinished_descendants(connection: Connection, run_id: str) -> list[str]:
    """Runs that this one, or a run below it, started and that go on: also where the run in between has ended.

    A run that asked about its writes and the one that goes on with it count as one.
    """
    columns = runs.c.id, runs.c.status
    ids = [run_id]
    while earlier := connection.execute(_RESUMED.where(runs.c.id == ids[-1])).scalar():
        ids.append(earlier)
    family = select(*columns).where(runs.c.parent_id.in_(ids)).cte("family", recursive=True)
    goes_on = and_(runs.c.mode_of == family.c.id, runs.c.mode == "resume")
    family = family.union(select(*columns).where(or_(runs.c.parent_id == family.c.id, goes_on)))
    query = select(family.c.id).where(family.c.status.in_(UNFINISHED))
    return list(connection.execute(query).scalars())
