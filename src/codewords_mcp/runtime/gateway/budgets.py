"""Budgets as hard ceilings: a call's maximum cost is reserved before it, and settled after it.

`accounts.py` keeps spent and reserved amounts for a single writer, `shared_accounts.py` for
replicas that share a database.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from codewords_mcp.errors import InvalidInput
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.gateway.accounts import (
    PERIODS,
    AccountKey,
    BudgetAccount,
    BudgetAccounts,
    LocalAccounts,
    Reservation,
    ReservationRequest,
    since,
)
from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.estimates import Estimate
from codewords_mcp.runtime.gateway.exchange import ProviderCall
from codewords_mcp.runtime.gateway.ledger import Ledger
from codewords_mcp.runtime.gateway.prices import USD
from codewords_mcp.runtime.gateway.shared_accounts import SharedAccounts
from codewords_mcp.runtime.model.budget import Budget, BudgetPeriod, BudgetScope
from codewords_mcp.runtime.model.model_errors import BudgetExceeded
from codewords_mcp.runtime.store import budgets as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

LEVELS_INTERVAL = 30.0
"""Seconds after which budgets are looked at although no call was made: one may have been changed, or a day have begun."""
RESERVATION_WAIT = 10.0
"""Seconds that a call waits for others under the same budget, whose maximum costs leave no room for it."""
_FIRST_PAUSE, _LAST_PAUSE = 0.02, 0.5
MAX_TOUCHED = 500
REFRESH_INTERVAL = 1.0
"""Seconds after which a budget that another replica changed applies here too."""


class BudgetLimit(NamedTuple):
    """A budget as it applies to one call. `account` is None for a per-call budget."""

    amount: int
    scope: BudgetScope
    period: BudgetPeriod
    account: AccountKey | None


class BudgetLevel(NamedTuple):
    """The spent part of a budget, in USD. `refused`: a call was refused since it would have exceeded it."""

    scope: BudgetScope
    subject: str
    period: BudgetPeriod
    since: str
    limit: float
    spent: float
    refused: bool = False


class Budgets:
    """All budgets of the home.

    `configured` ones come from the settings and apply beside the stored ones.
    """

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        configured: dict[str, float],
        *,
        executor: str = "",
        reservation_wait: float = RESERVATION_WAIT,
    ) -> None:
        self._db = database
        self._reservation_wait = reservation_wait
        self._fixed = [from_settings(name, amount) for name, amount in configured.items()]
        self._stored: list[Budget] | None = None
        self._compiled_limits: list[tuple[BudgetLimit, str]] = []
        self._as_of = 0.0
        self._touched: dict[AccountKey, tuple[BudgetLimit, bool]] = {}
        """The lowest limit of accounts that calls were made under since `levels`, and whether one was refused."""
        self._levels_as_of = float("-inf")

        if database.shared:
            self._shared = SharedAccounts(database, ledger, executor)
        else:
            self._shared = None

        self._accounts: BudgetAccounts = self._shared or LocalAccounts(ledger)
        # Bound once: both run for every call, and a delegating method would cost a frame each.
        self.settle, self.forget_run = self._accounts.settle, self._accounts.forget_run

    async def list(self) -> list[Budget]:
        """All budgets.

        `spent` and `reserved` are filled in for budgets of a single workflow, key or owner, or the home. They
        are None for per-call, per-run and default budgets.
        """
        found: list[Budget] = []
        for budget in self._fixed + await self._load():
            key = _key(budget.scope, budget.subject, budget.period)
            if budget.scope in {"call", "run"} or (budget.scope != "home" and not budget.subject):
                found.append(budget)
                continue

            account = await self._accounts.read(key)
            sums = {"spent": account.spent / USD, "reserved": account.reserved / USD}
            found.append(budget.model_copy(update=sums))

        return found

    async def set(self, scope: BudgetScope, subject: str, period: BudgetPeriod, usd: float) -> Budget:
        """Set or replace a budget. Raises InvalidInput."""
        amount = to_picodollars(usd)
        _check(scope, subject, period)
        await self._db.write(rows.put, scope, subject, period, amount, now())
        self._stored = None
        self._levels_as_of = float("-inf")
        return Budget(scope=scope, subject=subject, period=period, usd=amount / USD)

    async def remove(self, scope: BudgetScope, subject: str, period: BudgetPeriod) -> bool:
        """Remove a budget. Returns False if there was none."""
        removed = await self._db.write(rows.remove, scope, subject, period)
        self._stored = None
        return removed

    async def limits(self, origin: CallAttribution) -> list[BudgetLimit]:
        """Every budget that applies to a call with this attribution."""
        # Replicas share the stored budgets, so another one may have changed them.
        if self._stored is None or (
            self._shared is not None and time.monotonic() - self._as_of > REFRESH_INTERVAL
        ):
            await self._load()
        if not self._compiled_limits and not any(origin.limits):
            return []
        found = [
            limit for budget, subject in self._compiled_limits for limit in _applied(budget, subject, origin)
        ]
        if origin.limits:
            found += _of_headers(origin)
        return found

    async def reserve(self, call: ProviderCall, limits: list[BudgetLimit], estimate: Estimate) -> Reservation:
        """Reserve a call's maximum cost on every account.

        Where only what other calls reserve is in the way, it waits for one of them to settle, for `reservation_wait`.
        Raises BudgetExceeded, and reserves nothing, if one account lacks the amount.
        """
        ceilings: dict[AccountKey, int] = {}
        max_cost = estimate.max_cost
        for limit in limits:
            if limit.account is not None:
                # Two budgets on one account: the lower one is its ceiling.
                ceilings[limit.account] = min(limit.amount, ceilings.get(limit.account, limit.amount))
            elif limit.amount < max_cost:
                raise _refusal(limit, None, estimate, limit.amount)

        taken = await self._take(
            ReservationRequest(call.origin, call.route.provider, call.model, max_cost, ceilings)
        )
        if isinstance(taken, Reservation):
            for limit in limits:
                # Most calls are made under limits that are noted already.
                if limit.account is not None and self._touched.get(limit.account, (None,))[0] is not limit:
                    self._touch(limit, ceilings, refused=False)
            return taken

        for limit in limits:
            self._touch(limit, ceilings, refused=_lacks(taken, limit, max_cost))

        # The caller is told of the budget that has least left.
        remaining, tightest = min(
            (
                (limit.amount - taken[limit.account].taken, limit)
                for limit in limits
                if limit.account is not None
            ),
            key=itemgetter(0),
        )
        assert tightest.account is not None  # noqa: S101  # only such were looked at
        raise _refusal(tightest, taken[tightest.account], estimate, remaining)

    async def _take(self, request: ReservationRequest) -> Reservation | dict[AccountKey, BudgetAccount]:
        ends_at = time.monotonic() + self._reservation_wait
        pause = _FIRST_PAUSE
        while True:
            taken = await self._accounts.take(request)
            if isinstance(taken, Reservation) or time.monotonic() >= ends_at:
                return taken
            if any(account.spent + request.amount > request.ceilings[key] for key, account in taken.items()):
                return taken
            # Looked at again rather than awaited: another replica may settle, too.
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE)

    def _touch(self, limit: BudgetLimit, ceilings: dict[AccountKey, int], *, refused: bool) -> None:
        key = limit.account
        # A run's budget ends its run, which is told as such.
        if key is None or limit.scope == "run" or ceilings[key] != limit.amount:
            return
        known = self._touched.get(key)
        if known is not None or len(self._touched) < MAX_TOUCHED:
            self._touched[key] = (limit, refused or (known is not None and known[1]))

    async def levels(self) -> list[BudgetLevel] | None:
        """Return the spent part of each budget that may have changed; None if no call was made for some seconds."""
        if not self._touched and time.monotonic() < self._levels_as_of + LEVELS_INTERVAL:
            return None
        # Taken before the first wait: calls that are settled meanwhile count in the next round.
        touched, self._touched = self._touched, {}
        self._levels_as_of = time.monotonic()

        found: dict[AccountKey, BudgetLevel] = {}
        for key, (limit, refused) in touched.items():
            spent = (await self._accounts.read(key)).spent / USD
            found[key] = BudgetLevel(
                limit.scope, key.subject, limit.period, key.since, limit.amount / USD, spent, refused
            )
        for budget in await self.list():
            key = _key(budget.scope, budget.subject, budget.period)
            if budget.spent is not None and key not in found:
                found[key] = BudgetLevel(
                    budget.scope, budget.subject, budget.period, key.since, budget.usd, budget.spent
                )
        return list(found.values())

    async def forget_past(self) -> None:
        """Drop accounts of days, months and runs that are over."""
        if self._shared is not None:
            await self._shared.forget_past()

    async def _load(self) -> list[Budget]:
        found = await self._db.read(rows.every)
        self._stored = [
            Budget(scope=row["scope"], subject=row["subject"], period=row["period"], usd=row["amount"] / USD)
            for row in found
        ]
        self._compiled_limits = _compiled(self._fixed + self._stored)
        self._as_of = time.monotonic()
        return self._stored


def _lacks(taken: dict[AccountKey, BudgetAccount], limit: BudgetLimit, cost: int) -> bool:
    """Whether a refused call would have exceeded this limit."""
    return limit.account is not None and taken[limit.account].taken + cost > limit.amount


def from_settings(name: str, usd: float) -> Budget:
    """Read a budget of the settings:

    `call`, `run`, `workflow`, `key`, `owner`, `day` or `home`. Raises InvalidInput.
    """
    known: dict[str, tuple[BudgetScope, BudgetPeriod]] = {
        "call": ("call", "total"), "run": ("run", "total"), "workflow": ("workflow", "total"), "key": ("key", "total"),
        "owner": ("owner", "total"), "day": ("home", "day"), "home": ("home", "total"),
    }  # fmt: skip
    if name not in known:
        raise InvalidInput(f"CODEWORDS_BUDGETS knows {', '.join(known)}, and nothing else.")
    scope, period = known[name]
    return Budget(scope=scope, subject="", period=period, usd=to_picodollars(usd) / USD)


def to_picodollars(usd: float) -> int:
    """Convert USD. Raises InvalidInput for a value outside 0 to 1,000,000."""
    # NaN compares false too.
    if not 0 <= usd <= 1_000_000:
        raise InvalidInput("A budget is 0 to 1,000,000 USD.")
    return round(usd * USD)


def _check(scope: BudgetScope, subject: str, period: BudgetPeriod) -> None:
    if scope in {"call", "run", "home"} and subject:
        raise InvalidInput(f"A budget of scope {scope} is not of one {scope}; leave the id out.")
    if scope in {"call", "run"} and period != "total":
        raise InvalidInput(f"A budget of scope {scope} has no period.")
    if len(subject) > 80 or not subject.isprintable():
        raise InvalidInput("That is not an id.")


def _key(scope: BudgetScope, subject: str, period: BudgetPeriod) -> AccountKey:
    return AccountKey(scope, subject, since(period))


def _applied(budget: BudgetLimit, subject: str, origin: CallAttribution) -> Iterable[BudgetLimit]:
    """Limits that a budget sets on a call. `subject` "" applies to each subject on its own."""
    amount, scope, period, _ = budget
    if scope == "call":
        return (budget,)

    if scope == "run":
        # What a run calls counts on its own budget too: else it could split itself.
        subjects = origin.runs
    elif scope == "workflow":
        subjects = origin.services[:1]
    elif scope == "key":
        subjects = (origin.key_id,)
    elif scope == "owner":
        subjects = (origin.owner,)
    else:
        subjects = ("",)

    first = since(period)
    return [
        _limit(amount, scope, period, applicable, first)
        for applicable in subjects
        if not subject or subject == applicable
    ]


# The same for every call of a key, all day.
@lru_cache(maxsize=1024)
def _limit(amount: int, scope: BudgetScope, period: BudgetPeriod, subject: str, first: str) -> BudgetLimit:
    return BudgetLimit(amount, scope, period, AccountKey(scope, subject, first))


def _compiled(budgets: list[Budget]) -> list[tuple[BudgetLimit, str]]:
    # Converted once: they are compared for every call.
    return [
        (BudgetLimit(round(budget.usd * USD), budget.scope, budget.period, None), budget.subject)
        for budget in budgets
    ]


def _of_headers(origin: CallAttribution) -> Iterable[BudgetLimit]:
    """Limits from workflow headers: per call, per run of the chain, and per day, month or in total."""
    for depth, table in enumerate(origin.limits):
        for name, usd in table.items():
            amount = round(usd * USD)
            if name == "run":
                yield BudgetLimit(amount, "run", "total", AccountKey("run", origin.runs[depth], ""))
            elif depth == 0 and name == "call":
                yield BudgetLimit(amount, "call", "total", None)
            elif depth == 0 and name in PERIODS:
                yield BudgetLimit(amount, "workflow", name, _key("workflow", origin.services[0], name))


_SCOPE_TEXTS: dict[tuple[BudgetScope, BudgetPeriod], str] = {
    ("call", "total"): "a single call",
    ("run", "total"): "this run",
    ("home", "total"): "this home",
}
_PERIOD_TEXTS: dict[BudgetPeriod, str] = {"total": "", "day": " for today (UTC)", "month": " for this month"}


def _refusal(
    limit: BudgetLimit, account: BudgetAccount | None, estimate: Estimate, remaining: int
) -> BudgetExceeded:
    label = (
        _SCOPE_TEXTS.get((limit.scope, limit.period)) or f"this {limit.scope}{_PERIOD_TEXTS[limit.period]}"
    )
    fits = estimate.max_output_tokens(remaining)
    spent, reserved = (account.spent, account.reserved) if account is not None else (0, 0)

    if account:
        so_far = f" {usd_text(spent)} are spent and {usd_text(reserved)} reserved for calls under way."
    else:
        so_far = ""

    if 0 < fits < estimate.output_tokens:
        hint = f"With at most {fits} output tokens (`max_tokens`) it would fit."
    else:
        hint = ""

    return BudgetExceeded(
        f"The budget of {label} is {usd_text(limit.amount)} USD.{so_far} This call may cost up to {usd_text(estimate.max_cost)}, "
        "so it was not made.",
        hint=hint,
        remedy=Remedy(RemedyAction.CHANGE_BUDGETS),
        scope=limit.scope,
        period=limit.period,
        limit=limit.amount / USD,
        spent=spent / USD,
        reserved=reserved / USD,
        needed=estimate.max_cost / USD,
        fits_output_tokens=fits,
    )


def usd_text(amount: int) -> str:
    """Format picodollars as USD, to a tenth of a millicent."""
    return f"{amount / USD:.6f}".rstrip("0").rstrip(".")
