"""Looks at the sources of triggers, and stores their events. One task for all triggers, some looks at a time.

A look is claimed in the store, so that one process makes it. Its events and the state for the next look are written in one
transaction: a process that dies in between leaves the state before it, and the next look finds the same events again.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import structlog
from pydantic import ValidationError
from sqlalchemy import Connection
from typing_extensions import override

from codewords_mcp.common.cancellation import end
from codewords_mcp.errors import CodewordsError, TooBusy
from codewords_mcp.runtime.runs.poll_loop import PollLoop
from codewords_mcp.runtime.store import alert_causes, trigger_events, triggers
from codewords_mcp.runtime.store.clock import to_micros
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.executors import clock
from codewords_mcp.runtime.store.trigger_events import NewEvent, stored_key
from codewords_mcp.runtime.store.triggers import Look, TriggerChange, TriggerRow
from codewords_mcp.runtime.triggers.sources.base import (
    MAX_EVENT_BYTES,
    MAX_STATE_BYTES,
    Polled,
    SourceEvent,
    SourceTools,
)
from codewords_mcp.runtime.triggers.sources.registry import find_source

MAX_CONCURRENT = 16
"""Sources that are looked at at a time."""
POLL_TIMEOUT = 90.0
LEASE = 120.0
"""Seconds for which a look is one process's alone."""
LONGEST_SLEEP = 10.0
"""Seconds after which it looks at the clock again: clocks jump and machines sleep."""
BUSY_PAUSE = 1.0
SPACING = 2.0
"""Seconds between two polls of its own accord, so that looks of thousands of triggers are claimed and written together."""
SHORT_INTERVAL = 60.0
"""Seconds: the next look at a source with a shorter pause may be before this loop would look at the clock."""
MAX_WAITING = 1000
"""Events of a trigger without a run, beyond which its source is not looked at."""
MAX_EVENTS = 5000
"""Events of one look that are stored; the others are counted as missed."""
JITTER = 0.1
"""Part of the pause by which looks are spread."""
MAX_BACKOFF = 3600.0
"""Seconds of the longest pause after failures, where the source's own is not longer."""
ALERT_AFTER, PAUSE_AFTER = 3, 10
"""Failures in a row after which a person is told, and after which the trigger is paused."""
GAP_INTERVALS, MIN_GAP = 3.0, 3600.0
"""A look catches up where the one before it was so many pauses ago, and so many seconds at least."""
CLOCK_BACK = 5.0
"""Seconds by which a clock that was set back has to differ for next looks to be moved."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Failure:
    """A look that failed. `retry_after` is in seconds. `counts` is False where the source only asked for a pause."""

    problem: str
    retry_after: float = 0.0
    counts: bool = True


class _Turn(NamedTuple):
    """The time and that of the next look, both in µs, and the triggers whose source is to be looked at now."""

    at: int
    next_at: int | None
    claimed: Sequence[TriggerRow] = ()

    @property
    def is_due(self) -> bool:
        """Whether a look is due."""
        return self.next_at is not None and self.next_at <= self.at


class TriggerPoller(PollLoop):
    """Looks at sources. `on_events` is called when events wait for their runs, `on_failure` when a person is to be told."""

    def __init__(
        self,
        database: Database,
        tools: Callable[[str], SourceTools],
        *,
        on_events: Callable[[], object],
        on_failure: Callable[[], object],
        max_waiting: int = MAX_WAITING,
    ) -> None:
        super().__init__("sources of triggers are not looked at", LONGEST_SLEEP)
        self._db = database
        self._tools = tools
        self._on_events = on_events
        self._on_failure = on_failure
        self._max_waiting = max_waiting
        self._looks: set[asyncio.Task[None]] = set()
        self._under_way: set[str] = set()
        self._rung: set[str] = set()
        self._ahead: float | None = None
        self._opened = False
        self._is_full = False
        self._unchanged: list[TriggerRow] = []

    @override
    async def run(self) -> None:
        try:
            await super().run()
        finally:
            await end(self._looks)

    async def poll(self) -> float:
        """See `PollLoop`."""
        pause = max(await self._poll(), SPACING)
        # Looks that find nothing are written by the next poll.
        if self._looks or self._unchanged:
            return min(pause, SPACING)
        return pause

    async def _poll(self) -> float:
        """Claim the looks that are due. Returns the seconds until the next one is."""
        if not self._opened:
            # On a database of its own, claims are those of a process that has ended.
            if not self._db.shared:
                await self._db.write(triggers.release_claims)
            self._opened = True

        unchanged, self._unchanged = self._unchanged, []
        free = MAX_CONCURRENT - len(self._looks)
        if unchanged:
            turn = await self._db.write(self._turn, unchanged, free)
        else:
            turn = await self._db.read(self._plan)
            if turn.is_due:
                turn = await self._db.write(self._turn, (), free)

        if self._was_set_back(turn.at):
            pulled = await self._db.write(triggers.pull_back, turn.at, int(MAX_BACKOFF * 1.25e6))
            if pulled:
                log.warning("clock set back: next looks of triggers moved", triggers=pulled)
                self.wake()

        for row in turn.claimed:
            task = asyncio.create_task(self._look(row), name=f"look at {row['kind']} {row['id']}")
            self._looks.add(task)
            task.add_done_callback(self._looks.discard)

        # Where nothing is free more may be due, and a look that ends wakes this loop.
        self._is_full = turn.is_due and len(turn.claimed) == free
        if turn.next_at is None or self._is_full:
            return LONGEST_SLEEP
        if turn.is_due:
            return BUSY_PAUSE
        return min((turn.next_at - turn.at) / 1e6, LONGEST_SLEEP)

    def _plan(self, connection: Connection) -> _Turn:
        """Return the time, and that of the next look."""
        self.armed = triggers.are_any(connection)
        at = clock(connection)
        return _Turn(at, triggers.next_free(connection, at, self._max_waiting))

    def _turn(self, connection: Connection, unchanged: Sequence[TriggerRow], free: int) -> _Turn:
        """Note looks that found nothing, all in one statement, and claim at most `free` that are due."""
        if unchanged:
            at = clock(connection)
            looks = [Look(row["id"], row["claim"], at + _pause(row["interval_s"])) for row in unchanged]
            triggers.note_unchanged(connection, looks, at)

        turn = self._plan(connection)
        if not turn.is_due or free <= 0:
            return turn
        claimed = triggers.claim_due(connection, turn.at, int(LEASE * 1e6), free, self._max_waiting)
        return turn._replace(claimed=claimed)

    def _was_set_back(self, at: int) -> bool:
        """Whether the clock was set back since the last poll; True at the first one, since it may have been."""
        before, self._ahead = self._ahead, at / 1e6 - time.monotonic()
        return before is None or self._ahead < before - CLOCK_BACK

    async def ring(self, trigger_id: str) -> None:
        """Look at the source of a trigger soon: somebody said that there is something new."""
        # A look that goes on may have read the source before that.
        if trigger_id in self._under_way:
            self._rung.add(trigger_id)
        await self._db.write(triggers.look_now, trigger_id)
        self.wake()

    async def _look(self, row: TriggerRow) -> None:
        self._under_way.add(row["id"])
        try:
            outcome = await self._poll_source(row)
        finally:
            self._under_way.discard(row["id"])
        if row["id"] in self._rung:
            self._rung.discard(row["id"])
            if isinstance(outcome, Polled):
                # The source was read before the ring, so the next look follows at once.
                outcome = replace(outcome, more=True)
        if isinstance(outcome, Polled) and _is_unchanged(row, outcome):
            self._unchanged.append(row)
            if self._is_full:
                self.wake()
            return

        try:
            if isinstance(outcome, _Failure):
                alert = await self._db.write(self._write_failure, row, outcome)
                stored = 0
            else:
                stored, alert = await self._db.write(self._write_events, row, outcome)
        except CodewordsError as error:
            # The claim ends by itself, and the next look finds the same.
            log.error("a look at a source was not stored", trigger=row["id"], reason=error.message)
            return

        more = isinstance(outcome, Polled) and outcome.more
        if more or self._is_full or row["interval_s"] < SHORT_INTERVAL:
            self.wake()
        if stored:
            self._on_events()
        if alert:
            self._on_failure()

    async def _poll_source(self, row: TriggerRow) -> Polled | _Failure:
        try:
            source = find_source(row["kind"])
            options = source.Options.model_validate(row["options"])
            async with asyncio.timeout(POLL_TIMEOUT):
                polled = await source.poll(options, row["state"], self._tools(row["owner"]))
            state_bytes = len(json.dumps(polled.state))
        except TooBusy as error:
            return _Failure(str(error), float(error.retry_after), counts=False)
        except CodewordsError as error:
            return _Failure(str(error))
        except TimeoutError:
            return _Failure(f"The source did not answer within {POLL_TIMEOUT:.0f} s.")
        except ValidationError:
            return _Failure("The options of this trigger do not fit its source any more. Set them again.")
        except Exception:
            # A fault of one source must not stop the others.
            log.exception("a source failed", kind=row["kind"], trigger=row["id"])
            return _Failure("The source failed in an unexpected way. The log of the runtime says more.")

        if state_bytes > MAX_STATE_BYTES:
            return _Failure(f"The source wants to remember more than {MAX_STATE_BYTES >> 10} KiB.")
        return polled

    def _write_events(self, connection: Connection, row: TriggerRow, polled: Polled) -> tuple[int, bool]:
        """Store the events of a look. Returns how many wait for a run, and whether a person is to be told of some."""
        current = triggers.lock(connection, row["id"])
        if current is None or not triggers.is_mine(current, row["claim"]):
            # The claim ran out, or the trigger was changed meanwhile: another look finds these events.
            return 0, False

        at = clock(connection)
        first = current["state"] is None
        gap = current["gap"] or (not first and _is_gap(current, at))
        found = _new_events(polled.events, first=first)
        new = trigger_events.unknown(connection, row["id"], found)
        too_many = max(0, len(new) - MAX_EVENTS)
        new = new[too_many:]
        trigger_events.add(connection, row["id"], current["seq"], new, at)

        waiting = current["waiting"] + sum(event.status == "pending" for event in new)
        missed = too_many
        if not first:
            missed += sum(event.status == "skipped" for event in new)
        if gap and waiting > current["catch_up"]:
            trigger_events.skip_oldest(connection, row["id"], waiting - current["catch_up"])
            missed += waiting - current["catch_up"]
            waiting = current["catch_up"]

        values: TriggerChange = {
            "state": polled.state,
            "seq": current["seq"] + len(new),
            "waiting": waiting,
            "missed": current["missed"] + missed,
            "polled_at": at,
            "failures": 0,
            "problem": "",
            "claimed_until": None,
            # Until the last page is read, further events may belong to the same gap.
            "gap": gap and polled.more,
            "next_at": at if polled.more else at + _pause(current["interval_s"]),
        }
        triggers.change(connection, row["id"], values)
        if missed:
            note = f"{missed} events came while nobody looked, or were too many or too large, and started no run."
            detail = {"trigger_id": row["id"], "note": note, "times": 1}
            alert_causes.note(connection, f"trigger {row['id']} {at}", "trigger_missed", detail)
        # Also one that was failing: its alert is over.
        return waiting, bool(missed) or current["failures"] > 0

    def _write_failure(self, connection: Connection, row: TriggerRow, failure: _Failure) -> bool:
        """Note a failed look. Returns whether a person is to be told."""
        current = triggers.lock(connection, row["id"])
        if current is None or not triggers.is_mine(current, row["claim"]):
            return False

        at, failures = clock(connection), current["failures"] + failure.counts
        problem = failure.problem[:1000]
        longest = max(MAX_BACKOFF, current["interval_s"])
        pause = min(current["interval_s"] * 2 ** max(0, min(failures - 1, 20)), longest)
        pause = max(pause, min(failure.retry_after, longest))
        values: TriggerChange = {
            "failures": failures,
            "problem": problem,
            "claimed_until": None,
            "next_at": at + _pause(pause),
        }
        triggers.change(connection, row["id"], values)

        if not failure.counts:
            return False
        if failures >= PAUSE_AFTER:
            note = f"Paused after {failures} failures in a row: {problem}"
            triggers.stop(connection, current, note, at)
            return True
        if failures == ALERT_AFTER:
            detail = {"trigger_id": row["id"], "note": problem}
            alert_causes.note(connection, f"trigger {row['id']} {at}", "trigger_failing", detail)
            return True
        return False


def _pause(seconds: float) -> int:
    """A pause in µs, spread so that triggers that were added together are not looked at together."""
    return int(seconds * 1e6 * (1 + random.uniform(-JITTER, JITTER)))  # noqa: S311  # spreads load


def _is_unchanged(row: TriggerRow, polled: Polled) -> bool:
    """Whether a look leaves a trigger as it was."""
    same = row["state"] is not None and polled.state == row["state"]
    return same and not (polled.events or polled.more or row["gap"] or row["failures"] or row["problem"])


def _is_gap(row: TriggerRow, at: int) -> bool:
    """Whether nobody looked for long: the runtime did not run, the machine slept, or the source failed."""
    if row["polled_at"] is None:
        return False
    longest = max(row["interval_s"] * GAP_INTERVALS, MIN_GAP)
    return at - row["polled_at"] > longest * 1e6


def _new_events(found: Sequence[SourceEvent], *, first: bool) -> list[NewEvent]:
    """Events as they are stored. Those of the first look, and those with too much data, start nothing."""
    events: list[NewEvent] = []
    for event in found:
        data: Any = event.data
        fits = len(json.dumps(data)) <= MAX_EVENT_BYTES
        status = "skipped" if first or not fits else "pending"
        if event.at is not None and event.at.tzinfo is not None:
            moment = to_micros(event.at)
        else:
            moment = None
        events.append(NewEvent(stored_key(event.key), data, moment, status))
    return events
