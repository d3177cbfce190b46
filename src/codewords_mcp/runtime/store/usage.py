"""What runs used: added up by attempt, summed by SQL."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import Connection, Float, bindparam, case, cast, func, or_, select, update

from codewords_mcp.runtime.store.clock import to_text
from codewords_mcp.runtime.store.tables import model_usage, runs

DAY = 86_400_000_000
PICO = 10**12
By = Literal["workflow", "key", "day"]

SUMMED = ("cpu_seconds", "peak_memory", "cost", "egress_in", "egress_out")
"""What a run's attempts add up to; of memory, the most that one took."""


def _added() -> Any:
    values: dict[str, Any] = {"usage": bindparam("_used"), "steps": bindparam("_steps")}
    for name in SUMMED:
        column, new = runs.c[name], bindparam(f"_{name}", type_=runs.c[name].type)
        if name == "peak_memory":
            values[name] = case((or_(column.is_(None), new > column), new), else_=column)
        else:
            values[name] = func.coalesce(column + new, new, column)  # NULL is what cannot be told
    held = (runs.c.id == bindparam("_id"), runs.c.executor == bindparam("_holder"))
    return update(runs).where(*held).values(values)


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
    connection.execute(_ADD, values | {f"_{name}": value for name, value in columns.items()})


def sums(
    connection: Connection, owner: str | None, *, by: By, since: int, until: int
) -> list[dict[str, Any]]:
    """One row a group, of runs accepted in `[since, until)` (µs), most runs first, days in order; times in seconds.

    Waiting is from acceptance to the start of a sandbox, starting until its program is asked, running until the end.
    `owner` None: of everybody. `cost` is of machines and of what these runs asked models themselves, in USD.
    """
    models = (
        select(
            model_usage.c.run_id,
            func.sum(model_usage.c.cost).label("cost"),
            func.sum(model_usage.c.unpriced).label("unpriced"),
        )
        .where(model_usage.c.nested.is_(False), model_usage.c.run_id != "")
        .where(model_usage.c.day >= to_text(since)[:10])
        .group_by(model_usage.c.run_id)
        .subquery()
    )
    groups: dict[str, Any] = {
        "workflow": runs.c.service_id,
        "key": runs.c.key_id,
        "day": runs.c.created_at - runs.c.created_at % DAY,
    }
    group = groups[by].label("of")
    began = func.coalesce(runs.c.running_at, runs.c.completed_at)
    count = func.count()
    query = select(
        group,
        count.label("runs"),
        count.filter(runs.c.status == "succeeded").label("succeeded"),
        count.filter(runs.c.status.in_(("failed", "timed_out", "interrupted"))).label("failed"),
        _seconds(runs.c.started_at - runs.c.created_at).label("waiting_seconds"),
        _seconds(began - runs.c.started_at).label("starting_seconds"),
        _seconds(runs.c.completed_at - runs.c.running_at).label("running_seconds"),
        func.coalesce(func.sum(runs.c.cpu_seconds), 0.0).label("cpu_seconds"),
        func.max(runs.c.peak_memory).label("peak_memory"),
        func.coalesce(func.sum(runs.c.egress_in), 0).label("egress_in"),
        func.coalesce(func.sum(runs.c.egress_out), 0).label("egress_out"),
        func.sum(runs.c.cost).label("cost"),
        func.sum(models.c.cost).label("model_cost"),
        func.coalesce(func.sum(models.c.unpriced), 0).label("unpriced"),
    )
    query = query.select_from(runs.outerjoin(models, models.c.run_id == runs.c.id))
    query = query.where(runs.c.created_at >= since, runs.c.created_at < until, runs.c.status != "provisioned")
    if owner is not None:
        query = query.where(runs.c.owner == owner)
    query = query.group_by(groups[by]).order_by(group if by == "day" else count.desc())
    found = [dict(row) for row in connection.execute(query).mappings()]
    for row in found:  # PostgreSQL sums whole numbers to decimals
        row |= {name: int(row[name]) for name in ("egress_in", "egress_out", "unpriced")}
        of_models = row.pop("model_cost")
        if of_models is not None:
            row["cost"] = (row["cost"] or 0.0) + int(of_models) / PICO
    return found


def _seconds(micros: Any) -> Any:
    return func.coalesce(cast(func.sum(micros), Float) / 1_000_000, 0.0)
