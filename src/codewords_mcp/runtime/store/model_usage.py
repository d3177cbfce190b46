"""What model calls used and cost, summed by day, owner, workflow, key, run, provider and model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Executable, RowMapping, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from codewords_mcp.runtime.models import CostsBy
from codewords_mcp.runtime.store.tables import model_usage

COUNTERS = (
    "calls", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
    "audio_tokens", "image_tokens", "cost", "estimated", "unpriced", "fallbacks", "cached",
)  # fmt: skip
"""`cost` is in picodollars; `estimated`, `unpriced`, `fallbacks` (the model stood in for another) and `cached` count calls."""
_COLUMNS = {
    "day": (model_usage.c.day,),
    "workflow": (model_usage.c.service_id,),
    "key": (model_usage.c.key_id,),
    "run": (model_usage.c.run_id,),
    "model": (model_usage.c.provider, model_usage.c.model),
}


class Account(NamedTuple):
    """What calls are summed on. `nested`: the run did not call itself, one that it started did."""

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
def _adding(dialect: str) -> Executable:
    """Insert, or add to the row that is there: replicas write to the same ones."""
    into = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(model_usage)
    changes = {name: model_usage.c[name] + into.excluded[name] for name in COUNTERS}
    return into.on_conflict_do_update(index_elements=[model_usage.c.id], set_=changes)


def add(connection: Connection, sums: Mapping[Account, Mapping[str, int]]) -> None:
    """Add to what is stored, in an order that is the same for all."""
    rows = [
        {name: counts.get(name, 0) for name in COUNTERS} | account._asdict() | {"id": account.id}
        for account, counts in sums.items()
    ]
    if rows:
        connection.execute(_adding(connection.dialect.name), sorted(rows, key=lambda row: row["id"]))


def of_runs(connection: Connection, run_ids: Iterable[str]) -> list[RowMapping]:
    """run_id, provider, model and the sums of these runs, what they started included."""
    wanted = list(run_ids)
    if not wanted:
        return []
    columns = (model_usage.c.run_id, model_usage.c.provider, model_usage.c.model)
    query = (
        select(*columns, *_sums())
        .where(model_usage.c.run_id.in_(wanted))
        .group_by(*columns)
        .order_by(*columns)
    )
    return list(connection.execute(query).mappings())


def totals(
    connection: Connection, by: CostsBy, *, owner: str | None, since: str, limit: int
) -> list[RowMapping]:
    """Sums by one dimension from the day `since` on, dearest first; by day, latest first. Nothing is counted twice."""
    columns = _COLUMNS[by]
    query = select(*columns, *_sums()).where(model_usage.c.nested.is_(False), model_usage.c.day >= since)
    if owner is not None:
        query = query.where(model_usage.c.owner == owner)
    order = model_usage.c.day.desc() if by == "day" else func.sum(model_usage.c.cost).desc()
    return list(
        connection.execute(query.group_by(*columns).order_by(order, *columns).limit(limit)).mappings()
    )


def spent(connection: Connection, *, since: str = "", **matching: str) -> int:
    """Picodollars of every call that matches these columns, from the day `since` on."""
    query = select(func.coalesce(func.sum(model_usage.c.cost), 0)).where(model_usage.c.day >= since)
    if "run_id" not in matching:
        query = query.where(model_usage.c.nested.is_(False))
    for name, value in matching.items():
        query = query.where(model_usage.c[name] == value)
    return int(connection.execute(query).scalar_one())


def purge(connection: Connection, before_day: str) -> int:
    """Forget days before this one. How many rows."""
    return connection.execute(delete(model_usage).where(model_usage.c.day < before_day)).rowcount


def _sums() -> list[Any]:
    return [func.sum(model_usage.c[name]).label(name) for name in COUNTERS]
