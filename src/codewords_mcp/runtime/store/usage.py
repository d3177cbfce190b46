"""Usage of runs: on each run's row, summed over attempts, and in sums by day after the run's end.

Sums by day are in `usage_days`. Queries add the rows of runs that are not `summed` yet in the same
statement: those of the last minute and unfinished ones. So results are the same before and after a
run is summed (`summing.py`), and no more rows are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Insert,
    Select,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    or_,
    select,
    text,
    union_all,
    update,
)

from codewords_mcp.common.bounded_json import JsonObject
from codewords_mcp.runtime.model.run_columns import StepEntry
from codewords_mcp.runtime.model.usage import UsageBy, UsageSum
from codewords_mcp.runtime.store import inserts, model_usage
from codewords_mcp.runtime.store.clock import to_text
from codewords_mcp.runtime.store.planning import in_few_rows
from codewords_mcp.runtime.store.prepared import Prepared
from codewords_mcp.runtime.store.tables import UNSUMMED, runs
from codewords_mcp.runtime.store.usage_tables import usage_days

DAY = 86_400_000_000
PICO = 10**12
_LAST = 2**63 - 1
"""The last µs that a column holds."""


class SummedUsage(NamedTuple):
    """Usage of an attempt that is added up over the attempts of a run, in columns of its row."""

    cpu_seconds: float | None
    peak_memory: int | None
    cost: float | None
    egress_in: int | None
    egress_out: int | None


SUMMED = SummedUsage._fields
"""Sums over a run's attempts; for memory, the maximum."""
SUBJECTS: dict[UsageBy, ColumnElement[Any]] = {
    "workflow": func.coalesce(runs.c.service_id, literal_column("''")),
    "key": func.coalesce(runs.c.key_id, literal_column("''")),
    "day": literal_column("''"),
}
"""The subject of a row of `usage_days`, in each dimension."""
_COUNTS = ("runs", "succeeded", "failed", "waiting", "starting", "running", "egress_in", "egress_out")
_COLUMNS = (*_COUNTS, "cpu_seconds", "peak_memory", "cost")


def _sum(name: str, column: ColumnElement[Any], more: ColumnElement[Any]) -> ColumnElement[Any]:
    """Add two values, or take the maximum of memory; NULL is an unknown value."""
    if name == "peak_memory":
        return case((or_(column.is_(None), more > column), more), else_=column)
    # With NULL a sum is NULL: then the known one of both counts.
    return func.coalesce(column + more, more, column)


def _added() -> Prepared:
    sums_of = {
        name: _sum(name, runs.c[name], bindparam(f"_{name}", type_=runs.c[name].type)) for name in SUMMED
    }
    values: dict[str, ColumnElement[Any]] = {
        "usage": bindparam("_used"),
        "steps": bindparam("_steps"),
        **sums_of,
    }
    own = (runs.c.id == bindparam("_id"), runs.c.executor == bindparam("_holder"))
    returned = (runs.c.summed, runs.c.created_at, runs.c.owner, runs.c.service_id, runs.c.key_id, runs.c.mode)
    return Prepared(update(runs).where(*own).values(values).returning(*returned))


_ADD = _added()


def add(
    connection: Connection,
    run_id: str,
    holder: str,
    *,
    used: JsonObject,
    steps: list[StepEntry],
    summed: SummedUsage,
) -> None:
    """Record the usage of an attempt if the executor has the run."""
    columns = summed._asdict()
    values = {"_id": run_id, "_holder": holder, "_used": used, "_steps": steps}
    run = _ADD.execute(connection, values | {f"_{name}": value for name, value in columns.items()}).first()
    # recorded long after the end, as when the store could not write
    if run is not None and run.summed and run.mode != "replay":
        late = dict.fromkeys(_COUNTS, 0) | columns
        late |= {name: late[name] or 0 for name in ("cpu_seconds", "egress_in", "egress_out")}
        late |= {"owner": run.owner, "day": run.created_at - run.created_at % DAY}
        subjects = {"workflow": run.service_id or "", "key": run.key_id or "", "day": ""}
        rows = [late | {"dimension": by, "subject": subject} for by, subject in subjects.items()]
        connection.execute(_into_days(connection.dialect.name), rows)


@cache
def _into_days(dialect: str) -> Insert:
    """Insert, or add to the row that is there."""
    into = inserts.insert_into(dialect, usage_days)
    changes = {name: _sum(name, usage_days.c[name], into.excluded[name]) for name in _COLUMNS}
    return into.on_conflict_do_update(index_elements=list(usage_days.primary_key), set_=changes)


def sum_up(connection: Connection, run_ids: list[str]) -> None:
    """Add the usage of these runs to `usage_days`, and mark them as summed.

    They have ended, are not summed, and no other process sums them.
    """
    # Apart, since the product of keys and workflows would be as large as the runs themselves.
    for by in SUBJECTS:
        some = _by_day(by).where(runs.c.id.in_(run_ids))
        into = _into_days(connection.dialect.name)
        connection.execute(into.from_select([column.name for column in some.selected_columns], some))
    connection.execute(update(runs).where(runs.c.id.in_(run_ids)).values(summed=True))


def _by_day(by: UsageBy) -> Select[*tuple[Any, ...]]:
    """Rows as those of `usage_days`, of runs themselves."""
    count, began = func.count(), func.coalesce(runs.c.running_at, runs.c.completed_at)

    def total(value: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.coalesce(func.sum(value), 0)

    columns: list[Any] = [
        literal_column(f"'{by}'").label("dimension"),
        SUBJECTS[by].label("subject"),
        runs.c.owner.label("owner"),
        (runs.c.created_at - runs.c.created_at % DAY).label("day"),
        count.label("runs"),
        count.filter(runs.c.status == "succeeded").label("succeeded"),
        count.filter(runs.c.status.in_(("failed", "timed_out", "interrupted"))).label("failed"),
        total(runs.c.started_at - runs.c.created_at).label("waiting"),
        total(began - runs.c.started_at).label("starting"),
        total(runs.c.completed_at - runs.c.running_at).label("running"),
        total(runs.c.egress_in).label("egress_in"),
        total(runs.c.egress_out).label("egress_out"),
        total(runs.c.cpu_seconds).label("cpu_seconds"),
        func.max(runs.c.peak_memory).label("peak_memory"),
        func.sum(runs.c.cost).label("cost"),
    ]

    return select(*columns).group_by("subject", "owner", "day")


def _sources(by: UsageBy, owner: str | None, since: int) -> FromClause:
    """Select `usage_days` and, in the same statement, runs that are not summed yet."""
    columns: list[Any] = [usage_days.c[column.name] for column in _by_day(by).selected_columns]
    days = select(*columns)
    days = days.where(usage_days.c.dimension == by, usage_days.c.day >= since)
    rest = _by_day(by).where(text(UNSUMMED), in_few_rows(runs.c.created_at, since, _LAST))
    if owner is not None:
        # Not by the index of the owner's runs, which are all of them as a rule: by that of the few that are not summed.
        of_owner = func.coalesce(runs.c.owner, literal_column("''")) == owner
        days, rest = days.where(usage_days.c.owner == owner), rest.where(of_owner)
    return union_all(days, rest).subquery()


def sums(connection: Connection, owner: str | None, *, by: UsageBy, since: int) -> list[UsageSum]:
    """Sum the runs accepted from the day on that begins at `since` (µs); times in seconds.

    One row a group, most runs first; days in order. `waiting` lasts from acceptance to the start of
    a sandbox, `starting` until the program gets the request, `running` until the end. `owner` None:
    all owners. `cost` is of machines and of model calls of runs on those days, in USD.
    """
    both = _sources(by, owner, since)
    of = both.c["day" if by == "day" else "subject"].label("of")
    totals = [func.sum(both.c[name]).label(name) for name in _COLUMNS if name != "peak_memory"]
    query = select(of, *totals, func.max(both.c.peak_memory).label("peak_memory")).group_by(of)
    groups: dict[str, UsageSum] = {}
    for row in connection.execute(query).mappings():
        subject = to_text(row["of"])[:10] if by == "day" else row["of"]
        groups[subject] = _in_seconds(subject, row)
    for row in model_usage.of_days(connection, owner, by=by, since=to_text(since)[:10]):
        # Model calls of a day on which no run of the group was accepted.
        group = groups.get(row["of"]) or _in_seconds(row["of"], _NOTHING)
        cost = (group.cost or 0.0) + int(row["cost"]) / PICO
        groups[row["of"]] = group.model_copy(update={"cost": cost, "unpriced": int(row["unpriced"])})

    if by == "day":
        return [groups[day] for day in sorted(groups)]
    return sorted(groups.values(), key=attrgetter("runs"), reverse=True)


_NOTHING: dict[str, int | None] = dict.fromkeys(_COLUMNS, 0) | {"peak_memory": None, "cost": None}


def _in_seconds(subject: str, row: Mapping[Any, Any]) -> UsageSum:
    """Convert a row of sums to seconds. PostgreSQL sums whole numbers to decimals."""
    return UsageSum(
        of=subject or None,
        runs=int(row["runs"]),
        succeeded=int(row["succeeded"]),
        failed=int(row["failed"]),
        waiting_seconds=int(row["waiting"]) / 1_000_000,
        starting_seconds=int(row["starting"]) / 1_000_000,
        running_seconds=int(row["running"]) / 1_000_000,
        cpu_seconds=row["cpu_seconds"],
        peak_memory=row["peak_memory"],
        egress_in=int(row["egress_in"]),
        egress_out=int(row["egress_out"]),
        cost=row["cost"],
    )


def purge(connection: Connection, before: int) -> int:
    """Remove days before the day that begins at `before` (µs). Returns the number of rows."""
    return connection.execute(delete(usage_days).where(usage_days.c.day < before)).rowcount
