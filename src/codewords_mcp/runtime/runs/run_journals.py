"""The journals of runs that may be resumed, sealed in the store: any replica goes on from them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection, RowMapping

from codewords_mcp.errors import CodewordsError, Conflict, JournalDamaged, StorageFailed
from codewords_mcp.runtime.model.run import FINISHED, Run, RunRequest
from codewords_mcp.runtime.model.run_wait import WAITING_SERVICES
from codewords_mcp.runtime.recording.earlier_requests import Knowledge
from codewords_mcp.runtime.recording.journal import (
    EntryState,
    JournalEntry,
    entry_of_bytes,
    entry_to_bytes,
)
from codewords_mcp.runtime.recording.journal_exchanges import with_killed_attempts
from codewords_mcp.runtime.recording.recorder import OpenExchange
from codewords_mcp.runtime.recording.resume import ResumeRecorder, completed
from codewords_mcp.runtime.runs.repeated_request import key_of_workflow, never_began, repeat_response
from codewords_mcp.runtime.runs.unknown_writes import unknown
from codewords_mcp.runtime.secrets.sealing import DamagedSeal, Sealer
from codewords_mcp.runtime.store import recording_journal as rows
from codewords_mcp.runtime.store import requests, runs, traces
from codewords_mcp.runtime.store import run_waits as waits
from codewords_mcp.runtime.store.database import Database


@dataclass(frozen=True, slots=True)
class AttemptJournal:
    """The entries that an attempt at a run goes on from, and the place of its own.

    `over`: waits that were over before it began, and that the run did not know of.
    """

    earlier: tuple[JournalEntry, ...]
    over: tuple[str, ...]
    stored: StoredJournal
    on_unknown: Callable[[Sequence[JournalEntry]], None]
    on_no_record: Callable[[StorageFailed], None]

    def recorder(self, run_id: str, knowledge: Knowledge) -> ResumeRecorder:
        """The recorder of the attempt."""
        return ResumeRecorder(
            run_id, self.earlier, self.stored, knowledge, self.on_unknown, self.on_no_record
        )


class RunJournals:
    """Opens the journals of attempts, and takes the answers of people to questions about writes."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        executor: str,
        fail: Callable[[str, CodewordsError], None],
    ) -> None:
        self._db = database
        self._sealer = sealer
        self._executor = executor
        self._fail = fail

    async def open(self, run_id: str, request: RunRequest, attempt: int) -> AttemptJournal:
        """The journal for the next attempt at a run. Raises JournalDamaged."""
        owner = request.caller.owner
        # In the order of all writes: what the attempt before has sent is on it.
        earlier, over = await self._db.write(self._load, owner, run_id, request.mode_of)
        stored = StoredJournal(
            self._db, self._sealer, self._executor, owner, run_id, request.service_id, attempt
        )

        def on_unknown(entries: Sequence[JournalEntry]) -> None:
            self._fail(run_id, unknown(run_id, entries))

        def on_no_record(error: StorageFailed) -> None:
            message = f"A write was not sent, since it could not be put on record first. {error.message}"
            self._fail(run_id, StorageFailed(message, hint=error.hint, remedy=error.remedy))

        return AttemptJournal(tuple(earlier), tuple(over), stored, on_unknown, on_no_record)

    async def has_entries(self, run_id: str) -> bool:
        """Whether attempts at a run have put anything on record."""
        # In the order of all writes: an entry may still be on its way to the store.
        return await self._db.write(rows.has_any, run_id)

    async def question(self, owner: str, run_id: str) -> list[JournalEntry]:
        """The writes that a person is asked about, if the run ended with a question. Raises JournalDamaged."""
        entries = await self._db.write(self._entries, owner, run_id)
        return [one for one in entries if one.state == "asked"]

    def answer(
        self,
        connection: Connection,
        run_id: str,
        *,
        asking: str,
        answers: Sequence[tuple[JournalEntry, bool]],
    ) -> None:
        """Take the answer of a person for each write, with which this run goes on with the `asking` one: it was sent, or not.

        Raises Conflict if somebody answered before.
        """
        for entry, was_sent in answers:
            state = _state_after(entry, was_sent=was_sent)
            if not rows.change_state(connection, asking, entry.place, state=state, only_from=("asked",)):
                raise Conflict("Somebody has answered the question of this run meanwhile.")
        waits.call_goes_on(connection, asking, run_id)

    def readable(self, connection: Connection, owner: str, run_id: str) -> list[JournalEntry]:
        """The entries of a run that are not damaged."""
        found: list[JournalEntry] = []
        for row in rows.of_run(connection, run_id):
            with suppress(DamagedSeal, ValueError):
                found.append(self._entry(connection, owner, row))
        return found

    def _load(
        self, connection: Connection, owner: str, run_id: str, resumed: str | None
    ) -> tuple[list[JournalEntry], list[str]]:
        entries = self._entries(connection, owner, run_id)
        if entries:
            trace_killed_attempts(connection, run_id, entries)
        if resumed is not None:
            entries += self._adopt(connection, owner, run_id, resumed)
        return entries, waits.over(connection, run_id)

    def _adopt(self, connection: Connection, owner: str, run_id: str, resumed: str) -> list[JournalEntry]:
        """Move the journal of a run that ended with a question to the run that goes on from it."""
        adopted = self._entries(connection, owner, resumed)
        if not adopted:
            return []

        # Before the attempts of this run, whose numbers begin at 1.
        last = max(one.attempt for one in adopted)
        entries: list[JournalEntry] = []
        for one in adopted:
            moved = replace(one, attempt=one.attempt - last)
            sealed = seal(self._sealer, connection, owner, run_id, moved)
            rows.put(connection, run_id, moved.place, moved.state, sealed)
            entries.append(moved)
        waits.adopt(connection, run_id, resumed)
        requests.forget(connection, resumed)
        return entries

    def _entries(self, connection: Connection, owner: str, run_id: str) -> list[JournalEntry]:
        try:
            return [self._entry(connection, owner, row) for row in rows.of_run(connection, run_id)]
        except (DamagedSeal, ValueError) as error:
            raise JournalDamaged(
                "The journal of this run is damaged, so what its attempts sent is unknown.",
                hint="Its trace shows what can still be read. Run the workflow anew where that is safe.",
            ) from error

    def _entry(self, connection: Connection, owner: str, row: RowMapping) -> JournalEntry:
        attempt, number = row["attempt"], row["number"]
        place = _place(row["run_id"], attempt, number)
        return entry_of_bytes(
            attempt, number, row["state"], self._sealer.open(connection, owner, place, row["sealed"])
        )


class StoredJournal:
    """The journal of one attempt; see `RequestJournal`."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        executor: str,
        owner: str,
        run_id: str,
        service_id: str,
        attempt: int,
    ) -> None:
        self.attempt = attempt
        self._db = database
        self._sealer = sealer
        self._executor = executor
        self._owner = owner
        self._run_id = run_id
        self._service_id = service_id

    async def begin(self, entry: JournalEntry) -> bool:
        """See `RequestJournal`. Raises StorageFailed: then nothing may be sent."""
        is_current = False

        def begin(connection: Connection) -> None:
            nonlocal is_current
            is_current = rows.is_current(connection, self._run_id, self.attempt, self._executor)
            if is_current:
                self._put(connection, entry)

        written = self._db.write_soon(begin)
        self._db.hurry()
        # To its end, though the program hangs up meanwhile: what is undone then is undone after it.
        await asyncio.shield(written)
        return is_current

    def complete(self, entry: JournalEntry, exchange: OpenExchange) -> None:
        """See `RequestJournal`."""
        self._db.write_with_retries(self._complete, entry, exchange)

    def drop(self, entry: JournalEntry) -> None:
        """See `RequestJournal`."""
        self._db.write_with_retries(rows.drop, self._run_id, entry.place)

    async def answer_is_lost(self, entry: JournalEntry) -> bool:
        """See `RequestJournal`."""
        route, _, rest = urlsplit(entry.request.url).path.strip("/").partition("/")
        if route != "run":
            # Such a call is answered with the id of its run.
            return False
        called = unquote(rest.partition("/")[0])
        if called in WAITING_SERVICES:
            # The same call finds the same wait again.
            return False
        key = key_of_workflow(self._service_id, entry.repeat_key)
        run = await self._db.write(_called_run, self._owner, called, key)
        if run is None or run.status not in FINISHED or run.asks or never_began(run):
            return False
        if await self._db.read(waits.find, self._run_id, run.id) is not None:
            # The run gave its sandbox back for this call, which tells what became of the other.
            return False
        try:
            repeat_response(run)
        except CodewordsError:
            return True
        return False

    async def ask(self, entries: Sequence[JournalEntry]) -> None:
        """See `RequestJournal`."""
        await self._db.write(rows.ask, self._run_id, [one.place for one in entries])

    def _complete(self, connection: Connection, entry: JournalEntry, exchange: OpenExchange) -> None:
        self._put(connection, completed(entry, exchange))

    def _put(self, connection: Connection, entry: JournalEntry) -> None:
        sealed = seal(self._sealer, connection, self._owner, self._run_id, entry)
        rows.put(connection, self._run_id, entry.place, entry.state, sealed)


def _called_run(connection: Connection, owner: str, service_id: str, key: str) -> Run | None:
    run_id = runs.find_idempotent(connection, owner, service_id, key)
    if run_id is None:
        return None
    return runs.latest(connection, run_id, owner)


def trace_killed_attempts(connection: Connection, run_id: str, entries: Sequence[JournalEntry]) -> None:
    """Put the attempts of a run that its trace lacks into it, since their process was killed."""
    starts = {one["number"]: one["started_at"] for one in runs.attempts_of(connection, run_id)}

    def add(stored: bytes | None) -> bytes:
        return with_killed_attempts(stored, entries, starts)

    traces.change(connection, run_id, add)


def seal(sealer: Sealer, connection: Connection, owner: str, run_id: str, entry: JournalEntry) -> bytes:
    """The entry, sealed for its place."""
    return sealer.seal(connection, owner, _place(run_id, *entry.place), entry_to_bytes(entry))


def _place(run_id: str, attempt: int, number: int) -> str:
    return f"journal/{run_id}/{attempt}/{number}"


def _state_after(entry: JournalEntry, *, was_sent: bool) -> EntryState:
    """The state of a write that a person has answered for."""
    if was_sent:
        return "sent"
    # One that was carried out, of which they say that the new one is another.
    if entry.answer is not None and not entry.answer.failed:
        return "other"
    return "unsent"
