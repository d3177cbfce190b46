"""States of a home that are alerts while they last: budgets, the disk, memory, receivers of the audit trail that stay away,
and keys and secrets that expire.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from codewords_mcp.runtime.alerts.audit_receivers import AWAY_AFTER, update_receivers
from codewords_mcp.runtime.alerts.expiring import update_expiring
from codewords_mcp.runtime.alerts.notify import notify_raised, notify_resolved
from codewords_mcp.runtime.gateway.budgets import BudgetLevel, Budgets
from codewords_mcp.runtime.model.alert import AlertKind
from codewords_mcp.runtime.model.caller import HOME_OWNER
from codewords_mcp.runtime.model.disk_errors import DiskSpace
from codewords_mcp.runtime.model.plain_text import item
from codewords_mcp.runtime.runs import headroom
from codewords_mcp.runtime.store import alerts
from codewords_mcp.runtime.store.alerts import Failure
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

INTERVAL = 5.0
"""Seconds between looks at budgets while model calls are made under any."""
IDLE_INTERVAL = 30.0
DISK_INTERVAL = 30.0
KEYS_INTERVAL = 600.0
ENOUGH = 1.25
"""Memory is enough again from this multiple of the reserve on: it goes up and down all the time."""
LOW = 0.8
"""Part of a budget from which it counts as nearly spent."""
_BUDGET_KINDS: tuple[AlertKind, ...] = ("budget_low", "budget_spent")
_PARTS: tuple[tuple[AlertKind, float], ...] = (("budget_low", LOW), ("budget_spent", 1.0))


class Conditions:
    """Checks of states. `interval`: seconds until the next check is due."""

    def __init__(
        self,
        database: Database,
        budgets: Budgets,
        disk: DiskSpace,
        memory_reserve: int | None,
        audit_receivers: Sequence[str] = (),
        audit_away_after: float = AWAY_AFTER,
    ) -> None:
        self._db = database
        self._budgets = budgets
        self._disk = disk
        # Due at the first check, also where the monotonic clock began just now.
        self._disk_checked = -DISK_INTERVAL
        self._disk_is_low: bool | None = None
        self._memory_reserve = headroom.reserve_of(memory_reserve)
        self._memory_is_low: bool | None = None
        self._audit_receivers = audit_receivers
        self._audit_away_after = audit_away_after
        self._keys_checked = -KEYS_INTERVAL
        self._levels: list[BudgetLevel] = []
        self.interval = IDLE_INTERVAL

    async def check(self) -> bool:
        """Open the alerts of states that began, and resolve those of states that are over; whether any changed."""
        changed = await self._check_budgets()
        if time.monotonic() >= self._disk_checked + DISK_INTERVAL:
            self._disk_checked = time.monotonic()
            changed = await self._check_disk() or changed
            changed = await self._check_memory() or changed
            changed = (
                await self._db.write(update_receivers, self._audit_receivers, self._audit_away_after)
                or changed
            )
        if time.monotonic() >= self._keys_checked + KEYS_INTERVAL:
            self._keys_checked = time.monotonic()
            changed = await self._db.write(update_expiring) or changed
        return changed

    async def _check_budgets(self) -> bool:
        levels = await self._budgets.levels()
        self.interval = IDLE_INTERVAL if levels is None else INTERVAL
        if levels is None or levels == self._levels:
            return False
        changed = await self._db.write(_update_budgets, levels)
        # Noted after the write, so that a write that failed is tried again at the next check.
        self._levels = levels
        return changed

    async def _check_disk(self) -> bool:
        low = await asyncio.to_thread(self._disk.is_nearly_full)
        if low == self._disk_is_low:
            return False
        changed = await self._db.write(_update_disk, low=low, where=str(self._disk.folder))
        self._disk_is_low = low
        return changed

    async def _check_memory(self) -> bool:
        remaining = await asyncio.to_thread(headroom.available)
        # Not every system tells it.
        if remaining is None or not self._memory_reserve:
            return False
        enough = self._memory_reserve * (ENOUGH if self._memory_is_low else 1)
        low = remaining < enough
        if low == self._memory_is_low:
            return False
        changed = await self._db.write(_update_memory, low=low, reserve=self._memory_reserve)
        self._memory_is_low = low
        return changed


def _update_budgets(connection: Connection, levels: Sequence[BudgetLevel]) -> bool:
    known = {(row["owner"], row["subject"]): row for row in alerts.unresolved_of(connection, _BUDGET_KINDS)}
    changed = False
    for level in levels:
        for kind, part in _PARTS:
            failure = _describe_level(level, kind)
            place = (failure.owner, failure.subject)
            row = known.get(place)
            # A budget of 0 is told with the first call that it refuses, not as soon as it is set.
            holds = 0 < level.limit * part <= level.spent or (kind == "budget_spent" and level.refused)
            if row is not None and _is_refused_still(row["detail"], level):
                holds = True
            # A new day or month begins with an account of its own.
            if row is not None and (not holds or row["detail"].get("since") != level.since):
                notify_resolved(connection, failure.owner, alerts.resolve_subject(connection, *place, now()))
                changed = True
            if holds:
                changed = _hold(connection, failure) or changed
    return changed


def _is_refused_still(detail: Mapping[str, Any], level: BudgetLevel) -> bool:
    """Whether a call was refused under the same budget before: smaller ones may still pass."""
    return bool(detail.get("refused")) and (detail["since"], detail["limit"]) == (level.since, level.limit)


def _describe_level(level: BudgetLevel, kind: AlertKind) -> Failure:
    if level.scope == "home":
        of = "the home"
    else:
        of = f"the {level.scope} {item(level.subject)}"
    period = {"total": "", "day": " for today (UTC)", "month": " for this month (UTC)"}[level.period]
    if kind == "budget_low":
        title, then = f"The budget of {of}{period} is nearly spent", "Calls that would exceed it are refused."
    else:
        title, then = f"The budget of {of}{period} is spent", "Model calls under it are refused."
    workflow = level.subject if level.scope == "workflow" else None
    return Failure(
        HOME_OWNER,
        kind,
        f"{kind}/{level.scope}/{level.subject}/{level.period}"[:240],
        title,
        f"{level.spent:.4g} of {level.limit:.4g} USD are spent. {then}",
        now(),
        service_id=workflow,
        detail={"since": level.since, "limit": level.limit, "refused": level.refused},
    )


def _update_disk(connection: Connection, *, low: bool, where: str) -> bool:
    if not low:
        ids = alerts.resolve_subject(connection, HOME_OWNER, "disk_low", now())
        notify_resolved(connection, HOME_OWNER, ids)
        return bool(ids)
    failure = Failure(
        HOME_OWNER,
        "disk_low",
        "disk_low",
        "The disk of the home is nearly full",
        f"Free some space on the disk that holds {where}: without it runs fail and nothing is stored.",
        now(),
    )
    return _hold(connection, failure)


def _update_memory(connection: Connection, *, low: bool, reserve: int) -> bool:
    if not low:
        ids = alerts.resolve_subject(connection, HOME_OWNER, "memory_low", now())
        notify_resolved(connection, HOME_OWNER, ids)
        return bool(ids)
    failure = Failure(
        HOME_OWNER,
        "memory_low",
        "memory_low",
        "The memory of the machine is nearly full",
        f"Less than {reserve >> 20} MiB are left, which CODEWORDS_MEMORY_RESERVE keeps free: new runs wait, then are refused.",
        now(),
    )
    return _hold(connection, failure)


def _hold(connection: Connection, failure: Failure) -> bool:
    """Open the alert of a state that lasts; whether it was not open before."""
    raised = alerts.hold(connection, failure)
    if raised is not None:
        notify_raised(connection, [raised])
    return raised is not None
