"""The journals of runs that may be resumed, sealed in the store: any replica goes on from them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import structlog
from sqlalchemy import Connection, RowMapping

from codewords_mcp.errors import CodewordsError, WriteUnknown
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.recording.journal import (
    EntryState,
    JournalEntry,
    entry_of_bytes,
    entry_to_bytes,
)
from codewords_mcp.runtime.recording.recorder import OpenExchange
from codewords_mcp.runtime.recording.resume import Knowledge, ResumeRecorder, completed
from codewords_mcp.runtime.secrets.sealing import DamagedSeal, Sealer
from codewords_mcp.runtime.store import recording_journal as rows
from codewords_mcp.runtime.store import requests
from codewords_mcp.runtime.store.database import Database

log = structlog.get_logger(__name__)

MAX_ADDRESS: Final = 300
"""Characters of an address in a question."""
_UNPRINTABLE: Final = re.compile(r"[^\x21-\x7e]")
UNREADABLE = "The journal of this run cannot be read any more, so what its attempts sent is unknown."


@dataclass(frozen=True, slots=True)
class AttemptJournal:
    """The entries that an attempt at a run goes on from, and the place of its own."""

    earlier: tuple[JournalEntry, ...]
    stored: StoredJournal
    on_unknown: Callable[[JournalEntry], None]

    def recorder(self, run_id: str, knowledge: Knowledge) -> ResumeRecorder:
        """The recorder of the attempt."""
        return ResumeRecorder(run_id, self.earlier, self.stored, knowledge, self.on_unknown)


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
        """The journal for the next attempt at a run. Raises WriteUnknown where it cannot be read."""
        owner = request.caller.owner
        # In the order of all writes: what the attempt before has sent is on it.
        earlier = await self._db.write(self._load, owner, run_id, request.mode_of)
        stored = StoredJournal(self._db, self._sealer, self._executor, owner, run_id, attempt)

        def on_unknown(entry: JournalEntry) -> None:
            self._fail(run_id, unknown(run_id, entry))

        return AttemptJournal(tuple(earlier), stored, on_unknown)

    async def question(self, owner: str, run_id: str) -> JournalEntry | None:
        """The write that a person is asked about, if the run ended with a question. Raises WriteUnknown."""
        entries = await self._db.write(self._entries, owner, run_id)
        return next((one for one in entries if one.state == "asked"), None)

    async def answer(self, run_id: str, entry: JournalEntry, *, sent: bool) -> bool:
        """Take the answer of a person: the write was sent, or it was not. False if somebody answered before."""

        def answer(connection: Connection) -> bool:
            state: EntryState = "sent" if sent else "other"
            taken = rows.change_state(connection, run_id, entry.place, state=state, only_from=("asked",))
            if taken and not sent and (entry.answer is None or entry.answer.failed):
                rows.drop(connection, run_id, entry.place)
            return taken

        return await self._db.write(answer)

    async def ask_again(self, owner: str, run_id: str, entry: JournalEntry) -> None:
        """Undo `answer`, as the run could not be taken up."""

        def put(connection: Connection) -> None:
            rows.put(
                connection, run_id, entry.place, "asked", seal(self._sealer, connection, owner, run_id, entry)
            )

        await self._db.write(put)

    def _load(
        self, connection: Connection, owner: str, run_id: str, resumed: str | None
    ) -> list[JournalEntry]:
        entries = self._entries(connection, owner, run_id)
        if resumed is None:
            return entries
        adopted = self._entries(connection, owner, resumed)
        if not adopted:
            return entries

        # Before the attempts of this run, whose numbers begin at 1.
        last = max(one.attempt for one in adopted)
        for one in adopted:
            moved = replace(one, attempt=one.attempt - last)
            sealed = seal(self._sealer, connection, owner, run_id, moved)
            rows.put(connection, run_id, moved.place, moved.state, sealed)
            entries.append(moved)
        requests.forget(connection, resumed)
        return entries

    def _entries(self, connection: Connection, owner: str, run_id: str) -> list[JournalEntry]:
        try:
            return [self._entry(connection, owner, row) for row in rows.of_run(connection, run_id)]
        except (DamagedSeal, ValueError) as error:
            raise WriteUnknown(UNREADABLE, hint="Run the workflow anew where that is safe.") from error

    def _entry(self, connection: Connection, owner: str, row: RowMapping) -> JournalEntry:
        attempt, number = row["attempt"], row["number"]
        place = _place(row["run_id"], attempt, number)
        return entry_of_bytes(
            attempt, number, row["state"], self._sealer.open(connection, owner, place, row["sealed"])
        )


class StoredJournal:
    """The journal of one attempt; see `RequestJournal`."""

    def __init__(
        self, database: Database, sealer: Sealer, executor: str, owner: str, run_id: str, attempt: int
    ) -> None:
        self.attempt = attempt
        self._db = database
        self._sealer = sealer
        self._executor = executor
        self._owner = owner
        self._run_id = run_id

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

    async def ask(self, entry: JournalEntry) -> None:
        """See `RequestJournal`."""
        await self._db.write(rows.ask, self._run_id, entry.place)

    def _complete(self, connection: Connection, entry: JournalEntry, exchange: OpenExchange) -> None:
        self._put(connection, completed(entry, exchange))

    def _put(self, connection: Connection, entry: JournalEntry) -> None:
        sealed = seal(self._sealer, connection, self._owner, self._run_id, entry)
        rows.put(connection, self._run_id, entry.place, entry.state, sealed)


def seal(sealer: Sealer, connection: Connection, owner: str, run_id: str, entry: JournalEntry) -> bytes:
    """The entry, sealed for its place."""
    return sealer.seal(connection, owner, _place(run_id, *entry.place), entry_to_bytes(entry))


def _place(run_id: str, attempt: int, number: int) -> str:
    return f"journal/{run_id}/{attempt}/{number}"


def unknown(run_id: str, entry: JournalEntry) -> WriteUnknown:
    """The question of a run that came to a write of which nobody knows whether it was carried out."""
    request = entry.request
    address = _UNPRINTABLE.sub("", request.url.partition("?")[0])[:MAX_ADDRESS]
    if entry.answer is not None and entry.answer.failed:
        reason = f"was answered with status {entry.answer.status} in an earlier attempt: whether it was carried out is unknown"
    elif entry.answer is None:
        reason = "was sent by an earlier attempt, and its answer is not on record: whether it was carried out is unknown"
    else:
        reason = (
            "was carried out by an earlier attempt, and this attempt was about to send one that differs in a value that "
            "looks made by chance: whether it is the same is unknown"
        )
    return WriteUnknown(
        f"{request.method} {address} {reason}.",
        hint="Nothing was sent again. Look whether it is there.",
        remedy=Remedy(RemedyAction.RESUME_RUN, {"run": run_id}),
    )
