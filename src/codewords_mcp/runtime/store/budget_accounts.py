"""Accounts of budgets in a database that replicas share: what is spent and reserved, taken in one statement.

`spent` is what the books say, kept with them in one transaction; opening an account excludes writing to the books, by a lock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, select, text
from sqlalchemy.dialects.postgresql import insert

from codewords_mcp.runtime.store import model_usage
from codewords_mcp.runtime.store.model_usage import UsageAccount
from codewords_mcp.runtime.store.tables import budget_accounts, model_reservations

_BOOKS = 0x626F6F6B
"""Of PostgreSQL's advisory locks, the one that writers of the books share and who opens an account has alone."""
_TAKE = text("""
WITH wanted AS (
    SELECT unnest(CAST(:ids AS text[])) AS id, unnest(CAST(:ceilings AS bigint[])) AS ceiling
), locked AS MATERIALIZED (
    SELECT a.id, a.spent + a.reserved + :amount <= w.ceiling AS fits
    FROM budget_accounts a JOIN wanted w ON w.id = a.id ORDER BY a.id FOR UPDATE OF a
), verdict AS (
    SELECT count(*) = :count AND coalesce(bool_and(fits), true) AS fits FROM locked
), taken AS (
    UPDATE budget_accounts a SET reserved = a.reserved + :amount FROM wanted w, verdict v WHERE a.id = w.id AND v.fits
)
INSERT INTO model_reservations (id, opened_at, accounts, amount, executor, budgets)
SELECT :id, :opened_at, CAST(:accounts AS json), :amount, :executor, CAST(:budgets AS json) FROM verdict WHERE fits
""")
_MOVE = text("UPDATE budget_accounts SET spent = spent + :spent, reserved = reserved - :freed WHERE id = :id")


def take(connection: Connection, ceilings: Mapping[str, int], row: dict[str, Any]) -> bool:
    """Take `row["amount"]` from every account where none passes its ceiling, and write the reservation down: all or nothing.

    Without accounts, where only single calls have a budget, it is just written down.
    """
    values = {"ids": list(ceilings), "ceilings": list(ceilings.values()), "count": len(ceilings)}
    return connection.execute(_TAKE, row | values).rowcount == 1


def look(connection: Connection, ids: Collection[str]) -> dict[str, tuple[int, int]]:
    """(spent, reserved) of those that are open."""
    query = select(budget_accounts).where(budget_accounts.c.id.in_(ids))
    return {row["id"]: (row["spent"], row["reserved"]) for row in connection.execute(query).mappings()}


def open_account(connection: Connection, account_id: str, since: str, matching: Mapping[str, str]) -> None:
    """With what the books say that was spent. Nothing where it is open."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _BOOKS})
    spent = model_usage.spent(connection, since=since, **matching)
    row = {"id": account_id, "since": since, "spent": spent, "reserved": 0}
    connection.execute(insert(budget_accounts).values(row).on_conflict_do_nothing())


def settle(
    connection: Connection,
    sums: Mapping[UsageAccount, Mapping[str, int]],
    spent: Mapping[str, int],
    ended: Collection[str],
) -> None:
    """Write the books, `spent` of each account beside them, and end reservations; one that somebody ended frees nothing."""
    connection.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": _BOOKS})
    freed: Counter[str] = Counter()
    if ended:
        gone = delete(model_reservations).where(model_reservations.c.id.in_(ended))
        for row in connection.execute(gone.returning(model_reservations)).mappings():
            freed.update(_freed(row))
    _move(connection, spent, freed)
    model_usage.add(connection, sums)


def settle_dead(connection: Connection, alive: Collection[str], spent_on: Any) -> int:
    """Count what replicas that died had reserved as spent, marked as estimated; how many calls.

    `spent_on(account)` gives the ids of the budgets' accounts that a row of the books is counted on.
    """
    dead = model_reservations.c.executor.is_not(None) & model_reservations.c.executor.not_in(alive)
    if connection.execute(select(model_reservations.c.id).where(dead).limit(1)).first() is None:
        return 0

    connection.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": _BOOKS})
    left = (
        connection.execute(delete(model_reservations).where(dead).returning(model_reservations))
        .mappings()
        .all()
    )
    sums: dict[UsageAccount, Counter[str]] = {}
    spent: Counter[str] = Counter()
    freed: Counter[str] = Counter()

    for row in left:
        freed.update(_freed(row))
        for account in (UsageAccount(*one) for one in row["accounts"]):
            counts = {"calls": 1, "cost": row["amount"], "estimated": 1}
            sums.setdefault(account, Counter()).update(counts)
            spent.update(dict.fromkeys(spent_on(account), row["amount"]))

    _move(connection, spent, freed)
    model_usage.add(connection, sums)
    return len(left)


def forget_past(connection: Connection, current: Collection[str]) -> None:
    """Close those of days and months that are over, and of all runs: they are opened again when they are needed."""
    over = budget_accounts.c.since.not_in(current) | budget_accounts.c.id.startswith("run:")
    connection.execute(delete(budget_accounts).where(over, budget_accounts.c.reserved == 0))


def _freed(row: RowMapping) -> dict[str, int]:
    accounts: list[str] = row["budgets"] or []
    amount: int = row["amount"]
    return dict.fromkeys(accounts, amount)


def _move(connection: Connection, spent: Mapping[str, int], freed: Mapping[str, int]) -> None:
    changed = sorted({*spent, *freed})  # in the order in which `take` locks them
    if changed:
        rows = [{"id": one, "spent": spent.get(one, 0), "freed": freed.get(one, 0)} for one in changed]
        connection.execute(_MOVE, rows)
