"""The logs of runs: written while a run lives, stored in chunks soon after, and told of to who follows them."""

from __future__ import annotations

import asyncio
import codecs
import re
from itertools import accumulate
from typing import NamedTuple

from sqlalchemy import Connection

from codewords_mcp.common.bounded_json import JsonObject
from codewords_mcp.runtime.model.events import EventBus, RunChanged, RunLogGrew
from codewords_mcp.runtime.model.log_text import Line
from codewords_mcp.runtime.model.run import Step
from codewords_mcp.runtime.runs.log_followers import LogFollowers
from codewords_mcp.runtime.sandboxes.base import STREAMS, Stream
from codewords_mcp.runtime.store import logs, runs
from codewords_mcp.runtime.store.clock import from_text, now, rising_texts, to_datetime
from codewords_mcp.runtime.store.database import Database

FLUSH_DELAY = 0.03
"""Seconds that lines are gathered before they are written in one transaction."""
FIRST_DELAY = 0.005
"""The same for a log that somebody follows, where nothing was written for that long."""
SETTLED_DELAY = 0.15
"""The same after a run's response: its server says within 0.1 s in several lines that it ends."""
GAP = 1000
"""µs between two lines at the least: one public client compares at millisecond precision and drops equal stamps."""
CUT = "[log cut here: this run wrote more than CODEWORDS_MAX_LOG_BYTES]"
MAX_LINE = 64 << 10
"""Characters of one line; longer ones are cut into several."""
MAX_STEPS = 500
MAX_DESTINATIONS = 200
LOST = "[lines are missing here: they could not be stored]"
_TURNS = 4
"""Turns of the event loop from a readable pipe to a line: reader, queue, pump."""

_STEP = re.compile(r'STEPLOG START ([^\W_][^"\x00-\x1f\x7f]{0,300})')
_AFTER_STEP = re.compile(r"\\|\s{2,}|\s+[A-Za-z_]\w*=")
"""End of a step's name in a line: the end of a JSON string or an escape in it, the padding or the fields of a logger."""
_STEP_NAME = 100


class Destination(NamedTuple):
    """A destination of connections, how many there were. `why`: the last refusal or failure."""

    host: str
    port: int
    allowed: bool
    connections: int
    why: str

    def as_json(self) -> JsonObject:
        """The entry of the record."""
        entry: JsonObject = {
            "host": self.host,
            "port": self.port,
            "allowed": self.allowed,
            "count": self.connections,
        }
        if self.why:
            entry["why"] = self.why
        return entry


class RunLog:
    """The log of one live run. `write` takes raw output; the journal stores it soon after."""

    def __init__(self, journal: Journal, run_id: str, max_bytes: int) -> None:
        self._journal = journal
        self.run_id = run_id
        self.steps: list[Step] = []
        self._reached: dict[tuple[str, int, bool], int] = {}
        self._why: dict[tuple[str, int], str] = {}
        self._secrets: dict[tuple[str, str], int] = {}
        self._refused: dict[tuple[str, str], int] = {}
        self.refusals: dict[str, int] = {}
        """Calls that the workflow's manifest does not list, by the sentence that was answered, and how many."""
        self.call_broken = False
        """The ending runtime broke off a call that the run had made: of a service, or of another workflow."""
        self.pending: list[Line] = []
        self.is_settled = False
        self.next_seq = 0
        self._remaining_bytes = max_bytes
        self._last = 0
        # A pipe may cut a character in two.
        self._decoders = {s: codecs.getincrementaldecoder("utf-8")("replace") for s in STREAMS}
        self._partial = dict.fromkeys(self._decoders, "")

    def write(self, stream: Stream, data: bytes) -> None:
        """Add output; a line is stored when it is whole, or at the end."""
        if self._remaining_bytes < 0:
            return

        # PostgreSQL stores no NUL in text.
        text = self._partial[stream] + self._decoders[stream].decode(data).replace("\x00", "\ufffd")
        *lines, rest = text.split("\n")
        if len(text) > MAX_LINE:
            lines = [piece for line in lines for piece in _pieces(line)]
            *more, rest = _pieces(rest)
            lines += more

        self._partial[stream] = rest
        if lines:
            self._add(stream, [line.removesuffix("\r") for line in lines] if "\r" in text else lines)

    def after(self, last: str | None) -> None:
        """Set the time of the last earlier line: new lines are later, even if the clock went back."""
        if last is not None:
            self._last = from_text(last)

    def write_platform_line(self, message: str) -> None:
        """A line of the platform's own."""
        self.write("platform", message.encode(errors="replace") + b"\n")

    def refused(self, sentence: str) -> None:
        """Count a refused call; the first of its kind is written to the log."""
        if sentence not in self.refusals:
            self.write_platform_line(sentence)
        # A program can name new targets without end, and this becomes a column of its record.
        if sentence in self.refusals or len(self.refusals) < MAX_DESTINATIONS:
            self.refusals[sentence] = self.refusals.get(sentence, 0) + 1

    def count_connection(self, host: str, port: int, *, allowed: bool, reason: str = "") -> None:
        """Count an attempt to connect, and keep why it was refused or failed last; destinations are bounded."""
        key = (host, port, allowed)
        if key in self._reached or len(self._reached) < MAX_DESTINATIONS:
            self._reached[key] = self._reached.get(key, 0) + 1
            if reason:
                self._why[host, port] = reason

    def count_request(self, host: str, secrets: tuple[str, ...], refused: str) -> None:
        """Count a request with secrets, or one that was refused; both are bounded."""
        counts, ones = (
            (self._refused, [(host, refused)]) if refused else (self._secrets, [(n, host) for n in secrets])
        )
        for key in ones:
            if key in counts or len(counts) < MAX_DESTINATIONS:
                counts[key] = counts.get(key, 0) + 1

    @property
    def requests(self) -> JsonObject:
        """{"secrets": [{name, host, count}], "refused": [{host, reason, count}]}: which values went where, and what did
        not go out. Each is left out where there is none.
        """
        found: JsonObject = {}
        if self._secrets:
            found["secrets"] = [
                {"name": name, "host": host, "count": n} for (name, host), n in self._secrets.items()
            ]
        if self._refused:
            found["refused"] = [
                {"host": host, "reason": why, "count": n} for (host, why), n in self._refused.items()
            ]
        return found

    @property
    def destinations(self) -> list[Destination]:
        """The destinations that the workflow connected to, or tried to."""
        return [
            Destination(host, port, allowed, count, self._why.get((host, port), ""))
            for (host, port, allowed), count in self._reached.items()
        ]

    def settled(self) -> None:
        """The run's record is final."""
        self.is_settled = True
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
                self._add(stream, [rest])

    def _add(self, stream: Stream, messages: list[str]) -> None:
        """Give lines their times and let them be stored; those that come at once cost little more than one."""
        if self._remaining_bytes < 0:
            return

        text = "\n".join(messages)
        cut = len(text.encode()) + 1 > self._remaining_bytes
        if cut:
            messages = self._fitting(messages)
            text = "\n".join(messages)

        if cut:
            self._remaining_bytes = -1
        else:
            self._remaining_bytes = self._remaining_bytes - len(text.encode()) - 1

        stamped = [(stream, message) for message in messages]
        if cut:
            stamped.append(("platform", CUT))
        # The clock may be put back, and followers ask for what is later than their last line.
        first = max(now(), self._last + GAP)
        self._last = first + GAP * (len(stamped) - 1)
        self.pending += [
            (at, *line) for at, line in zip(rising_texts(first, GAP, len(stamped)), stamped, strict=True)
        ]
        # One search in all of it spares an expression for each line.
        if "STEPLOG" in text:
            self._note_steps(messages, first)
        self._journal.touch(self)

    def _fitting(self, messages: list[str]) -> list[str]:
        """Return the messages that fit into the remaining bytes."""
        sizes = accumulate(len(message.encode()) + 1 for message in messages)
        return [
            message for message, size in zip(messages, sizes, strict=True) if size <= self._remaining_bytes
        ]

    def _note_steps(self, messages: list[str], first: int) -> None:
        for number, message in enumerate(messages):
            if len(self.steps) < MAX_STEPS and (step := _STEP.search(message)):
                self.steps.append(Step(id=_step_name(step[1]), at=to_datetime(first + GAP * number)))


def _step_name(text: str) -> str:
    """The name at the beginning of the rest of a line, whole, also with blanks: `item 3 of 36`."""
    return _AFTER_STEP.split(text, maxsplit=1)[0].strip()[:_STEP_NAME]


def _pieces(line: str) -> list[str]:
    """Cut a line that is too long. Returns at least one piece."""
    return [line[start : start + MAX_LINE] for start in range(0, len(line), MAX_LINE)] or [""]


class Journal:
    """All logs of the home that grow in this process. `followers` has the readers of these and of other logs."""

    def __init__(
        self, database: Database, max_bytes: int, events: EventBus, *, holder: str | None = None
    ) -> None:
        self._db = database
        self._events = events
        self._max_bytes = max_bytes
        self._live: dict[str, RunLog] = {}
        self.followers = LogFollowers(database, self.is_live)
        self._dirty: dict[str, RunLog] = {}
        self._gaps: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.flush_at = 0.0
        """When waiting lines are written, by the loop's clock."""
        self._flushed = 0.0
        self._holder = holder
        """This process's name if several share the store: the logs of runs that it does not hold are another's."""

    def open(self, run_id: str, next_seq: int = 0, last: str | None = None) -> RunLog:
        """Start the log of a run, or go on with it after its last line; its row must exist."""
        run_log = self._live[run_id] = RunLog(self, run_id, self._max_bytes)
        run_log.next_seq = next_seq
        run_log.after(last)
        return run_log

    def touch(self, run_log: RunLog) -> None:
        """Lines are waiting: write them soon."""
        self._dirty[run_log.run_id] = run_log
        loop = asyncio.get_running_loop()
        if run_log.is_settled:
            at = loop.time() + SETTLED_DELAY
        elif self.followers.has_any(run_log.run_id):
            at = max(loop.time() + FIRST_DELAY, self._flushed + FLUSH_DELAY)
        else:
            at = loop.time() + FLUSH_DELAY

        if self._timer is not None:
            # The delay after a run's response is longer than the others, so lines of a live run may be due
            # before it.
            if at >= self.flush_at:
                return
            self._timer.cancel()
        self.flush_at = at
        self._timer = loop.call_at(at, self.flush)

    def close(self, run_log: RunLog) -> None:
        """Write the rest and let followers end."""
        run_log.end()
        self.flush()
        # After the write: followers end once a run is not live, and must have read its last lines.
        self._live.pop(run_log.run_id, None)
        self.notify(run_log.run_id)

    def live(self, run_id: str) -> RunLog | None:
        """The log of a run, as long as lines may come."""
        return self._live.get(run_id)

    def is_live(self, run_id: str) -> bool:
        """Whether lines may still come."""
        return run_id in self._live

    def notify(self, run_id: str) -> None:
        """Let followers look again, those of other processes too."""
        self.followers.wake(run_id)
        self._events.publish(RunLogGrew(run_id))

    def settled(self, run_id: str) -> None:
        """The record of a run is final."""
        self.followers.wake(run_id)
        self._events.publish(RunChanged(run_id))

    def flush(self) -> None:
        """Hand every waiting line to the store. Later reads see them."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

        if not self._dirty:
            return

        self._flushed = asyncio.get_running_loop().time()
        batch: list[logs.Chunk] = []
        for run_log in self._dirty.values():
            batch.append((run_log.run_id, run_log.next_seq, run_log.pending))
            run_log.next_seq += len(run_log.pending)
            run_log.pending = []

        self._dirty.clear()
        # not awaited: a log line is the one thing that may be lost, when the disk is full; runs go on
        stored = self._db.write_soon(_store, batch, self._holder)
        stored.add_done_callback(lambda done: self._mark_lost(batch) if done.exception() else None)
        for run_id, _, _ in batch:
            self.notify(run_id)

    def _mark_lost(self, batch: list[logs.Chunk]) -> None:
        """Once the store takes it, each log that lines were lost of says so in their place."""
        for run_id, seq, lines in batch:
            # One mark stands for a gap, however many batches are lost in it.
            if run_id in self._gaps:
                continue
            self._gaps.add(run_id)
            gap: logs.Chunk = (run_id, seq, [(lines[0][0], "platform", LOST)])
            stored = self._db.write_with_retries(_store, [gap], self._holder)
            stored.add_done_callback(lambda _, key=run_id: self._gaps.discard(key))


def _store(connection: Connection, batch: list[logs.Chunk], holder: str | None) -> None:
    if holder is not None:
        # Another replica may have taken the run over, and a log has lines of one attempt at a time.
        held = runs.held(connection, [run_id for run_id, _, _ in batch], holder)
        batch = [chunk for chunk in batch if chunk[0] in held]
    if batch:
        logs.append(connection, batch)
