"""Budget accounts in a database that replicas share: a ceiling applies to all of them together."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from codewords_mcp.runtime.gateway.accounts import (
    PERIODS,
    AccountKey,
    BudgetAccount,
    Reservation,
    ReservationRequest,
    keys_in,
    ledger_filters,
    since,
)
from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.ledger import FLUSH_INTERVAL, Ledger
from codewords_mcp.runtime.store import budget_accounts as rows
from codewords_mcp.runtime.store import model_usage
from codewords_mcp.runtime.store.database import Database

# Times that an account is reopened, if another replica closes it in between.
_MAX_ATTEMPTS = 5


class SharedAccounts:
    """See `BudgetAccounts`.

    A call reserves with one statement; it is released in the ledger's transaction.
    """

    def __init__(self, database: Database, ledger: Ledger, executor: str) -> None:
        self._db = database
        self._ledger = ledger
        self._executor = executor
        ledger.settle = self._settle

    async def read(self, key: AccountKey) -> BudgetAccount:
        """See `BudgetAccounts`."""
        # What this process has not written yet would be missing in the sum.
        self._ledger.flush()

        def opened(connection: Connection) -> tuple[int, int]:
            _open(connection, [key])
            return rows.balances(connection, [key.id])[key.id]

        return BudgetAccount(*await self._db.write(opened))

    async def take(self, request: ReservationRequest) -> Reservation | dict[AccountKey, BudgetAccount]:
        """See `BudgetAccounts`."""
        reservation_id, row = self._ledger.new_reservation(
            request.origin, request.provider, request.model, request.amount
        )
        ceilings = {key.id: ceiling for key, ceiling in request.ceilings.items()}
        encoded = {"accounts": json.dumps(row["accounts"]), "budgets": json.dumps(list(ceilings))}
        values = row | encoded | {"executor": self._executor}

        def attempt(connection: Connection) -> dict[str, tuple[int, int]] | None:
            if rows.take(connection, ceilings, values):
                return None
            return rows.balances(connection, ceilings)

        found: dict[str, tuple[int, int]] = {}
        flushed = 0

        for _ in range(_MAX_ATTEMPTS):
            taken = await self._db.aside(attempt)
            if taken is None:
                return Reservation(request.amount, reservation_id)

            found = taken
            closed = [key for key in request.ceilings if key.id not in found]
            if closed:
                await self._db.write(_open, closed)
            elif not flushed:
                # Reservations that ended here may free enough.
                self._ledger.flush()
                await self._db.drained()
                flushed = 1
            elif flushed == 1 and any(reserved for _, reserved in found.values()):
                # Wait for other replicas' flush, too.
                await asyncio.sleep(2 * FLUSH_INTERVAL)
                flushed = 2
            else:
                break

        # An account that others close again and again counts as full.
        return {
            key: BudgetAccount(*found.get(key.id, (0, request.ceilings[key]))) for key in request.ceilings
        }

    def settle(self, origin: CallAttribution, reservation: Reservation | None, cost: int) -> None:  # noqa: ARG002
        """See `BudgetAccounts`."""
        # The ledger's transaction counts the cost (`_settle`).
        if reservation is not None:
            self._ledger.close_reservation(reservation.reservation_id)

    def forget_run(self, run_id: str) -> None:
        """See `BudgetAccounts`."""
        # `forget_past` closes the account later: other replicas may still use it.

    async def forget_past(self) -> None:
        """Close accounts that are no longer needed."""
        current = {since(period) for period in PERIODS}
        await self._db.write(rows.forget_past, current)

    def _settle(
        self,
        connection: Connection,
        sums: Mapping[model_usage.UsageAccount, Mapping[str, int]],
        ended: list[str],
    ) -> None:
        spent: Counter[str] = Counter()
        for account, counts in sums.items():
            spent.update(dict.fromkeys(counted_on(account), counts["cost"]))
        rows.settle(connection, sums, {account_id: cost for account_id, cost in spent.items() if cost}, ended)


def counted_on(account: model_usage.UsageAccount) -> Iterable[str]:
    """Ids of the accounts that a row of the ledger counts on."""
    if account.run_id:
        yield AccountKey("run", account.run_id, "").id
    # A nested run's row repeats a call that its own row has counted.
    if not account.nested:
        for key in keys_in(account.day, account.owner, account.service_id, account.key_id):
            yield key.id


def settle_dead(connection: Connection, alive: Any) -> int:
    """Count reservations of dead replicas as spent. Returns the number of calls."""
    return rows.settle_dead(connection, alive, counted_on)


def _open(connection: Connection, keys: Iterable[AccountKey]) -> None:
    for key in keys:
        rows.open_account(connection, key.id, key.since, ledger_filters(key))
