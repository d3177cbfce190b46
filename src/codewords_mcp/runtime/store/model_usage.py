"""Usage and cost of model calls, by day, owner, workflow, key, run, provider and model.

Sums by day are in `model_usage_days`. Queries add rows of `model_usage` that are not `summed` yet
in the same statement, as `usage.py` does for runs.
"""

from __future__ import annotations

import hashlib
import operator
import uuid
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Insert,
    RowMapping,
    Select,
    Table,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    union_all,
    update,
)

from codewords_mcp.runtime.model.budget import CostsBy
from codewords_mcp.runtime.store import inserts
from codewords_mcp.runtime.store.planning import in_few_rows
from codewords_mcp.runtime.store.usage_tables import COUNTERS, model_usage, model_usage_days

SUBJECTS: dict[str, ColumnElement[Any]] = {
    "day": literal_column("''"),
    "workflow": model_usage.c.service_id,
    "key": model_usage.c.key_id,
    "model": model_usage.c.provider + literal_column("'/'") + model_usage.c.model,
}
"""The subject of a row of `model_usage_days`, in each dimension."""
_NAMES = {"day": "day", "workflow": "service_id", "key": "key_id", "run": "run_id"}
_LAST_DAY = "9999-12-31"
_MATCHED = {"service_id": "workflow", "key_id": "key"}


class UsageAccount(NamedTuple):
    """The account that calls are summed on.

    `nested`: a run that this run started made the calls.
    """

    day: str
    owner: str
    service_id: str
    key_id: str
    run_id: str
    nested: bool
    provider: str
    model: str

    @property
    def id(self) -> str:
        """The row's key."""
        return hashlib.sha256(repr(tuple(self)).encode()).hexdigest()[:40]


@cache
def _adding(dialect: str, table: Table) -> Insert:
    """Insert, or add to the row that is there: replicas write to the same ones."""
    into = inserts.insert_into(dialect, table)
    changes = {name: table.c[name] + into.excluded[name] for name in COUNTERS}
    return into.on_conflict_do_update(index_elements=list(table.primary_key), set_=changes)


def add(connection: Connection, sums: Mapping[UsageAccount, Mapping[str, int]]) -> None:
    """Add to the stored sums, in the same order in every process: two writers can't deadlock."""
    rows = [
        {name: counts.get(name, 0) for name in COUNTERS} | account._asdict() | {"id": account.id}
        for account, counts in sums.items()
    ]
    if rows:
        connection.execute(
            _adding(connection.dialect.name, model_usage), sorted(rows, key=operator.itemgetter("id"))
        )


def of_runs(connection: Connection, run_ids: Iterable[str]) -> list[RowMapping]:
    """Return run_id, provider, model and the sums of these runs, including runs that they started."""
    ids = list(run_ids)
    if not ids:
        return []

    columns = (model_usage.c.run_id, model_usage.c.provider, model_usage.c.model)
    query = (
        select(*columns, *_sums(model_usage))
        .where(model_usage.c.run_id.in_(ids))
        .group_by(*columns)
        .order_by(*columns)
    )
    return list(connection.execute(query).mappings())


def totals(
    connection: Connection, by: CostsBy, *, owner: str | None, since: str, limit: int
) -> list[dict[str, Any]]:
    """Return sums by one dimension from the day `since` on, dearest first; by day, latest first.

    No call is counted twice.
    """
    if by == "run":
        rows = _of_runs(owner, since)
    else:
        rows = _of_days(by, owner, since)

    of = rows.c["day" if by == "day" else "subject"].label("of")
    query = select(of, *_sums(rows)).group_by(of).limit(limit)
    if by == "day":
        query = query.order_by(of.desc())
    else:
        query = query.order_by(func.sum(rows.c.cost).desc(), of)

    return [_named(by, row) for row in connection.execute(query).mappings()]


def _named(by: CostsBy, row: RowMapping) -> dict[str, Any]:
    sums = dict(row)
    of = sums.pop("of")
    if by != "model":
        return {_NAMES[by]: of} | sums
    provider, _, model = of.partition("/")
    return {"provider": provider, "model": model} | sums


def of_days(connection: Connection, owner: str | None, *, by: str, since: str) -> list[RowMapping]:
    """Return (of, cost, unpriced) of calls by runs from the day `since` on; by workflow, key or
    day.
    """
    rows = _of_days(by, owner, since)
    of = rows.c["day" if by == "day" else "subject"].label("of")
    sums = (func.sum(rows.c.cost).label("cost"), func.sum(rows.c.unpriced).label("unpriced"))
    return list(connection.execute(select(of, *sums).where(rows.c.by_run).group_by(of)).mappings())


def spent(connection: Connection, *, since: str = "", **matching: str) -> int:
    """Return the picodollars of all calls that match the column, from the day `since` on.

    The column is `run_id` (with the runs that it started), `service_id`, `key_id`, `owner`, or none.
    """
    # Sums by day have no runs, so the accounts of a run are added up.
    if "run_id" in matching:
        query = select(func.sum(model_usage.c.cost)).where(
            model_usage.c.day >= since, model_usage.c.run_id == matching["run_id"]
        )
    else:
        name, subject = next(iter(matching.items()), ("", ""))
        owner = None
        if name == "owner":
            owner, subject = subject, ""
        rows = _of_days(_MATCHED.get(name, "day"), owner, since, subject)
        query = select(func.sum(rows.c.cost))

    return int(connection.execute(query).scalar() or 0)


def purge(connection: Connection, before_day: str, sums_before_day: str) -> int:
    """Remove accounts of runs before one day, sums by day before the other.

    Returns the number of rows.
    """
    # An account that is not summed is in no sum by day yet, and would be lost.
    old = (model_usage.c.day < before_day) & model_usage.c.summed.is_(True)
    of_runs = connection.execute(delete(model_usage).where(old)).rowcount
    return (
        of_runs
        + connection.execute(
            delete(model_usage_days).where(model_usage_days.c.day < sums_before_day)
        ).rowcount
    )


def sum_up(connection: Connection, ids: list[str]) -> None:
    """Add these rows to `model_usage_days`, and close them: later usage of their accounts is in new
    rows.

    They are not summed, and no other process sums them.
    """
    for by in SUBJECTS:
        some = _by_day(by).where(model_usage.c.id.in_(ids), model_usage.c.nested.is_(False))
        into = _adding(connection.dialect.name, model_usage_days)
        connection.execute(into.from_select([column.name for column in some.selected_columns], some))

    # A new id: what is still added to such an account, also by a replica that does not know of this, makes a
    # new row.
    close = (
        update(model_usage)
        .where(model_usage.c.id == bindparam("_id"))
        .values(id=bindparam("_new"), summed=True)
    )
    connection.execute(close, [{"_id": account_id, "_new": uuid.uuid4().hex} for account_id in ids])


def _by_day(by: str) -> Select[*tuple[Any, ...]]:
    """Rows as those of `model_usage_days`, of the accounts themselves."""
    columns: list[Any] = [
        literal_column(f"'{by}'").label("dimension"),
        SUBJECTS[by].label("subject"),
        model_usage.c.owner,
        model_usage.c.day,
        (model_usage.c.run_id != literal_column("''")).label("by_run"),
    ]
    return select(*columns, *_sums(model_usage)).group_by("subject", "owner", "day", "by_run")


def _of_days(by: str, owner: str | None, since: str, subject: str | None = None) -> FromClause:
    """Select `model_usage_days` and, in the same statement, rows that are not summed yet."""
    not_summed = (model_usage.c.summed.is_(None), in_few_rows(model_usage.c.day, since, _LAST_DAY))
    rest = _by_day(by).where(*not_summed, model_usage.c.nested.is_(False))
    columns: list[Any] = [model_usage_days.c[column.name] for column in rest.selected_columns]
    days = select(*columns)
    days = days.where(model_usage_days.c.dimension == by, model_usage_days.c.day >= since)
    if owner is not None:
        days, rest = days.where(model_usage_days.c.owner == owner), rest.where(model_usage.c.owner == owner)
    if subject is not None:
        days, rest = days.where(model_usage_days.c.subject == subject), rest.where(SUBJECTS[by] == subject)
    return union_all(days, rest).subquery()


def _of_runs(owner: str | None, since: str) -> FromClause:
    counters = (model_usage.c[name] for name in COUNTERS)
    # Sums by day have no runs, so accounts themselves are read, of which a run has few.
    query = select(model_usage.c.run_id.label("subject"), *counters)
    query = query.where(model_usage.c.nested.is_(False), model_usage.c.day >= since)
    return (query if owner is None else query.where(model_usage.c.owner == owner)).subquery()


def _sums(rows: FromClause) -> list[Any]:
    return [func.sum(rows.c[name]).label(name) for name in COUNTERS]
