"""Budgets, and what is reserved for model calls in flight."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from codewords_mcp.runtime.store import model_usage
from codewords_mcp.runtime.store.model_usage import UsageAccount
from codewords_mcp.runtime.store.tables import budgets, model_reservations


def every(connection: Connection) -> list[RowMapping]:
    """scope, subject, period and amount of every budget."""
    return list(connection.execute(select(budgets).order_by(budgets.c.scope, budgets.c.subject)).mappings())


def put(connection: Connection, scope: str, subject: str, period: str, amount: int, at: int) -> None:
    """Set or replace."""
    where = (budgets.c.scope == scope) & (budgets.c.subject == subject) & (budgets.c.period == period)
    values = {"amount": amount, "updated_at": at}
    if connection.execute(update(budgets).where(where).values(values)).rowcount == 0:
        connection.execute(
            insert(budgets).values(values | {"scope": scope, "subject": subject, "period": period})
        )


def remove(connection: Connection, scope: str, subject: str, period: str) -> bool:
    """False if there was none."""
    where = (budgets.c.scope == scope) & (budgets.c.subject == subject) & (budgets.c.period == period)
    return connection.execute(delete(budgets).where(where)).rowcount == 1


def open_reservations(connection: Connection, held: Iterable[dict[str, Any]]) -> None:
    """Write down what calls in flight have taken: id, opened_at, accounts, amount."""
    for one in held:
        connection.execute(insert(model_reservations), one)


def close_reservations(connection: Connection, ids: Iterable[str]) -> None:
    """These calls are settled."""
    for one in ids:
        connection.execute(delete(model_reservations).where(model_reservations.c.id == one))


def settle_left(connection: Connection) -> int:
    """Count what a runtime that was killed had reserved as spent, marked as estimated. How many calls."""
    left = connection.execute(select(model_reservations)).mappings().all()
    for row in left:
        counts = {"calls": 1, "cost": row["amount"], "estimated": 1}
        model_usage.add(connection, {UsageAccount(*account): counts for account in row["accounts"]})
    connection.execute(delete(model_reservations))
    return len(left)
