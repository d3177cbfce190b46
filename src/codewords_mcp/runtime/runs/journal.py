"""The logs of runs: written line by line while a run lives, readable at once, stored in chunks."""

from __future__ import annotations

import asyncio
import codecs
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection

from codewords_mcp.runtime.models import LogLine, Step
from codewords_mcp.runtime.sandboxes.base import STREAMS, Stream
from codewords_mcp.runtime.store import logs, runs
from codewords_mcp.runtime.store.clock import from_text, now, to_datetime, to_text
from codewords_mcp.runtime.store.database import Database

FLUSH_DELAY = 0.03
"""Seconds that lines are gathered before they are written in one transaction."""
HEARTBEAT = 5.0
"""Seconds between the None items of a followed log."""
GAP = 1000
"""µs between two lines at the least: one public client compares at millisecond precision and drops equal stamps."""
MAX_LINE = 64 << 10
"""Characters of one line; longer ones are cut into several."""
MAX_STEPS = 500
MAX_DESTINATIONS = 200
LOST = "[lines are missing here: they could not be stored]"
_TURNS = 4
"""Turns of the event loop from a readable pipe to a line: reader, queue, pump."""

_STEP = re.compile(r"STEPLOG START ([\w.:\-]{1,100})")
Batch = list[tuple[str, int, list[logs.Line]]]
"""Run id, seq of the first line, lines."""
_Seen = tuple[bool, list[LogLine], int]
"""Whether the run is over, lines, the next seq."""


class RunLog:
    """The log of one live run. `write` takes raw output; the journal stores it soon after."""

    def __init__(self, journal: Journal, run_id: str, max_bytes: int) -> None:
        self._journal = journal
        self.run_id = run_id
        self.steps: list[Step] = []
        self._reached: dict[tuple[str, int, bool], int] = {}
        self._secrets: dict[tuple[str, str], int] = {}
        self._refused: dict[tuple[str, str], int] = {}
        self.refusals: dict[str, int] = {}
        """Calls that the workflow's manifest does not list, by the sentence that was answered, and how many."""
        self.pending: list[logs.Line] = []
        self.next_seq = 0
        self._room = max_bytes
        self._last = 0
        self._decoders = {s: codecs.getincrementaldecoder("utf-8")("replace") for s in STREAMS}
        self._partial = dict.fromkeys(self._decoders, "")

    def write(self, stream: Stream, data: bytes) -> None:
        """Add output; a line is stored when it is whole, or at the end."""
        if self._room < 0:
            return
        text = self._partial[stream] + self._decoders[stream].decode(data)
        *lines, rest = text.split("\n")
        for line in lines:
            self._add(stream, line.removesuffix("\r"))
        while len(rest) > MAX_LINE:
            self._add(stream, rest[:MAX_LINE])
            rest = rest[MAX_LINE:]
        self._partial[stream] = rest

    def after(self, last: str | None) -> None:
        """Lines of before end at this time: those to come are later, whatever the clock says."""
        if last is not None:
            self._last = from_text(last)

    def say(self, message: str) -> None:
        """A line of the platform's own."""
        self.write("platform", message.encode() + b"\n")

    def refused(self, sentence: str) -> None:
        """Note a call that was refused; the first of its kind is told in the log."""
        if sentence not in self.refusals:
            self.say(sentence)
        if sentence in self.refusals or len(self.refusals) < MAX_DESTINATIONS:
            self.refusals[sentence] = self.refusals.get(sentence, 0) + 1

    def reached(self, host: str, port: int, *, allowed: bool) -> None:
        """Count an attempt to connect; destinations are bounded."""
        one = (host, port, allowed)
        if one in self._reached or len(self._reached) < MAX_DESTINATIONS:
            self._reached[one] = self._reached.get(one, 0) + 1

    def asked(self, host: str, secrets: tuple[str, ...], refused: str) -> None:
        """Count a request with secrets, or one that was refused; both are bounded."""
        counts, ones = (
            (self._refused, [(host, refused)]) if refused else (self._secrets, [(n, host) for n in secrets])
        )
        for one in ones:
            if one in counts or len(counts) < MAX_DESTINATIONS:
                counts[one] = counts.get(one, 0) + 1

    @property
    def requests(self) -> dict[str, Any]:
        """{"secrets": [{name, host, count}], "refused": [{host, reason, count}]}: which values went where, and what did
        not go out. Each is left out where there is none.
        """
        secrets = [{"name": name, "host": host, "count": n} for (name, host), n in self._secrets.items()]
        refused = [{"host": host, "reason": why, "count": n} for (host, why), n in self._refused.items()]
        return ({"secrets": secrets} if secrets else {}) | ({"refused": refused} if refused else {})

    @property
    def destinations(self) -> list[dict[str, Any]]:
        """[{host, port, allowed, count}] of what the workflow connected to, or tried to."""
        return [
            {"host": host, "port": port, "allowed": allowed, "count": count}
            for (host, port, allowed), count in self._reached.items()
        ]

    def settled(self) -> None:
        """The run's record is final."""
        self._journal.wake(self.run_id)
        self._journal.settled(self.run_id)

    async def flush(self) -> None:
        """Store what the program wrote until now, as far as it has come through its pipes."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        self._journal.flush()

    def end(self) -> None:
        """Store last lines that had no newline."""
        for stream in STREAMS:
            rest = self._partial[stream] + self._decoders[stream].decode(b"", final=True)
            self._partial[stream] = ""
            if rest:
                self._add(stream, rest)

    def _add(self, stream: Stream, message: str) -> None:
        if self._room < 0:
            return
        self._room -= len(message.encode()) + 1
        if self._room < 0:
            stream, message = "platform", "[log cut here: this run wrote more than CODEWORDS_MAX_LOG_BYTES]"
        self._last = max(now(), self._last + GAP)
        message = message.replace("\x00", "\ufffd")
        self.pending.append((to_text(self._last), stream, message))
        if "STEPLOG" in message and len(self.steps) < MAX_STEPS and (step := _STEP.search(message)):
            self.steps.append(Step(id=step[1], at=to_datetime(self._last)))
        self._journal.touch(self)


class Journal:
    """All logs of the home."""

    def __init__(self, database: Database, max_bytes: int) -> None:
        self._db = database
        self._max_bytes = max_bytes
        self._live: dict[str, RunLog] = {}
        self._changed: dict[str, asyncio.Event] = {}
        self._looks: dict[str, dict[int, asyncio.Task[_Seen]]] = {}
        """Looks at the store that go on, by run and the seq that they begin at: who follows the same log shares them."""
        self._dirty: dict[str, RunLog] = {}
        self._gaps: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.holder: str | None = None
        """Where several processes share the store, this one's name: the logs of runs that it does not hold are another's."""
        self.listener: Callable[[str], None] | None = None
        """Told of each run whose log or record changed, where other processes want to know."""

        self.settled: Callable[[str], None] = lambda _run_id: None
        """Told of each run whose record is final."""

    @property
    def awaited(self) -> list[str]:
        """Runs whose log somebody follows."""
        return list(self._changed)

    def open(self, run_id: str, next_seq: int = 0, last: str | None = None) -> RunLog:
        """Start the log of a run, or go on with it after its last line; its row must exist."""
        run_log = self._live[run_id] = RunLog(self, run_id, self._max_bytes)
        run_log.next_seq = next_seq
        run_log.after(last)
        return run_log

    def touch(self, run_log: RunLog) -> None:
        """Lines are waiting: write them soon."""
        self._dirty[run_log.run_id] = run_log
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_DELAY, self.flush)

    def close(self, run_log: RunLog) -> None:
        """Write the rest and let followers end."""
        run_log.end()
        self.flush()
        self._live.pop(run_log.run_id, None)
        self.tell(run_log.run_id)

    def live(self, run_id: str) -> RunLog | None:
        """The log of a run, as long as lines may come."""
        return self._live.get(run_id)

    def is_live(self, run_id: str) -> bool:
        """Whether lines may still come."""
        return run_id in self._live

    def wake(self, run_id: str) -> None:
        """Let followers of this run look again."""
        self._looks.pop(run_id, None)  # it may have missed what is told of now: whoever comes looks anew
        event = self._changed.pop(run_id, None)
        if event:
            event.set()

    def tell(self, run_id: str) -> None:
        """Let followers look again, those of other processes too."""
        self.wake(run_id)
        if self.listener is not None:
            self.listener(run_id)

    def flush(self) -> None:
        """Hand every waiting line to the store; whoever reads from now on sees it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._dirty:
            return
        batch: Batch = []
        for run_log in self._dirty.values():
            batch.append((run_log.run_id, run_log.next_seq, run_log.pending))
            run_log.next_seq += len(run_log.pending)
            run_log.pending = []
        self._dirty.clear()
        # not awaited: a log line is the one thing that may be lost, when the disk is full; runs go on
        stored = self._db.write_soon(lambda c: _store(c, batch, self.holder))
        stored.add_done_callback(lambda done: self._tell_lost(batch) if done.exception() else None)
        for run_id, _, _ in batch:
            self.tell(run_id)

    def _tell_lost(self, batch: Batch) -> None:
        """Once the store takes it, each log that lines were lost of says so in their place."""
        for run_id, seq, lines in batch:
            if not lines or run_id in self._gaps:
                continue
            self._gaps.add(run_id)
            gap: Batch = [(run_id, seq, [(lines[0][0], "platform", LOST)])]
            told = self._db.write_soon(lambda c, gap=gap: _store(c, gap, self.holder), keep=True)
            told.add_done_callback(lambda _, one=run_id: self._gaps.discard(one))

    async def follow(
        self, run_id: str, *, after: str | None, follow: bool, ended: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[LogLine | None]:
        """Lines later than `after`; None as heartbeat. `ended` tells whether the run is over."""
        seq = 0
        while True:
            event = self._changed.setdefault(run_id, asyncio.Event())
            done, lines, seq = await self._look(run_id, seq, ended)
            done = done or not follow
            for line in lines:
                if after is None or line.created_at > after:
                    yield line
            if lines:
                continue
            if done:
                self._changed.pop(run_id, None) if not self.is_live(run_id) else None
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), HEARTBEAT)
                continue
            yield None

    async def _look(self, run_id: str, seq: int, ended: Callable[[], Awaitable[bool]]) -> _Seen:
        """What there is from `seq` on; one look for all who want the same at the same time."""

        async def look() -> _Seen:
            done = not self.is_live(run_id) and await ended()
            return (done, *await self._db.read(lambda c: logs.read(c, run_id, from_seq=seq)))

        looks = self._looks.setdefault(run_id, {})
        task = looks.get(seq)
        if task is None:
            task = looks[seq] = asyncio.create_task(look())
            task.add_done_callback(lambda done: self._looked(run_id, looks, seq, done))
        return await asyncio.shield(task)

    def _looked(self, run_id: str, looks: dict[int, Any], seq: int, done: asyncio.Task[_Seen]) -> None:
        del looks[seq]
        if not looks and self._looks.get(run_id) is looks:
            del self._looks[run_id]
        if not done.cancelled():
            done.exception()  # whoever waits has it; asyncio need not complain where nobody does any more


def _store(connection: Connection, batch: Batch, holder: str | None) -> None:
    held = None if holder is None else runs.held(connection, [run_id for run_id, _, _ in batch], holder)
    for run_id, first_seq, lines in batch:
        if lines and (held is None or run_id in held):
            logs.append(connection, run_id, first_seq, lines)
