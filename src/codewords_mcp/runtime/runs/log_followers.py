"""Followers of logs. Followers of the same log share each read of the store and the encoded lines."""

from __future__ import annotations

import asyncio
import functools
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
    """The result of one read. `over`: no line will come; `more`: more lines are stored already."""

    batch: LogBatch | None
    next_seq: int
    over: bool
    more: bool


@dataclass(slots=True)
class _FollowedLog:
    """A log with followers. `reads` are the reads of the store in progress, by the seq that they begin at."""

    followers: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    reads: dict[int, asyncio.Task[_Seen]] = field(default_factory=dict[int, asyncio.Task[_Seen]])


class LogFollowers:
    """The logs that somebody follows here. `is_live` tells of those that grow in this process."""

    def __init__(self, database: Database, is_live: Callable[[str], bool]) -> None:
        self._db = database
        self._is_live = is_live
        self._followed: dict[str, _FollowedLog] = {}

    @property
    def followed_runs(self) -> list[str]:
        """Runs whose log somebody follows."""
        return list(self._followed)

    def has_any(self, run_id: str) -> bool:
        """Whether somebody follows this log here."""
        return run_id in self._followed

    def wake(self, run_id: str) -> None:
        """Let followers of this run look again."""
        if followed_log := self._followed.get(run_id):
            # A read that goes on may have missed what this is about.
            followed_log.reads = {}
            followed_log.changed.set()
            followed_log.changed = asyncio.Event()

    async def follow(
        self, run_id: str, *, after: str | None, follow: bool, has_ended: Callable[[Connection], bool]
    ) -> AsyncIterator[LogBatch | None]:
        """Lines later than `after`; None as heartbeat. `ended` tells, in a thread, whether the run's record is final."""
        if after:
            seq = await self._db.read(logs.seq_at, run_id, after)
        else:
            seq = 0

        followed_log = self._followed.setdefault(run_id, _FollowedLog())
        followed_log.followers += 1
        try:
            while True:
                # Taken before the read, so that a line which is stored during it wakes this
                # follower.
                changed = followed_log.changed
                seen = await self._read(followed_log, run_id, seq, has_ended)
                seq = seen.next_seq
                if seen.batch is not None and (batch := seen.batch.after(after)).lines:
                    yield batch
                if seen.more:
                    continue
                if seen.over or not follow:
                    return

                if not await _is_set_within(changed, HEARTBEAT):
                    yield None
        finally:
            followed_log.followers -= 1
            if not followed_log.followers:
                del self._followed[run_id]

    async def _read(
        self, followed_log: _FollowedLog, run_id: str, seq: int, has_ended: Callable[[Connection], bool]
    ) -> _Seen:
        """The lines from `seq` on; one read for all followers that are at the same line."""
        task = followed_log.reads.get(seq)
        if task is None:
            reads = followed_log.reads
            task = reads[seq] = asyncio.create_task(self._load(run_id, seq, has_ended))
            # With the dict that it was put into: `wake` gives the log a new one.
            task.add_done_callback(functools.partial(_read_done, reads, seq))
        # Other followers wait for the same read.
        return await asyncio.shield(task)

    async def _load(self, run_id: str, seq: int, has_ended: Callable[[Connection], bool]) -> _Seen:
        live = self._is_live(run_id)

        def load(connection: Connection) -> _Seen:
            over = not live and has_ended(connection)  # first: what is stored by then is all there is
            lines, next_seq, more = logs.read(connection, run_id, from_seq=seq)
            return _Seen(LogBatch(lines) if lines else None, next_seq, over, more)

        return await self._db.read(load)


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


async def _is_set_within(event: asyncio.Event, max_wait: float) -> bool:
    """Whether the event is set within `max_wait` seconds."""
    try:
        async with asyncio.timeout(max_wait):
            return await event.wait()
    except TimeoutError:
        return False


def _read_done(reads: dict[int, Any], seq: int, done: asyncio.Task[_Seen]) -> None:
    del reads[seq]
    if not done.cancelled():
        done.exception()  # a waiting follower has it; asyncio need not complain if there is none
