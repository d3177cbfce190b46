"""Ledger of model calls: sums in memory, written in batches, so that a call never waits for the
disk.
"""

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
from codewords_mcp.runtime.store.usage_tables import RETENTION_DAYS as SUM_DAYS

FLUSH_INTERVAL = 0.1
"""Seconds over which sums are collected. A killed runtime loses at most that."""
RUN_DAYS = 400
"""Days for which the models of each run are stored."""
_FIELDS = {
    "input_tokens": "input_tokens", "output_tokens": "output_tokens", "cache_read_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens", "output_reasoning_tokens": "reasoning_tokens",
    "input_audio_tokens": "audio_tokens", "output_audio_tokens": "audio_tokens", "input_image_tokens": "image_tokens",
    "output_image_tokens": "image_tokens",
}  # fmt: skip
# Attribution, provider, model, picodollars, and start time of a reservation.
_OpenReservation = tuple[CallAttribution, Provider, str, int, int]
Settle = Callable[[Connection, Mapping[rows.UsageAccount, Mapping[str, int]], list[str]], None]


class Ledger:
    """Sums up calls, on their run and the runs above it."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._sums: dict[rows.UsageAccount, dict[str, int]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._open: dict[str, _OpenReservation] = {}
        # Calls that were in flight at the last flush. Those still in flight at the next one are
        # written down.
        self._still_open: dict[str, _OpenReservation] = {}
        self._ids = itertools.count()
        # Ids of all replicas must differ.
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
        """Count one call. `cost` is in picodollars, None if the model has no price.

        `fallback`: the model replaced the requested one. `cached`: the response came from the
        cache.
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
                # Tokens in and out of one kind are counted together.
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

    def new_reservation(
        self, origin: CallAttribution, provider: Provider, model: str, amount: int
    ) -> tuple[str, dict[str, Any]]:
        """A reservation's id and row, for a caller that writes it to the database itself."""
        reservation_id = self._new_id()
        return reservation_id, _row(reservation_id, (origin, provider, model, amount, now()))

    def _new_id(self) -> str:
        return f"{self._mark}{next(self._ids)}"

    def open_reservation(self, origin: CallAttribution, provider: Provider, model: str, amount: int) -> str:
        """Reserve an amount for a call in flight. Returns the reservation's id.

        It is written down if it lasts longer than `FLUSH_INTERVAL`.
        """
        reservation_id = self._new_id()
        self._open[reservation_id] = (origin, provider, model, amount, now())
        self.touch()
        return reservation_id

    def close_reservation(self, reservation_id: str) -> None:
        """Delete a written reservation at the next flush."""
        self._closed.append(reservation_id)
        self.touch()

    def release(self, reservation_id: str) -> None:
        """Settle a reservation."""
        if self._open.pop(reservation_id, None) or self._still_open.pop(reservation_id, None):
            return
        if reservation_id in self._written:
            self._written.discard(reservation_id)
            self.close_reservation(reservation_id)

    def touch(self) -> None:
        """Schedule a flush."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_INTERVAL, self.flush)

    def flush(self) -> None:
        """Hand the collected sums to the store. Later reads see them."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

        # A sum written during a read of `spent` might be counted twice, so the flush is put off.
        if self._reading:
            self.touch()
            return

        sums, self._sums = self._sums, {}
        opened = [_row(reservation_id, call) for reservation_id, call in self._still_open.items()]
        self._still_open, self._open = self._open, {}
        closed, self._closed = self._closed, []
        self._written.update(row["id"] for row in opened)

        if settle := self.settle:
            # Reservations are written at once there, so only ends are left.
            if sums or closed:
                self._db.write_with_retries(settle, sums, closed)
        elif sums or opened or closed:
            self._db.write_with_retries(_write, sums, opened, closed)

        if self._still_open:
            self.touch()

    async def spent(self, *, since: str, **filters: str) -> int:
        """Picodollars recorded until now.

        Later records are not included, however long the read takes.
        """
        self.flush()
        self._reading += 1
        try:
            return await self._db.read(rows.spent, since=since, **filters)
        finally:
            self._reading -= 1

    async def with_costs(self, runs: list[Run]) -> list[Run]:
        """The runs with `cost` and `models` in their usage, if they called models."""
        if not runs:
            return runs
        self.flush()
        found = await self._db.read(rows.of_runs, [run.id for run in runs])
        by_run: dict[str, list[RowMapping]] = {}
        for row in found:
            by_run.setdefault(row["run_id"], []).append(row)
        return [_with_cost(run, by_run[run.id]) if run.id in by_run else run for run in runs]

    async def of_runs(self, run_ids: list[str]) -> list[dict[str, Any]]:
        """Sums by run, provider and model, in USD. A run has the calls of those that it started too."""
        self.flush()
        return [in_usd(row) for row in await self._db.read(rows.of_runs, run_ids)]

    async def totals(self, by: CostsBy, *, owner: str | None, days: int, limit: int) -> list[dict[str, Any]]:
        """Sums by one dimension over the last days, in USD; of all owners if `owner` is None."""
        self.flush()
        since = _day(time.time() - (days - 1) * 86400)
        found = await self._db.read(rows.totals, by, owner=owner, since=since, limit=limit)
        return [in_usd(row) for row in found]

    async def purge(self) -> None:
        """Delete rows older than `RUN_DAYS`, and sums older than `SUM_DAYS`."""
        runs_from, sums_from = (_day(time.time() - days * 86400) for days in (RUN_DAYS, SUM_DAYS))
        await self._db.write(rows.purge, runs_from, sums_from)


def _row(reservation_id: str, call: _OpenReservation) -> dict[str, Any]:
    """A reservation as a row of the database."""
    origin, provider, model, amount, opened_at = call
    accounts = [list(account) for account in _accounts(origin, provider, model)]
    return {"id": reservation_id, "opened_at": opened_at, "accounts": accounts, "amount": amount}


def _accounts(origin: CallAttribution, provider: Provider, model: str) -> list[rows.UsageAccount]:
    """The rows that a call is counted in: its run's, and one for each run above it."""
    if origin.services:
        service = origin.services[0]
    else:
        service = ""
    dimensions = (today(), origin.owner, service, origin.key_id)
    return [
        _account(*dimensions, run_id, depth > 0, provider, model[:200])
        for depth, run_id in enumerate(origin.runs or ("",))
    ]


_account = lru_cache(maxsize=1024)(rows.UsageAccount)
"""The same row for all calls of a run."""


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
    # The run's own cost is that of its machines.
    cost = sum(row["cost"] for row in found) / USD + (run.usage.get("cost") or 0)
    costs = {"cost": round(cost, 12), "models": models}
    return run.model_copy(update={"usage": run.usage | costs})


def in_usd(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row of sums with `cost` in USD."""
    counts = {name: int(row[name]) for name in COUNTERS}
    return dict(row) | counts | {"cost": round(counts["cost"] / USD, 12)}


def _day(at: float) -> str:
    return _day_text(int(at) // 86400)


# Asked for every call, and the same all day.
@lru_cache(maxsize=8)
def _day_text(number: int) -> str:
    return datetime.fromtimestamp(number * 86400, UTC).strftime("%Y-%m-%d")


def today() -> str:
    """Today's date in UTC, as the database stores it."""
    return _day(time.time())
