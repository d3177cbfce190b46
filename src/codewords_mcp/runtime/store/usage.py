"""What runs used: on each run's row, added up by attempt; and in sums by day, to which it is added once it has ended.

Sums are `usage_days` and, in the same statement, the rows of runs that are not `summed` yet: those of the last minute and those
that go on. So they are the same before and after a run is summed (`summing.py`), and read no more than that.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
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
from sqlalchemy.dialects import postgresql, sqlite

from codewords_mcp.runtime.store import model_usage
from codewords_mcp.runtime.store.clock import to_text
from codewords_mcp.runtime.store.tables import UNSUMMED, runs
from codewords_mcp.runtime.store.usage_tables import usage_days

DAY = 86_400_000_000
PICO = 10**12
By = Literal["workflow", "key", "day"]

SUMMED = ("cpu_seconds", "peak_memory", "cost", "egress_in", "egress_out")
"""What a run's attempts add up to; of memory, the most that one took."""
SUBJECTS: dict[By, ColumnElement[Any]] = {
    "workflow": func.coalesce(runs.c.service_id, literal_column("''")),
    "key": func.coalesce(runs.c.key_id, literal_column("''")),
    "day": literal_column("''"),
}
"""What a row of `usage_days` is of, in each dimension."""
_COUNTS = ("runs", "succeeded", "failed", "waiting", "starting", "running", "egress_in", "egress_out")
_COLUMNS = (*_COUNTS, "cpu_seconds", "peak_memory", "cost")


def _sum(name: str, column: Any, more: Any) -> Any:
    """Of two values; NULL is what cannot be told."""
    if name == "peak_memory":
        return case((or_(column.is_(None), more > column), more), else_=column)
    return func.coalesce(column + more, more, column)


def _added() -> Any:
    values: dict[str, Any] = {"usage": bindparam("_used"), "steps": bindparam("_steps")}
    for name in SUMMED:
        column = runs.c[name]
        values[name] = _sum(name, column, bindparam(f"_{name}", type_=column.type))
    held = (runs.c.id == bindparam("_id"), runs.c.executor == bindparam("_holder"))
    told = (runs.c.summed, runs.c.created_at, runs.c.owner, runs.c.service_id, runs.c.key_id)
    return update(runs).where(*held).values(values).returning(*told)


_ADD = _added()


def add(
    connection: Connection,
    run_id: str,
    holder: str,
    *,
    used: dict[str, Any],
    steps: list[dict[str, Any]],
    columns: dict[str, Any],
) -> None:
    """Record what an attempt used, if that executor holds the run. `columns` has all of SUMMED."""
    values = {"_id": run_id, "_holder": holder, "_used": used, "_steps": steps}
    run = connection.execute(_ADD, values | {f"_{name}": value for name, value in columns.items()}).first()
    if run is not None and run.summed:  # long after its end, as where the store could not be written
        late = dict.fromkeys(_COUNTS, 0) | {name: columns[name] for name in SUMMED}
        late |= {name: late[name] or 0 for name in ("cpu_seconds", "egress_in", "egress_out")}
        late |= {"owner": run.owner, "day": run.created_at - run.created_at % DAY}
        subjects = {"workflow": run.service_id or "", "key": run.key_id or "", "day": ""}
        rows = [late | {"dimension": by, "subject": subject} for by, subject in subjects.items()]
        connection.execute(_into_days(connection.dialect.name), rows)


@cache
def _into_days(dialect: str) -> Any:
    """Insert, or add to the row that is there."""
    into = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(usage_days)
    changes = {name: _sum(name, usage_days.c[name], into.excluded[name]) for name in _COLUMNS}
    return into.on_conflict_do_update(index_elements=list(usage_days.primary_key), set_=changes)


def sum_up(connection: Connection, run_ids: list[str]) -> None:
    """Add what these runs used to `usage_days`, and mark them. They have ended, are not summed, and nobody else does it."""
    for by in SUBJECTS:
        some = _by_day(by).where(runs.c.id.in_(run_ids))
        into: Any = _into_days(connection.dialect.name)
        connection.execute(into.from_select([column.name for column in some.selected_columns], some))
    connection.execute(update(runs).where(runs.c.id.in_(run_ids)).values(summed=True))


def _by_day(by: By) -> Select[*tuple[Any, ...]]:
    """Rows as those of `usage_days`, of runs themselves."""
    count, began = func.count(), func.coalesce(runs.c.running_at, runs.c.completed_at)

    def total(value: Any) -> Any:
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


def _sources(by: By, owner: str | None, since: int) -> FromClause:
    """`usage_days` and what is not in it."""
    columns: list[Any] = [usage_days.c[column.name] for column in _by_day(by).selected_columns]
    told = select(*columns)
    told = told.where(usage_days.c.dimension == by, usage_days.c.day >= since)
    rest = _by_day(by).where(text(UNSUMMED), runs.c.created_at >= since)
    if owner is not None:
        told, rest = told.where(usage_days.c.owner == owner), rest.where(runs.c.owner == owner)
    return union_all(told, rest).subquery()


def sums(connection: Connection, owner: str | None, *, by: By, since: int) -> list[dict[str, Any]]:
    """One row a group, of runs accepted from the day on that begins at `since` (µs), most runs first, days in order; times in
    seconds.

    Waiting is from acceptance to the start of a sandbox, starting until its program is asked, running until the end.
    `owner` None: of everybody. `cost` is of machines and of what runs asked models on those days, in USD.
    """
    both = _sources(by, owner, since)
    of = both.c["day" if by == "day" else "subject"].label("of")
    totals = [func.sum(both.c[name]).label(name) for name in _COLUMNS if name != "peak_memory"]
    query = select(of, *totals, func.max(both.c.peak_memory).label("peak_memory")).group_by(of)
    found: dict[str, dict[str, Any]] = {}
    for row in connection.execute(query).mappings():
        found[to_text(row["of"])[:10] if by == "day" else row["of"]] = _in_seconds(row)
    for row in model_usage.of_days(connection, owner, by=by, since=to_text(since)[:10]):
        one = found.setdefault(row["of"], _in_seconds(_NOTHING))
        one["cost"] = (one["cost"] or 0.0) + int(row["cost"]) / PICO
        one["unpriced"] = int(row["unpriced"])

    rows = [{"of": subject or None} | one for subject, one in found.items()]
    return sorted(rows, key=(lambda row: row["of"]) if by == "day" else lambda row: -row["runs"])


_NOTHING: dict[str, Any] = dict.fromkeys(_COLUMNS, 0) | {"peak_memory": None, "cost": None}


def _in_seconds(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row of sums as it is told. PostgreSQL sums whole numbers to decimals."""
    told: dict[str, Any] = {name: int(row[name]) for name in _COUNTS}
    times = {f"{name}_seconds": told.pop(name) / 1_000_000 for name in ("waiting", "starting", "running")}
    return (
        told | times | {name: row[name] for name in ("cpu_seconds", "peak_memory", "cost")} | {"unpriced": 0}
    )


def purge(connection: Connection, before: int) -> int:
    """Forget days before the one that begins then (µs). How many rows."""
    return connection.execute(delete(usage_days).where(usage_days.c.day < before)).rowcount
