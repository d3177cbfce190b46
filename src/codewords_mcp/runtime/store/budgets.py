"""Budgets, and reservations for model calls in flight."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select

from codewords_mcp.runtime.store import inserts, model_usage
from codewords_mcp.runtime.store.model_usage import UsageAccount
from codewords_mcp.runtime.store.tables import budgets, model_reservations


def every(connection: Connection) -> list[RowMapping]:
    """scope, subject, period and amount of every budget."""
    return list(connection.execute(select(budgets).order_by(budgets.c.scope, budgets.c.subject)).mappings())


def put(connection: Connection, scope: str, subject: str, period: str, amount: int, at: int) -> None:
    """Set or replace."""
    row = {"scope": scope, "subject": subject, "period": period, "amount": amount, "updated_at": at}
    inserts.put(connection, budgets, row)


def remove(connection: Connection, scope: str, subject: str, period: str) -> bool:
    """False if there was none."""
    where = (budgets.c.scope == scope) & (budgets.c.subject == subject) & (budgets.c.period == period)
    return connection.execute(delete(budgets).where(where)).rowcount == 1


def open_reservations(connection: Connection, reservations: Iterable[dict[str, Any]]) -> None:
    """Record the reservations of calls in flight: id, opened_at, accounts, amount."""
    for reservation in reservations:
        connection.execute(insert(model_reservations), reservation)


def close_reservations(connection: Connection, ids: Iterable[str]) -> None:
    """These calls are settled."""
    for reservation_id in ids:
        connection.execute(delete(model_reservations).where(model_reservations.c.id == reservation_id))


def settle_orphaned(connection: Connection) -> int:
    """Count the reservations of a killed runtime as spent, marked as estimated.

    Returns the number of calls.
    """
    orphaned = connection.execute(select(model_reservations)).mappings().all()
    for row in orphaned:
        # The provider may have carried the call out, and its answer with the real cost is lost.
        # Too high a count keeps a budget a hard ceiling; too low a one would not.
        counts = {"calls": 1, "cost": row["amount"], "estimated": 1}
        model_usage.add(connection, {UsageAccount(*account): counts for account in row["accounts"]})
    connection.execute(delete(model_reservations))
    return len(orphaned)
