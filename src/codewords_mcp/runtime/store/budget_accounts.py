"""Budget accounts in a database that replicas share: amounts are reserved in one statement.

`spent` equals the sums of `model_usage`, since both change in one transaction. Opening an account
takes an exclusive lock against those writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, select, text

from codewords_mcp.runtime.store import model_usage
from codewords_mcp.runtime.store.inserts import insert_once
from codewords_mcp.runtime.store.model_usage import UsageAccount
from codewords_mcp.runtime.store.tables import budget_accounts, model_reservations

_USAGE_LOCK = 0x626F6F6B
"""PostgreSQL's advisory lock on `model_usage`: writers share it, opening an account excludes them.
"""
# `locked` takes the rows in the order of their ids, so that two reservations can't deadlock.
# The counts differ where an account was closed meanwhile: then nothing is reserved.
_TAKE = text("""
WITH requested AS (
    SELECT unnest(CAST(:ids AS text[])) AS id, unnest(CAST(:ceilings AS bigint[])) AS ceiling
), locked AS MATERIALIZED (
    SELECT a.id, a.spent + a.reserved + :amount <= w.ceiling AS fits
    FROM budget_accounts a JOIN requested w ON w.id = a.id ORDER BY a.id FOR UPDATE OF a
), verdict AS (
    SELECT count(*) = :count AND coalesce(bool_and(fits), true) AS fits FROM locked
), reserved_now AS (
    UPDATE budget_accounts a SET reserved = a.reserved + :amount FROM requested w, verdict v WHERE a.id = w.id AND v.fits
)
INSERT INTO model_reservations (id, opened_at, accounts, amount, executor, budgets)
SELECT :id, :opened_at, CAST(:accounts AS json), :amount, :executor, CAST(:budgets AS json) FROM verdict WHERE fits
""")
_MOVE = text("UPDATE budget_accounts SET spent = spent + :spent, reserved = reserved - :freed WHERE id = :id")


def take(connection: Connection, ceilings: Mapping[str, int], row: dict[str, Any]) -> bool:
    """Reserve `row["amount"]` on every account if none exceeds its ceiling: all or nothing.

    Without accounts, where only single calls have a budget, the reservation is just recorded.
    """
    values = {"ids": list(ceilings), "ceilings": list(ceilings.values()), "count": len(ceilings)}
    return connection.execute(_TAKE, row | values).rowcount == 1


def balances(connection: Connection, ids: Collection[str]) -> dict[str, tuple[int, int]]:
    """(spent, reserved) of those that are open."""
    query = select(budget_accounts).where(budget_accounts.c.id.in_(ids))
    return {row["id"]: (row["spent"], row["reserved"]) for row in connection.execute(query).mappings()}


def open_account(connection: Connection, account_id: str, since: str, matching: Mapping[str, str]) -> None:
    """Open an account with the usage so far as `spent`. Does nothing if it is open already."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _USAGE_LOCK})
    spent = model_usage.spent(connection, since=since, **matching)
    row = {"id": account_id, "since": since, "spent": spent, "reserved": 0}
    insert_once(connection, budget_accounts, row)


def settle(
    connection: Connection,
    sums: Mapping[UsageAccount, Mapping[str, int]],
    spent: Mapping[str, int],
    closed: Collection[str],
) -> None:
    """Record usage, add `spent` to each account, and end reservations.

    A reservation that another process closed already releases nothing.
    """
    # Shared with other settlements: only `open_account`, which sums what was spent, takes it alone.
    connection.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": _USAGE_LOCK})
    freed: Counter[str] = Counter()
    if closed:
        removed = delete(model_reservations).where(model_reservations.c.id.in_(closed))
        for row in connection.execute(removed.returning(model_reservations)).mappings():
            freed.update(_freed(row))
    _move(connection, spent, freed)
    model_usage.add(connection, sums)


def settle_dead(connection: Connection, alive: Collection[str], spent_on: Any) -> int:
    """Count the reservations of dead replicas as spent, marked as estimated.

    Returns the number of calls.

    `spent_on(account)` returns the ids of the budget accounts that a usage row counts on.
    """
    dead = model_reservations.c.executor.is_not(None) & model_reservations.c.executor.not_in(alive)
    # Nearly always there is none, and the lock would hold up everybody who records usage.
    if connection.execute(select(model_reservations.c.id).where(dead).limit(1)).first() is None:
        return 0

    connection.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": _USAGE_LOCK})
    dead_rows = (
        connection.execute(delete(model_reservations).where(dead).returning(model_reservations))
        .mappings()
        .all()
    )
    sums: dict[UsageAccount, Counter[str]] = {}
    spent: Counter[str] = Counter()
    freed: Counter[str] = Counter()

    for row in dead_rows:
        freed.update(_freed(row))
        for account in (UsageAccount(*fields) for fields in row["accounts"]):
            counts = {"calls": 1, "cost": row["amount"], "estimated": 1}
            sums.setdefault(account, Counter()).update(counts)
            spent.update(dict.fromkeys(spent_on(account), row["amount"]))

    _move(connection, spent, freed)
    model_usage.add(connection, sums)
    return len(dead_rows)


def forget_past(connection: Connection, current: Collection[str]) -> None:
    """Close accounts of past days and months, and of all runs. They are opened again when needed."""
    # An account with reservations stays: opened again, it would begin at 0 and their end would take it below.
    over = budget_accounts.c.since.not_in(current) | budget_accounts.c.id.startswith("run:")
    connection.execute(delete(budget_accounts).where(over, budget_accounts.c.reserved == 0))


def _freed(row: RowMapping) -> dict[str, int]:
    accounts: list[str] = row["budgets"] or []
    amount: int = row["amount"]
    return dict.fromkeys(accounts, amount)


def _move(connection: Connection, spent: Mapping[str, int], freed: Mapping[str, int]) -> None:
    changed = sorted({*spent, *freed})  # in the order in which `take` locks them
    if changed:
        rows = [
            {"id": account, "spent": spent.get(account, 0), "freed": freed.get(account, 0)}
            for account in changed
        ]
        connection.execute(_MOVE, rows)
