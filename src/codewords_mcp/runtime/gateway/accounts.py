"""Spent and reserved amounts of each budget.

On SQLite this process is the only writer, so accounts live in memory. Taking from several accounts
is one step without an await, so concurrent calls cannot overrun a budget together. The spent amount
is read from the ledger when an account is first needed, and kept up to date here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol

from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.ledger import Ledger, today
from codewords_mcp.runtime.model.budget import BudgetPeriod, BudgetScope
from codewords_mcp.runtime.model.provider import Provider

PERIODS: tuple[BudgetPeriod, ...] = ("total", "month", "day")


class AccountKey(NamedTuple):
    """Identity of an account.

    `since` is the first day of its period, "" for a budget without period.
    """

    scope: BudgetScope
    subject: str
    since: str

    @property
    def id(self) -> str:
        """The key as the database stores it."""
        return f"{self.scope}:{self.since}:{self.subject}"


@dataclass(slots=True)
class BudgetAccount:
    """Picodollars spent and reserved."""

    spent: int = 0
    reserved: int = 0

    @property
    def taken(self) -> int:
        """Spent and reserved together."""
        return self.spent + self.reserved


@dataclass(slots=True)
class Reservation:
    """Amount that a call in flight has reserved. `reservation_id` is its id in the ledger."""

    amount: int
    reservation_id: str
    accounts: list[BudgetAccount] = field(default_factory=list[BudgetAccount])


class ReservationRequest(NamedTuple):
    """Request to reserve `amount` for a call, if no account passes its ceiling by it."""

    origin: CallAttribution
    provider: Provider
    model: str
    amount: int
    ceilings: Mapping[AccountKey, int]


class BudgetAccounts(Protocol):
    """The accounts of a home."""

    async def read(self, key: AccountKey) -> BudgetAccount:
        """Spent and reserved amounts of one account."""
        ...

    async def take(self, request: ReservationRequest) -> Reservation | dict[AccountKey, BudgetAccount]:
        """Reserve on every account of the request.

        If one account lacks the amount, nothing is reserved and the current accounts are returned.
        """
        ...

    def settle(self, origin: CallAttribution, reservation: Reservation | None, cost: int) -> None:
        """Release the call's reservation and count its cost."""
        ...

    def forget_run(self, run_id: str) -> None:
        """Drop the account of a run that has ended."""
        ...


class LocalAccounts:
    """Accounts in memory. The ledger writes down reservations of long calls."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._accounts: dict[AccountKey, BudgetAccount] = {}
        self._loading: dict[AccountKey, asyncio.Task[None]] = {}
        # Runs that ended while their calls were in flight.
        self._ended: set[AccountKey] = set()

    async def read(self, key: AccountKey) -> BudgetAccount:
        """See `BudgetAccounts`. Includes the costs recorded before the account was opened."""
        # Past periods are dropped when a new account is opened, so memory is bounded without a timer.
        if key not in self._accounts:
            self._drop_past()
            self._accounts[key] = BudgetAccount()
            self._loading[key] = asyncio.create_task(self._fill(key, self._accounts[key]))
        if loading := self._loading.get(key):
            # A cancelled call must not end the reading that others wait for.
            await asyncio.shield(loading)
        # Another call may have dropped it meanwhile.
        return self._accounts.setdefault(key, BudgetAccount())

    async def take(self, request: ReservationRequest) -> Reservation | dict[AccountKey, BudgetAccount]:
        """See `BudgetAccounts`."""
        found = await self._read_open(request.ceilings)
        # No await from here on: another call could take from the same accounts in between.
        for key, ceiling in request.ceilings.items():
            if found[key].taken + request.amount > ceiling:
                return found
        for account in found.values():
            account.reserved += request.amount
        reservation_id = self._ledger.open_reservation(
            request.origin, request.provider, request.model, request.amount
        )
        return Reservation(request.amount, reservation_id, list(found.values()))

    async def _read_open(self, keys: Collection[AccountKey]) -> dict[AccountKey, BudgetAccount]:
        """Return open accounts."""
        while True:
            found = {key: account for key in keys if (account := self._accounts.get(key))}
            if not self._loading and len(found) == len(keys):
                return found
            # One may be dropped and reopened while the next is read, so repeat until all agree.
            found = {key: await self.read(key) for key in keys}
            if all(self._accounts.get(key) is account for key, account in found.items()):
                return found

    def settle(self, origin: CallAttribution, reservation: Reservation | None, cost: int) -> None:
        """See `BudgetAccounts`. Every open account counts the cost."""
        if reservation is not None:
            self._ledger.release(reservation.reservation_id)
            for account in reservation.accounts:
                account.reserved -= reservation.amount

        # Accounts that nobody has asked for read their costs from the ledger when they are opened.
        if cost and self._accounts:
            service_id = origin.services[0] if origin.services else ""
            keys = keys_in(today(), origin.owner, service_id, origin.key_id)
            if origin.runs:
                keys += tuple(AccountKey("run", run_id, "") for run_id in origin.runs)
            for key in keys:
                if account := self._accounts.get(key):
                    account.spent += cost

        for run_id in origin.runs if self._ended else ():
            if AccountKey("run", run_id, "") in self._ended:
                self.forget_run(run_id)

    def forget_run(self, run_id: str) -> None:
        """See `BudgetAccounts`."""
        # The account stays while it has reservations: calls may outlive their run, under the same ceiling.
        key = AccountKey("run", run_id, "")
        if (account := self._accounts.get(key)) and account.reserved:
            self._ended.add(key)
            return
        self._ended.discard(key)
        self._accounts.pop(key, None)

    async def _fill(self, key: AccountKey, account: BudgetAccount) -> None:
        # Costs counted since the account was opened are in the ledger too, which is read now.
        account.spent = 0
        try:
            account.spent += await self._ledger.spent(since=key.since, **ledger_filters(key))
        except BaseException:
            # An account without its costs must not stay: it would look empty.
            self._accounts.pop(key, None)
            raise
        finally:
            self._loading.pop(key, None)

    def _drop_past(self) -> None:
        """Drop accounts of days and months that are over."""
        current = {since(period) for period in PERIODS}
        for key in [
            key
            for key, account in self._accounts.items()
            if key.since not in current and not account.reserved
        ]:
            del self._accounts[key]


def ledger_filters(key: AccountKey) -> dict[str, str]:
    """Columns of the ledger that select an account's rows."""
    columns = {"run": "run_id", "workflow": "service_id", "key": "key_id", "owner": "owner"}
    if key.scope in columns:
        return {columns[key.scope]: key.subject}
    return {}


def since(period: BudgetPeriod, day: str = "") -> str:
    """First day of the period that contains `day` (default: today); "" for the period `total`."""
    if period == "total":
        return ""
    day = day or today()
    if period == "day":
        return day
    return f"{day[:7]}-01"


# Asked for every call, and the same all day.
@lru_cache(maxsize=1024)
def keys_in(day: str, owner: str, service_id: str, key_id: str) -> tuple[AccountKey, ...]:
    """Accounts that a call on this day counts on, without those of runs."""
    found: list[AccountKey] = []
    for first in {since(period, day) for period in PERIODS}:
        if service_id:
            found.append(AccountKey("workflow", service_id, first))
        found += [
            AccountKey("key", key_id, first), AccountKey("owner", owner, first), AccountKey("home", "", first),
        ]  # fmt: skip
    return tuple(found)
