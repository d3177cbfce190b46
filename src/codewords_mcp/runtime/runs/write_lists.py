"""The lists of held writes of a home, sealed, for all its replicas."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection, RowMapping

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.recording.held_writes import (
    MAX_WRITES,
    HeldWrite,
    StoredAnswer,
    answer_from_bytes,
    answer_to_bytes,
    from_bytes,
    to_bytes,
)
from codewords_mcp.runtime.secrets.sealing import DamagedSeal, Sealer
from codewords_mcp.runtime.store import held_writes as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database


class WriteLists:
    """Finds and changes lists by the dry run that began them."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._db = database
        self._sealer = sealer

    def of(self, owner: str, list_id: str) -> StoredWriteList:
        """The list that a run adds to or is bound by."""
        return StoredWriteList(self._db, self._sealer, owner, list_id)

    async def read(self, owner: str, list_id: str) -> list[HeldWrite]:
        """All writes of a list, in their order. Raises NotFound for one that cannot be read any more."""
        return await self._db.read(self._read, owner, list_id)

    async def agree(self, list_id: str, writes: Sequence[HeldWrite]) -> None:
        """Permit that these held writes are sent, once each."""

        def agree(connection: Connection) -> None:
            for write in writes:
                rows.change_state(connection, list_id, write.number, state="agreed", only_from="held")

        await self._db.write(agree)

    async def prune(self, before: int) -> None:
        """Remove lists to which nothing was added since this time (µs)."""
        while await self._db.write(rows.remove_older, before) == rows.AT_ONCE:
            pass

    def _read(self, connection: Connection, owner: str, list_id: str) -> list[HeldWrite]:
        found = rows.of_list(connection, owner, list_id)
        try:
            return [opened(self._sealer, connection, row) for row in found]
        except (DamagedSeal, ValueError, KeyError) as error:
            raise NotFound("The list of this dry run cannot be read any more.") from error


class StoredWriteList:
    """One list in the store; see `WriteList`."""

    def __init__(self, database: Database, sealer: Sealer, owner: str, list_id: str) -> None:
        self._db = database
        self._sealer = sealer
        self._owner = owner
        self._list_id = list_id

    async def hold(self, write: HeldWrite) -> int | None:
        """See `WriteList`."""
        return await self._db.write(self._add, write)

    async def claim(self, key: str, used: Collection[int]) -> HeldWrite | None:
        """See `WriteList`."""
        return await self._db.write(self._claim, key, tuple(used))

    def keep_answer(self, write: HeldWrite, answer: StoredAnswer) -> None:
        """See `WriteList`."""
        # Not waited for: without its answer on record the write counts as sent with an unknown
        # outcome, and is not sent again.
        self._db.write_soon(partial(self._set_answer, number=write.number, data=answer_to_bytes(answer)))

    def _add(self, connection: Connection, write: HeldWrite) -> int | None:
        # Replicas add to one list at the same time, and a number is for one write.
        rows.lock(connection, self._list_id)
        number = rows.last_number(connection, self._list_id) + 1
        if number > MAX_WRITES:
            return None
        row: rows.HeldWriteRow = {
            "list_id": self._list_id,
            "number": number,
            "run_id": write.run_id,
            "owner": self._owner,
            "created_at": now(),
            "key": write.key,
            "state": "held",
            # The place is part of what is sealed: a row that was moved to another list does not open.
            "sealed": self._sealer.seal(
                connection, self._owner, _place(self._list_id, number), to_bytes(write)
            ),
        }
        rows.add(connection, row)
        return number

    def _claim(self, connection: Connection, key: str, used: tuple[int, ...]) -> HeldWrite | None:
        # Another run may take the write between the look and the change; then the next one is tried.
        while row := rows.first_with(connection, self._owner, self._list_id, key, "agreed"):
            if rows.change_state(connection, self._list_id, row["number"], state="sent", only_from="agreed"):
                return opened(self._sealer, connection, row)
        sent = rows.first_with(connection, self._owner, self._list_id, key, "sent", used)
        if sent is None:
            return None
        return opened(self._sealer, connection, sent)

    def _set_answer(self, connection: Connection, *, number: int, data: bytes) -> None:
        sealed = self._sealer.seal(connection, self._owner, _answer_place(self._list_id, number), data)
        rows.set_answer(connection, self._list_id, number, sealed)


def opened(sealer: Sealer, connection: Connection, row: RowMapping) -> HeldWrite:
    """The write of a row. Raises DamagedSeal."""
    owner, list_id, number = row["owner"], row["list_id"], row["number"]
    content = sealer.open(connection, owner, _place(list_id, number), row["sealed"])
    write = from_bytes(content, number=number, run_id=row["run_id"], key=row["key"], state=row["state"])
    if row["answer"] is None:
        return write
    answer = sealer.open(connection, owner, _answer_place(list_id, number), row["answer"])
    return replace(write, answer=answer_from_bytes(answer))


def _place(list_id: str, number: int) -> str:
    return f"write {list_id} {number}"


def _answer_place(list_id: str, number: int) -> str:
    return f"answer {list_id} {number}"
