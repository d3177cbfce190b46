"""Ceilings that are never crossed: what a call may cost is taken from every budget before it, and settled after it.

Taking is one step without waiting, so that calls at the same time cannot overrun a budget together. What is spent is
read from the store when an account is first needed, and kept up to date here; this process is the only writer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from codewords_mcp.errors import BudgetExceeded, InvalidInput
from codewords_mcp.runtime.gateway.estimates import Estimate
from codewords_mcp.runtime.gateway.ledger import Ledger, today
from codewords_mcp.runtime.gateway.lineage import Origin
from codewords_mcp.runtime.gateway.prices import USD
from codewords_mcp.runtime.models import Budget, BudgetPeriod, BudgetScope
from codewords_mcp.runtime.store import budgets as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

PERIODS: tuple[BudgetPeriod, ...] = ("total", "month", "day")


class Key(NamedTuple):
    """An account: whose, and since which day ("" for ever)."""

    scope: BudgetScope
    subject: str
    since: str


@dataclass(slots=True)
class Account:
    """Picodollars spent and reserved."""

    spent: int = 0
    reserved: int = 0


class Limit(NamedTuple):
    """A budget as it applies to one call; `account` is None for the budget of a single call."""

    amount: int
    scope: BudgetScope
    period: BudgetPeriod
    account: Key | None


@dataclass(slots=True)
class Reservation:
    """What a call in flight has taken."""

    amount: int
    accounts: list[Account] = field(default_factory=list[Account])
    held: str = ""
    """Its id in the ledger."""


class Budgets:
    """Every budget of the home. `settled`: those of the settings, which apply beside the stored ones."""

    def __init__(self, database: Database, ledger: Ledger, settled: dict[str, float]) -> None:
        self._db = database
        self._ledger = ledger
        self._fixed = [from_settings(name, amount) for name, amount in settled.items()]
        self._stored: list[Budget] | None = None
        self._accounts: dict[Key, Account] = {}
        self._loading: dict[Key, asyncio.Task[None]] = {}

    async def list(self) -> list[Budget]:
        """Every budget, with what is spent and reserved of those that are of one thing."""
        found: list[Budget] = []
        for budget in self._fixed + await self._load():
            key = _key(budget.scope, budget.subject, budget.period)
            if budget.scope in {"call", "run"} or (budget.scope != "home" and not budget.subject):
                found.append(budget)
                continue
            account = await self._account(key)
            told = {"spent": account.spent / USD, "reserved": account.reserved / USD}
            found.append(budget.model_copy(update=told))
        return found

    async def set(self, scope: BudgetScope, subject: str, period: BudgetPeriod, usd: float) -> Budget:
        """Set or replace. Raises InvalidInput."""
        amount = to_picodollars(usd)
        _check(scope, subject, period)
        await self._db.write(lambda c: rows.put(c, scope, subject, period, amount, now()))
        self._stored = None
        return Budget(scope=scope, subject=subject, period=period, usd=amount / USD)

    async def remove(self, scope: BudgetScope, subject: str, period: BudgetPeriod) -> bool:
        """False if there was none."""
        removed = await self._db.write(lambda c: rows.remove(c, scope, subject, period))
        self._stored = None
        return removed

    async def limits(self, origin: Origin) -> list[Limit]:
        """Every budget that applies to a call of this origin."""
        stored = self._stored if self._stored is not None else await self._load()
        if not stored and not self._fixed and not any(origin.limits):
            return []
        found = [limit for budget in (*self._fixed, *stored) for limit in _applied(budget, origin)]
        return found + list(_of_headers(origin))

    async def reserve(self, limits: list[Limit], estimate: Estimate) -> Reservation:
        """Take what a call may cost from every account. Raises BudgetExceeded, and takes nothing, where one has not enough."""
        keys = dict.fromkeys(limit.account for limit in limits if limit.account is not None)
        accounts = {key: await self._account(key) for key in keys}
        # from here on nothing waits
        room, tightest = min(((_room(limit, accounts), limit) for limit in limits), key=lambda one: one[0])
        if room < estimate.most:
            account = accounts[tightest.account] if tightest.account is not None else None
            raise _refusal(tightest, account, estimate, room)
        for account in accounts.values():
            account.reserved += estimate.most
        return Reservation(estimate.most, list(accounts.values()))

    def settle(self, origin: Origin, reservation: Reservation | None, cost: int) -> None:
        """The call has ended: give back what it took, and count what it cost on every account that is open."""
        if reservation is not None:
            for account in reservation.accounts:
                account.reserved -= reservation.amount
        if cost and self._accounts:
            for key in _keys_of(origin):
                if account := self._accounts.get(key):
                    account.spent += cost

    def forget_run(self, run_id: str) -> None:
        """The run has ended; calls of its that are still in flight keep their account to themselves."""
        self._accounts.pop(Key("run", run_id, ""), None)

    async def _load(self) -> list[Budget]:
        found = await self._db.read(rows.every)
        self._stored = [
            Budget(scope=row["scope"], subject=row["subject"], period=row["period"], usd=row["amount"] / USD)
            for row in found
        ]
        return self._stored

    async def _account(self, key: Key) -> Account:
        """The account, with what was spent before it was opened."""
        if key not in self._accounts:
            self._drop_past()
            self._accounts[key] = Account()
            self._loading[key] = asyncio.create_task(self._fill(key, self._accounts[key]))
        if loading := self._loading.get(key):
            await asyncio.shield(loading)
        return self._accounts.setdefault(key, Account())

    async def _fill(self, key: Key, account: Account) -> None:
        columns = {"run": "run_id", "workflow": "service_id", "key": "key_id"}
        matching = {columns[key.scope]: key.subject} if key.scope in columns else {}
        account.spent = 0  # what was counted since the account was opened is in the books, which are read now
        try:
            before = await self._ledger.spent(since=key.since, **matching)
            account.spent += before
        except BaseException:
            self._accounts.pop(key, None)
            raise
        finally:
            self._loading.pop(key, None)

    def _drop_past(self) -> None:
        """Accounts of days and months that are over."""
        current = {_since(period) for period in PERIODS}
        for key in [
            key
            for key, account in self._accounts.items()
            if key.since not in current and not account.reserved
        ]:
            del self._accounts[key]


def from_settings(name: str, usd: float) -> Budget:
    """A budget of the settings: `call`, `run`, `workflow`, `key`, `day` or `home`. Raises InvalidInput."""
    known: dict[str, tuple[BudgetScope, BudgetPeriod]] = {
        "call": ("call", "total"), "run": ("run", "total"), "workflow": ("workflow", "total"), "key": ("key", "total"),
        "day": ("home", "day"), "home": ("home", "total"),
    }  # fmt: skip
    if name not in known:
        raise InvalidInput(f"CODEWORDS_BUDGETS knows {', '.join(known)}, and nothing else.")
    scope, period = known[name]
    return Budget(scope=scope, subject="", period=period, usd=to_picodollars(usd) / USD)


def to_picodollars(usd: float) -> int:
    """Raises InvalidInput for what is no amount."""
    if not 0 <= usd <= 1_000_000:  # NaN compares false too
        raise InvalidInput("A budget is 0 to 1,000,000 USD.")
    return round(usd * USD)


def _check(scope: BudgetScope, subject: str, period: BudgetPeriod) -> None:
    if scope in {"call", "run", "home"} and subject:
        raise InvalidInput(f"A budget of scope {scope} is not of one {scope}; leave the id out.")
    if scope in {"call", "run"} and period != "total":
        raise InvalidInput(f"A budget of scope {scope} has no period.")
    if len(subject) > 80 or not subject.isprintable():
        raise InvalidInput("That is not an id.")


def _room(limit: Limit, accounts: dict[Key, Account]) -> int:
    """What is left of a budget."""
    account = accounts[limit.account] if limit.account is not None else Account()
    return limit.amount - account.spent - account.reserved


def _since(period: BudgetPeriod) -> str:
    day = today()
    return {"total": "", "day": day, "month": f"{day[:7]}-01"}[period]


def _key(scope: BudgetScope, subject: str, period: BudgetPeriod) -> Key:
    return Key(scope, subject, _since(period))


def _applied(budget: Budget, origin: Origin) -> Iterable[Limit]:
    amount, scope, period = round(budget.usd * USD), budget.scope, budget.period
    if scope == "call":
        yield Limit(amount, scope, period, None)
        return
    subjects: dict[BudgetScope, tuple[str, ...]] = {
        "run": origin.runs, "workflow": origin.services[:1], "key": (origin.key_id,), "home": ("",),
    }  # fmt: skip
    for subject in subjects[scope]:
        if budget.subject in {"", subject}:
            yield Limit(amount, scope, period, _key(scope, subject, period))


def _of_headers(origin: Origin) -> Iterable[Limit]:
    """What the header of a workflow allows: for a call, for each of its runs, and for itself a day, a month, ever."""
    for depth, table in enumerate(origin.limits):
        for name, usd in table.items():
            amount = round(usd * USD)
            if name == "run":
                yield Limit(amount, "run", "total", Key("run", origin.runs[depth], ""))
            elif depth == 0 and name == "call":
                yield Limit(amount, "call", "total", None)
            elif depth == 0 and name in PERIODS:
                yield Limit(amount, "workflow", name, _key("workflow", origin.services[0], name))


def _keys_of(origin: Origin) -> Iterable[Key]:
    for run_id in origin.runs:
        yield Key("run", run_id, "")
    for since in {_since(period) for period in PERIODS}:
        if origin.services:
            yield Key("workflow", origin.services[0], since)
        yield Key("key", origin.key_id, since)
        yield Key("home", "", since)


_WORDS: dict[tuple[BudgetScope, BudgetPeriod], str] = {
    ("call", "total"): "a single call",
    ("run", "total"): "this run",
    ("home", "total"): "this home",
}
_EACH: dict[BudgetPeriod, Callable[[str], str]] = {
    "total": lambda what: what,
    "day": lambda what: f"{what} for today (UTC)",
    "month": lambda what: f"{what} for this month",
}


def _refusal(limit: Limit, account: Account | None, estimate: Estimate, room: int) -> BudgetExceeded:
    what = _WORDS.get((limit.scope, limit.period)) or _EACH[limit.period](f"this {limit.scope}")
    fits = estimate.fitting(room)
    spent, reserved = (account.spent, account.reserved) if account is not None else (0, 0)
    so_far = (
        f" {usd_text(spent)} are spent and {usd_text(reserved)} reserved for calls under way."
        if account
        else ""
    )
    hint = (
        f"With at most {fits} output tokens (`max_tokens`) it would fit. "
        if 0 < fits < estimate.output_tokens
        else ""
    )
    return BudgetExceeded(
        f"The budget of {what} is {usd_text(limit.amount)} USD.{so_far} This call may cost up to {usd_text(estimate.most)}, "
        "so it was not made.",
        hint=f"{hint}`codewords budget` shows and changes budgets.",
        scope=limit.scope,
        period=limit.period,
        limit=limit.amount / USD,
        spent=spent / USD,
        reserved=reserved / USD,
        needed=estimate.most / USD,
        fits_output_tokens=fits,
    )


def usd_text(amount: int) -> str:
    """Picodollars as USD, to a tenth of a millicent."""
    return f"{amount / USD:.6f}".rstrip("0").rstrip(".")
