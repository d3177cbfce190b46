"""The list of runs: light rows, and a search that looks through a bounded number of runs at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, union_all
from typing_extensions import Unpack

from codewords_mcp.runtime.model.run import Run
from codewords_mcp.runtime.model.run_filter import RunConditions
from codewords_mcp.runtime.model.run_listing import ListedRun
from codewords_mcp.runtime.store.runs import LIGHT, light_facts, listed
from codewords_mcp.runtime.store.tables import keys, runs, workflows

FIRST, PIECE, MOST = 100, 1000, 20_000
SECONDS = 0.25
"""A search looks through so many runs at a time, and begins no other piece after so long."""

Place = tuple[int, str]
"""The time (µs) and the id of a run in the list."""


class Found(NamedTuple):
    """Places of runs that match, how many were looked at, the last of those, and whether older ones are left."""

    places: list[Place]
    looked: int
    last: Place | None
    more: bool


def rows(
    connection: Connection,
    owner: str,
    *,
    limit: int,
    before: Place | None,
    below: str | None,
    **matching: Unpack[RunConditions],
) -> list[ListedRun]:
    """Newest first."""
    chosen = listed((runs.c.id,), owner, before=before, below=below, **matching).limit(limit)
    return by_ids(connection, [str(id_) for id_ in connection.execute(chosen).scalars()])


def by_ids(connection: Connection, ids: list[str]) -> list[ListedRun]:
    """These runs, newest first."""
    # What another owner calls a workflow now is theirs to tell. No joins: PostgreSQL that never looked at the tables would read
    # all of a table for the few rows that are asked for.
    workflow = select(workflows.c.name).where(
        workflows.c.id == runs.c.service_id, workflows.c.owner == runs.c.owner
    )
    key = select(keys.c.prefix).where(keys.c.id == runs.c.key_id, keys.c.owner == runs.c.owner)
    names = workflow.scalar_subquery().label("workflow_name"), key.scalar_subquery().label("key_prefix")
    query = (
        select(*LIGHT, *names).where(runs.c.id.in_(ids)).order_by(runs.c.created_at.desc(), runs.c.id.desc())
    )
    return [
        ListedRun(Run(**light_facts(row)), row["workflow_name"], row["key_prefix"])
        for row in connection.execute(query).mappings()
    ]


def last_of_each(
    connection: Connection, owner: str, workflow_ids: Sequence[str], count: int
) -> dict[str, list[tuple[str, str]]]:
    """(id, status) of the last `count` runs of each workflow, the newest first."""
    if not workflow_ids:
        return {}
    # A piece of the index for each: a rank over all of a workflow's runs would read every one of them.
    pieces = [
        select(
            listed(
                (runs.c.id, runs.c.service_id, runs.c.status, runs.c.created_at),
                owner,
                before=None,
                below=None,
                service_id=workflow_id,
            )
            .limit(count)
            .subquery()
        )
        for workflow_id in workflow_ids
    ]
    found: dict[str, list[tuple[str, str]]] = {}
    rows_of_all = connection.execute(union_all(*pieces)).all()
    for row in sorted(rows_of_all, key=lambda row: (row.created_at, row.id), reverse=True):
        found.setdefault(row.service_id, []).append((row.id, row.status))
    return found


def search(
    connection: Connection,
    owner: str,
    *,
    limit: int,
    before: Place | None,
    below: str | None,
    words: str | None,
    key: str | None,
    piece_size: int = PIECE,
    most: int = MOST,
    **matching: Unpack[RunConditions],
) -> Found:
    """Runs with these words in their path or input, and of this key; at most `limit`, and no more than `most` looked at.

    There is no index of inputs: one would cost every run more than it costs to look through those of some days.
    """
    matches = _matches(words, key)
    places: list[Place] = []
    looked, last, ends = 0, before, time.monotonic() + SECONDS
    # The newest often have enough.
    size = min(FIRST, piece_size)
    while True:
        query = listed(
            (runs.c.created_at, runs.c.id, matches.label("found")),
            owner,
            before=last,
            below=below,
            **matching,
        )
        piece = connection.execute(query.limit(size)).mappings().all()
        for row in piece:
            place, found = (row["created_at"], row["id"]), row["found"]
            looked, last = looked + 1, place
            if found:
                places.append(place)
            if len(places) == limit:
                return Found(places, looked, last, more=True)
        if len(piece) < size:
            return Found(places, looked, last, more=False)
        if looked >= most or time.monotonic() > ends:
            return Found(places, looked, last, more=True)
        size = piece_size


def _matches(words: str | None, key: str | None) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = []
    if words is not None:
        texts = (runs.c.input["content"].as_string(), runs.c.input["path"].as_string())
        # SQLite lowers ASCII only, so letters beyond it are found as they were typed.
        conditions.append(or_(*(text.icontains(words, autoescape=True) for text in texts)))
    if key is not None:
        conditions.append(runs.c.key_id == key)
    return func.coalesce(and_(*conditions), False)
