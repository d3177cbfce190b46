"""What is spent and reserved of each budget. On SQLite this process is the only writer, and accounts live in memory.

Taking from several accounts is one step without waiting, so that calls at the same time cannot overrun one together. What
is spent is read from the books when an account is first needed, and kept up to date here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol

from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.ledger import Ledger, today
from codewords_mcp.runtime.model.budget import BudgetPeriod, BudgetScope
from codewords_mcp.runtime.model.provider import Provider

PERIODS: tuple[BudgetPeriod, ...] = ("total", "month", "day")


class AccountKey(NamedTuple):
    """An account: whose, and since which day ("" for ever)."""

    scope: BudgetScope
    subject: str
    since: str

    @property
    def id(self) -> str:
        """As it is stored."""
        return f"{self.scope}:{self.since}:{self.subject}"


@dataclass(slots=True)
class BudgetAccount:
    """Picodollars spent and reserved."""

    spent: int = 0
    reserved: int = 0

    @property
    def taken(self) -> int:
        """Both."""
        return self.spent + self.reserved


@dataclass(slots=True)
class Reservation:
    """What a call in flight has taken. `held` is its id in the ledger."""

    amount: int
    held: str
    accounts: list[BudgetAccount] = field(default_factory=list[BudgetAccount])


@dataclass(frozen=True, slots=True)
class ReservationRequest:
    """So much, for a call of this origin, where none of these accounts passes its ceiling."""

    origin: CallAttribution
    provider: Provider
    model: str
    amount: int
    ceilings: Mapping[AccountKey, int]


class BudgetAccounts(Protocol):
    """The accounts of a home."""

    async def look(self, key: AccountKey) -> BudgetAccount:
        """How one stands."""
        ...

    async def take(self, wish: ReservationRequest) -> Reservation | dict[AccountKey, BudgetAccount]:
        """Take from every account of the wish; or, where one has not enough, nothing: then how they stand."""
        ...

    def settle(self, origin: CallAttribution, reservation: Reservation | None, cost: int) -> None:
        """The call has ended: give back what it took, and count what it cost."""
        ...

    def forget_run(self, run_id: str) -> None:
        """The run has ended."""
        ...


class LocalAccounts:
    """In memory; the ledger writes down what lasts."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._accounts: dict[AccountKey, BudgetAccount] = {}
        self._loading: dict[AccountKey, asyncio.Task[None]] = {}
        self._ended: set[AccountKey] = set()
        """Of runs that have ended while calls that they began were under way."""

    async def look(self, key: AccountKey) -> BudgetAccount:
        """See `BudgetAccounts`. What was spent before the account was opened is in it."""
        if key not in self._accounts:
            self._drop_past()
            self._accounts[key] = BudgetAccount()
            self._loading[key] = asyncio.create_task(self._fill(key, self._accounts[key]))
        if loading := self._loading.get(key):
            await asyncio.shield(loading)
        return self._accounts.setdefault(key, BudgetAccount())

    async def take(self, wish: ReservationRequest) -> Reservation | dict[AccountKey, BudgetAccount]:
        """See `BudgetAccounts`."""
        found = await self._looked(wish.ceilings)
        # from here on nothing waits
        for key, ceiling in wish.ceilings.items():
            if found[key].taken + wish.amount > ceiling:
                return found
        for account in found.values():
            account.reserved += wish.amount
        held = self._ledger.hold(wish.origin, wish.provider, wish.model, wish.amount)
        return Reservation(wish.amount, held, list(found.values()))

    async def _looked(self, keys: Collection[AccountKey]) -> dict[AccountKey, BudgetAccount]:
        """The accounts that others take from too: one may be closed, and opened anew, while the next is read."""
        while True:
            found = {key: account for key in keys if (account := self._accounts.get(key))}
            if self._loading or len(found) < len(keys):
                found = {key: await self.look(key) for key in keys}
            if all(self._accounts.get(key) is account for key, account in found.items()):
                return found

    def settle(self, origin: CallAttribution, reservation: Reservation | None, cost: int) -> None:
        """See `BudgetAccounts`. Every account that is open counts the cost."""
        if reservation is not None:
            self._ledger.release(reservation.held)
            for account in reservation.accounts:
                account.reserved -= reservation.amount

        if cost and self._accounts:
            for key in _keys_of(origin):
                if account := self._accounts.get(key):
                    account.spent += cost

        for run_id in origin.runs if self._ended else ():
            if AccountKey("run", run_id, "") in self._ended:
                self.forget_run(run_id)

    def forget_run(self, run_id: str) -> None:
        """See `BudgetAccounts`.

        The account stays while something is reserved on it: calls that the run began may outlive it, under the same ceiling.
        """
        key = AccountKey("run", run_id, "")
        if (account := self._accounts.get(key)) and account.reserved:
            self._ended.add(key)
            return
        self._ended.discard(key)
        self._accounts.pop(key, None)

    async def _fill(self, key: AccountKey, account: BudgetAccount) -> None:
        account.spent = 0  # what was counted since the account was opened is in the books, which are read now
        try:
            account.spent += await self._ledger.spent(since=key.since, **matching(key))
        except BaseException:
            self._accounts.pop(key, None)
            raise
        finally:
            self._loading.pop(key, None)

    def _drop_past(self) -> None:
        """Accounts of days and months that are over."""
        current = {since(period) for period in PERIODS}
        for key in [
            key
            for key, account in self._accounts.items()
            if key.since not in current and not account.reserved
        ]:
            del self._accounts[key]


def matching(key: AccountKey) -> dict[str, str]:
    """The columns of the books that are an account's."""
    columns = {"run": "run_id", "workflow": "service_id", "key": "key_id"}
    if key.scope in columns:
        return {columns[key.scope]: key.subject}
    return {}


def since(period: BudgetPeriod, day: str = "") -> str:
    """The first day of the period in which this day is, or today; "" for ever."""
    if period == "total":
        return ""
    day = day or today()
    if period == "day":
        return day
    return f"{day[:7]}-01"


def _keys_of(origin: CallAttribution) -> Iterable[AccountKey]:
    if origin.services:
        service = origin.services[0]
    else:
        service = ""
    for run_id in origin.runs:
        yield AccountKey("run", run_id, "")
    yield from keys_in(today(), service, origin.key_id)


@lru_cache(maxsize=1024)
def keys_in(day: str, service_id: str, key_id: str) -> tuple[AccountKey, ...]:
    """The accounts, but a run's, that a call on this day is counted on."""
    found: list[AccountKey] = []
    for first in {since(period, day) for period in PERIODS}:
        if service_id:
            found.append(AccountKey("workflow", service_id, first))
        found += [AccountKey("key", key_id, first), AccountKey("home", "", first)]
    return tuple(found)
