"""Who follows logs: those that follow the same one share each look at the store, and what is made of its lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from codewords_mcp.runtime.model.log_batch import LogBatch
from codewords_mcp.runtime.model.run import LogLine
from codewords_mcp.runtime.store import logs
from codewords_mcp.runtime.store.database import Database

HEARTBEAT = 5.0
"""Seconds between the None items of a followed log."""


@dataclass(slots=True, frozen=True)
class _Seen:
    """What a look found. `over`: no line will come; `more`: there are more of them already."""

    batch: LogBatch | None
    next_seq: int
    over: bool
    more: bool


@dataclass(slots=True)
class _Tail:
    """One log that is followed. `looks` at the store that go on, by the seq that they begin at."""

    followers: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    looks: dict[int, asyncio.Task[_Seen]] = field(default_factory=dict[int, asyncio.Task[_Seen]])


class Tails:
    """The logs that somebody follows here. `is_live` tells of those that grow in this process."""

    def __init__(self, database: Database, is_live: Callable[[str], bool]) -> None:
        self._db = database
        self._is_live = is_live
        self._tails: dict[str, _Tail] = {}

    @property
    def followed(self) -> list[str]:
        """Runs whose log somebody follows."""
        return list(self._tails)

    def wake(self, run_id: str) -> None:
        """Let followers of this run look again."""
        if tail := self._tails.get(run_id):
            tail.looks = {}  # those that go on may have missed what is told of now
            tail.changed.set()
            tail.changed = asyncio.Event()

    async def follow(
        self, run_id: str, *, after: str | None, follow: bool, ended: Callable[[Connection], bool]
    ) -> AsyncIterator[LogBatch | None]:
        """Lines later than `after`; None as heartbeat. `ended` tells, in a thread, whether the run's record is final."""
        if after:
            seq = await self._db.read(logs.seq_at, run_id, after)
        else:
            seq = 0

        tail = self._tails.setdefault(run_id, _Tail())
        tail.followers += 1
        try:
            while True:
                changed = tail.changed
                seen = await self._look(tail, run_id, seq, ended)
                seq = seen.next_seq
                if seen.batch is not None and (batch := seen.batch.after(after)).lines:
                    yield batch
                if seen.more:
                    continue
                if seen.over or not follow:
                    return

                if not await _within(changed, HEARTBEAT):
                    yield None
        finally:
            tail.followers -= 1
            if not tail.followers:
                del self._tails[run_id]

    async def _look(self, tail: _Tail, run_id: str, seq: int, ended: Callable[[Connection], bool]) -> _Seen:
        """What there is from `seq` on; one look for all who want the same at the same time."""
        task = tail.looks.get(seq)
        if task is None:
            looks = tail.looks
            task = looks[seq] = asyncio.create_task(self._see(run_id, seq, ended))
            task.add_done_callback(lambda done: _looked(looks, seq, done))
        return await asyncio.shield(task)

    async def _see(self, run_id: str, seq: int, ended: Callable[[Connection], bool]) -> _Seen:
        live = self._is_live(run_id)

        def see(connection: Connection) -> _Seen:
            over = not live and ended(connection)  # first: what is stored by then is all there is
            lines, next_seq, more = logs.read(connection, run_id, from_seq=seq)
            return _Seen(LogBatch(lines) if lines else None, next_seq, over, more)

        return await self._db.read(see)


def by_line(batches: AsyncIterator[LogBatch | None]) -> AsyncIterator[LogLine | None]:
    """The same, line by line."""

    async def lines() -> AsyncIterator[LogLine | None]:
        async for batch in batches:
            if batch is None:
                yield None
            else:
                for line in batch.lines:
                    yield logs.log_line(line)

    return lines()


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Whether it is set before so long."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _looked(looks: dict[int, Any], seq: int, done: asyncio.Task[_Seen]) -> None:
    del looks[seq]
    if not done.cancelled():
        done.exception()  # whoever waits has it; asyncio need not complain where nobody does any more
