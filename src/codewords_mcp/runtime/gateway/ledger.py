"""The books of model calls: sums in memory, written soon, so that a call never waits for the disk."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, RowMapping

from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.prices import USD
from codewords_mcp.runtime.gateway.usage import Tokens
from codewords_mcp.runtime.model.budget import CostsBy
from codewords_mcp.runtime.model.provider import Provider
from codewords_mcp.runtime.model.run import Run
from codewords_mcp.runtime.store import budgets as budget_rows
from codewords_mcp.runtime.store import model_usage as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.usage_tables import COUNTERS
from codewords_mcp.runtime.store.usage_tables import KEPT_DAYS as SUMS_KEPT

SOON = 0.1
"""Seconds over which sums are gathered. A runtime that is killed loses at most that."""
KEPT_DAYS = 400
"""Days of which it is known what each run asked."""
_FIELDS = {
    "input_tokens": "input_tokens", "output_tokens": "output_tokens", "cache_read_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens", "output_reasoning_tokens": "reasoning_tokens",
    "input_audio_tokens": "audio_tokens", "output_audio_tokens": "audio_tokens", "input_image_tokens": "image_tokens",
    "output_image_tokens": "image_tokens",
}  # fmt: skip
_Held = tuple[CallAttribution, Provider, str, int, int]
"""Whose call, of which provider and model, for how many picodollars, since when."""
Settle = Callable[[Connection, Mapping[rows.UsageAccount, Mapping[str, int]], list[str]], None]


class Ledger:
    """Adds calls up, on their run and the runs above it."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._sums: dict[rows.UsageAccount, dict[str, int]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._opened: dict[str, _Held] = {}
        self._lasting: dict[str, _Held] = {}
        """Calls that were in flight at the last flush: those that last are written down at the next."""
        self._ids = itertools.count()
        self._mark = uuid.uuid4().hex[:24]
        self._written: set[str] = set()
        self._closed: list[str] = []
        self._reading = 0
        self.settle: Settle | None = None
        """Writes sums and ends reservations where replicas share the database."""

    def record(
        self,
        origin: CallAttribution,
        provider: Provider,
        model: str,
        tokens: Tokens,
        *,
        cost: int | None,
        estimated: bool = False,
        fallback: bool = False,
        cached: bool = False,
    ) -> None:
        """Count one call; `cost` in picodollars, None where the model has no price.

        `fallback`: the model stood in for another; `cached`: nobody was asked.
        """
        counts = {"calls": 1, "cost": cost or 0}
        if estimated:
            counts["estimated"] = 1
        if cost is None:
            counts["unpriced"] = 1
        if fallback:
            counts["fallbacks"] = 1
        if cached:
            counts["cached"] = 1
        for name, count in tokens.items():
            if name in _FIELDS:
                field = _FIELDS[name]
                counts[field] = counts.get(field, 0) + count

        for account in _accounts(origin, provider, model):
            found = self._sums.get(account)
            if found is None:
                self._sums[account] = counts.copy()
            else:
                for name, count in counts.items():
                    found[name] = found.get(name, 0) + count

        self.touch()

    def written(
        self, origin: CallAttribution, provider: Provider, model: str, amount: int
    ) -> tuple[str, dict[str, Any]]:
        """A reservation's id and row, for whoever writes it down."""
        held = self._new_id()
        return held, _row(held, (origin, provider, model, amount, now()))

    def _new_id(self) -> str:
        return f"{self._mark}{next(self._ids)}"

    def hold(self, origin: CallAttribution, provider: Provider, model: str, amount: int) -> str:
        """A call in flight may cost so much: written down if it lasts longer than `SOON`. Its id."""
        held = self._new_id()
        self._opened[held] = (origin, provider, model, amount, now())
        self.touch()
        return held

    def end(self, held: str) -> None:
        """A reservation that was written down is over."""
        self._closed.append(held)
        self.touch()

    def release(self, held: str) -> None:
        """It is settled."""
        if self._opened.pop(held, None) or self._lasting.pop(held, None):
            return
        if held in self._written:
            self._written.discard(held)
            self.end(held)

    def touch(self) -> None:
        """Something is to be written soon."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SOON, self.flush)

    def flush(self) -> None:
        """Hand what was gathered to the store; whoever reads from now on sees it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

        if self._reading:
            self.touch()
            return

        sums, self._sums = self._sums, {}
        opened = [_row(held, one) for held, one in self._lasting.items()]
        self._lasting, self._opened = self._opened, {}
        closed, self._closed = self._closed, []
        self._written.update(one["id"] for one in opened)

        if settle := self.settle:
            if sums or closed:
                self._db.write_with_retries(settle, sums, closed)
        elif sums or opened or closed:
            self._db.write_with_retries(_write, sums, opened, closed)

        if self._lasting:
            self.touch()

    async def spent(self, *, since: str, **matching: str) -> int:
        """Picodollars of what was recorded until now; what is recorded from now on is not in it, however long it takes."""
        self.flush()
        self._reading += 1
        try:
            return await self._db.read(lambda c: rows.spent(c, since=since, **matching))
        finally:
            self._reading -= 1

    async def with_costs(self, runs: list[Run]) -> list[Run]:
        """The runs with `cost` and `models` in their usage, where they called models."""
        if not runs:
            return runs
        self.flush()
        found = await self._db.read(rows.of_runs, [run.id for run in runs])
        by_run: dict[str, list[RowMapping]] = {}
        for row in found:
            by_run.setdefault(row["run_id"], []).append(row)
        return [_with_cost(run, by_run[run.id]) if run.id in by_run else run for run in runs]

    async def totals(self, by: CostsBy, *, owner: str | None, days: int, limit: int) -> list[dict[str, Any]]:
        """Sums by one dimension over the last days, in USD; of every owner where none is named."""
        self.flush()
        since = _day(time.time() - (days - 1) * 86400)
        found = await self._db.read(rows.totals, by, owner=owner, since=since, limit=limit)
        return [in_usd(row) for row in found]

    async def purge(self) -> None:
        """Forget what is older than `KEPT_DAYS`, and sums older than `SUMS_KEPT`."""
        runs_from, sums_from = (_day(time.time() - days * 86400) for days in (KEPT_DAYS, SUMS_KEPT))
        await self._db.write(rows.purge, runs_from, sums_from)


def _row(held: str, one: _Held) -> dict[str, Any]:
    """A reservation as it is written down."""
    origin, provider, model, amount, opened_at = one
    accounts = [list(account) for account in _accounts(origin, provider, model)]
    return {"id": held, "opened_at": opened_at, "accounts": accounts, "amount": amount}


def _accounts(origin: CallAttribution, provider: Provider, model: str) -> list[rows.UsageAccount]:
    """The rows that a call is counted in: its run's, and one for each run above it."""
    if origin.services:
        service = origin.services[0]
    else:
        service = ""
    place = (today(), origin.owner, service, origin.key_id)
    return [
        rows.UsageAccount(*place, run_id, depth > 0, provider, model[:200])
        for depth, run_id in enumerate(origin.runs or ("",))
    ]


def _write(
    connection: Connection,
    sums: Mapping[rows.UsageAccount, Mapping[str, int]],
    opened: list[dict[str, Any]],
    closed: list[str],
) -> None:
    rows.add(connection, sums)
    budget_rows.open_reservations(connection, opened)
    budget_rows.close_reservations(connection, closed)


def _with_cost(run: Run, found: list[RowMapping]) -> Run:
    models = [in_usd(row) for row in found]
    for model in models:
        del model["run_id"]
    cost = sum(row["cost"] for row in found) / USD + (run.usage.get("cost") or 0)  # of machines
    told = {"cost": round(cost, 12), "models": models}
    return run.model_copy(update={"usage": run.usage | told})


def in_usd(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row of sums as a person reads it: `cost` in USD."""
    counts = {name: int(row[name]) for name in COUNTERS}
    return dict(row) | counts | {"cost": round(counts["cost"] / USD, 12)}


def _day(at: float) -> str:
    return _day_text(int(at) // 86400)


@lru_cache(maxsize=8)
def _day_text(number: int) -> str:
    return datetime.fromtimestamp(number * 86400, UTC).strftime("%Y-%m-%d")


def today() -> str:
    """The day in UTC, as it is written."""
    return _day(time.time())
