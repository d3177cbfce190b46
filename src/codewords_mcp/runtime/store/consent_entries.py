"""Entries of the audit trail about people's consents: asked, agreed, declined, expired, withdrawn."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

from sqlalchemy import Connection, select

from codewords_mcp.common.json_parts import object_of
from codewords_mcp.runtime.model.audit import CURRENT
from codewords_mcp.runtime.store import audit_capture
from codewords_mcp.runtime.store.rows import LinkRow
from codewords_mcp.runtime.store.tables import audit_entries

ConsentEvent = Literal["asked", "agreed", "declined", "expired", "withdrawn"]
_QUESTION_ACTION: Final = "consent.asked"
_WAYS: Final = {"mcp": "chat", "http": "api"}
"""Names of ways that are not called as the front door is."""
_CLOCKS_APART: Final = 60_000_000
"""Microseconds by which the clock of a database may be ahead of the runtime's."""


class ConsentEntry(NamedTuple):
    """An entry to be. `facts` has the digest of the question under `question`; see `Matter`."""

    event: ConsentEvent
    owner: str
    target: str
    facts: Mapping[str, str]

    def note(self, connection: Connection) -> None:
        """Collect the entry in the transaction that makes it true."""
        # A request that only brings an answer has this entry instead of one as a call.
        answers = self.facts.get("way") in {"page", "console"}
        audit_capture.note(
            connection, f"consent.{self.event}", self.owner, self.target, self.facts, whole=answers
        )


def current_way() -> str:
    """The way by which an answer comes: by the front door of the operation that goes on."""
    operation = CURRENT.get()
    if operation is None:
        return "runtime"
    return _WAYS.get(operation.front_door, operation.front_door)


def note_ended(connection: Connection, ended: Iterable[LinkRow], event: ConsentEvent) -> None:
    """Collect the entries of questions that ended without being used."""
    for row in ended:
        if row["kind"] != "consent":
            continue
        target, facts = _original_entry(connection, row)
        if row["answer"]:
            facts["answer"] = row["answer"]
        ConsentEntry(event, row["owner"], target, facts).note(connection)


def _original_entry(connection: Connection, row: LinkRow) -> tuple[str, dict[str, str]]:
    """(target, facts) of the entry that says that the question was asked: the link itself is sealed."""
    entries = audit_entries.c
    query = select(entries.target, entries.detail).where(
        entries.action == _QUESTION_ACTION,
        entries.owner == row["owner"],
        entries.at >= row["created_at"] - _CLOCKS_APART,
        entries.detail.contains(row["subject"]),
    )
    found = connection.execute(query.order_by(entries.id.desc()).limit(1)).first()
    if found is None:
        return "", {"question": row["subject"]}
    facts = object_of(object_of(json.loads(found.detail)).get("after"))
    return str(found.target), {name: str(value) for name, value in facts.items()}
