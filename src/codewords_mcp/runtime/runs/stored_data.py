"""Bytes that owners store, measured when they are asked for and the last measurement is old. Nobody waits for one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.model.quota import StoredBytes
from codewords_mcp.runtime.store import owner_storage
from codewords_mcp.runtime.store.clock import now, to_datetime
from codewords_mcp.runtime.store.database import Database

INTERVAL: Final = 60.0
"""Seconds for which a measurement counts, at the least."""
_SHARE: Final = 100
"""Seconds without a measurement for each second that the last one took."""
log = structlog.get_logger(__name__)


class StoredData:
    """The sums of all owners. `database_bytes` measures the workflows' own databases of one owner."""

    def __init__(
        self,
        database: Database,
        database_bytes: Callable[[str], Awaitable[int]],
        *,
        interval: float = INTERVAL,
    ) -> None:
        self._db = database
        self._database_bytes = database_bytes
        self._interval = interval
        self._measuring: dict[str, asyncio.Task[None]] = {}
        self._not_before: dict[str, float] = {}

    async def of(self, owner: str) -> StoredBytes:
        """Bytes by kind, as last measured; files as they are. An old measurement makes the next one begin."""
        measured, file_bytes = await self._db.read(owner_storage.read, owner)
        if measured is None or now() - measured.at >= self._interval * 1e6:
            self._begin(owner)
        if measured is None:
            return StoredBytes(files=file_bytes)
        # A replica of another release may have measured kinds that are not known here.
        known = {kind: size for kind, size in measured.bytes.items() if kind in StoredBytes.model_fields}
        return StoredBytes(**known, files=file_bytes, measured_at=to_datetime(measured.at))

    async def close(self) -> None:
        """Cancel the measurements that go on."""
        # A measurement that is lost is made again by the next question.
        for task in list(self._measuring.values()):
            task.cancel()
        await asyncio.gather(*self._measuring.values(), return_exceptions=True)

    def _begin(self, owner: str) -> None:
        # Also after a failure: a database that is away is not asked at each call.
        if owner in self._measuring or time.monotonic() < self._not_before.get(owner, 0.0):
            return
        task = self._measuring[owner] = asyncio.create_task(self._measure(owner))
        # Held until it ends: the loop itself keeps no reference to a task.
        task.add_done_callback(lambda _: self._measuring.pop(owner, None))

    async def _measure(self, owner: str) -> None:
        began = time.monotonic()
        try:
            # A transaction for each kind, so that none is open for long.
            sizes = {
                kind: await self._db.read(owner_storage.measure, owner, kind)
                for kind in owner_storage.MEASURED
            }
            sizes["databases"] = await self._database_bytes(owner)
            await self._db.write(owner_storage.put, owner, sizes, now())
        except CodewordsError as error:
            log.warning("what an owner stores was not measured", owner=owner, reason=error.message)
        seconds = time.monotonic() - began
        self._not_before[owner] = time.monotonic() + max(self._interval, _SHARE * seconds)
