"""Quotas of owners as they hold for new runs and files.

They are few and read often, so all are in memory. Replicas share them: each reads them again after a second.
"""

from __future__ import annotations

import time
from typing import Final

from sqlalchemy import Connection

from codewords_mcp.errors import QuotaExceeded, StorageQuotaExceeded
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.model.caller import HOME_OWNER
from codewords_mcp.runtime.model.quota import EACH, OwnerQuota, QuotaLimits, QuotaUse, StoredBytes
from codewords_mcp.runtime.runs.stored_data import StoredData
from codewords_mcp.runtime.store import quotas as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.storage_room import StorageRoom

REFRESH_INTERVAL: Final = 1.0
"""Seconds after which a quota that another replica changed holds here too."""
_NONE: Final = QuotaLimits()
_HOUR: Final = 3600
_WINDOWS: Final = (("runs_per_hour", _HOUR, "hour"), ("runs_per_day", 24 * _HOUR, "day"))


class OwnerQuotas:
    """The quotas of all owners of the database. `memory_limit`: bytes that one sandbox may take."""

    def __init__(self, database: Database, memory_limit: int, stored: StoredData) -> None:
        self._db = database
        self._stored = stored
        self._memory_limit = memory_limit
        self._limits = _by_owner(database.write_blocking(rows.every))
        self._as_of = time.monotonic()

    def of(self, owner: str) -> QuotaLimits:
        """The limits of an owner, as they were at the last `refresh`."""
        default = _NONE if owner == HOME_OWNER else self._limits.get(EACH, _NONE)
        return self._limits.get(owner, default)

    def concurrency(self, owner: str) -> int | None:
        """Runs that an owner may have at once, as many as have the memory of its quota; None for no quota."""
        limits = self.of(owner)
        bounds = [] if limits.concurrency is None else [limits.concurrency]
        if limits.memory is not None:
            bounds.append(max(1, limits.memory // self._memory_limit))
        return min(bounds, default=None)

    def bounds_runs(self, owner: str) -> bool:
        """Whether the quota of an owner bounds how many runs begin within a time."""
        limits = self.of(owner)
        return any(getattr(limits, name) is not None for name, _, _ in _WINDOWS)

    async def refresh(self) -> None:
        """Read the quotas again where another replica may have changed them."""
        if self._db.shared and time.monotonic() - self._as_of > REFRESH_INTERVAL:
            await self._read()

    async def list(self) -> list[OwnerQuota]:
        """All quotas, with what is used of them."""
        found = await self._read()
        return [
            quota if quota.owner == EACH else quota.model_copy(update={"used": await self.used(quota.owner)})
            for quota in found
        ]

    async def used(self, owner: str) -> QuotaUse:
        """The runs and bytes that count against the quota of an owner now."""
        stored = await self._stored.of(owner)
        return await self._db.read(self._used, owner, stored)

    async def set(self, owner: str, limits: QuotaLimits) -> None:
        """Set or replace the quota of an owner, which holds from the next run on."""
        await self._db.write(rows.put, owner, limits, now())
        await self._read()

    async def remove(self, owner: str) -> bool:
        """Remove the quota of an owner; False if there was none."""
        removed = await self._db.write(rows.remove, owner)
        await self._read()
        return removed

    def runs_refusal(self, connection: Connection, owner: str) -> QuotaExceeded | None:
        """The error for one more run of this owner, in the transaction that records it; None where it may begin."""
        if not self.bounds_runs(owner):
            return None

        rows.lock_runs(connection, owner)
        limits, at = self.of(owner), now()
        for name, seconds, of in _WINDOWS:
            most: int | None = getattr(limits, name)
            if most is None or rows.runs_since(connection, owner, at - seconds * 1_000_000) < most:
                continue
            # As soon as the oldest of those that fill the window is out of it.
            oldest = rows.nth_newest(connection, owner, most - 1) if most else None
            wait = seconds if oldest is None else max(1, -(-(oldest + seconds * 1_000_000 - at) // 1_000_000))
            return QuotaExceeded(
                f"{owner} has begun {most} runs within the last {of}, which is its quota.",
                retry_after=wait, limit="owner", hint=f"One more may begin in {wait} s.",
                remedy=Remedy(RemedyAction.CHANGE_QUOTA, {"owner": owner}),
            )  # fmt: skip
        return None

    async def storage_room(self, owner: str) -> StorageRoom | None:
        """The room for what an owner may still store; None for no quota."""
        await self.refresh()
        most = self.of(owner).storage
        if most is None:
            return None
        return StorageRoom(owner, most, await self._stored.of(owner))

    async def full_storage(self, owner: str) -> StorageQuotaExceeded | None:
        """The error for whatever would store more, where the quota of an owner is used up."""
        room = await self.storage_room(owner)
        return None if room is None or room.free else room.refusal()

    async def _read(self) -> list[OwnerQuota]:
        found = await self._db.read(rows.every)
        self._limits, self._as_of = _by_owner(found), time.monotonic()
        return found

    def _used(self, connection: Connection, owner: str, stored: StoredBytes) -> QuotaUse:
        at = now()
        running, waiting = rows.active_runs(connection, owner)
        return QuotaUse(
            concurrency=running,
            queue_limit=waiting,
            runs_per_hour=rows.runs_since(connection, owner, at - _HOUR * 1_000_000),
            runs_per_day=rows.runs_since(connection, owner, at - 24 * _HOUR * 1_000_000),
            memory=running * self._memory_limit,
            storage=stored.total(),
            stored=stored,
        )


def _by_owner(found: list[OwnerQuota]) -> dict[str, QuotaLimits]:
    return {quota.owner: quota.limits for quota in found}
