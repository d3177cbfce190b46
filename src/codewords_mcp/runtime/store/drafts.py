"""Drafts: code that is edited and not served. Each has an owner and expires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from codewords_mcp.runtime.store.tables import drafts as table


@dataclass(frozen=True, slots=True)
class DraftRow:
    """A draft. Times are in µs.

    `asked` is the digest of the request that it was generated from; `facts` are results of checks.
    """

    id: str
    owner: str
    name: str
    code: str
    revision: int
    workflow_id: str | None
    base_version: int | None
    asked: str | None
    facts: dict[str, Any]
    created_at: int
    updated_at: int
    expires_at: int


def add(connection: Connection, row: DraftRow) -> None:
    """A new draft."""
    connection.execute(insert(table).values({name: getattr(row, name) for name in DraftRow.__slots__}))


def get(connection: Connection, draft_id: str, owner: str, at: int) -> DraftRow | None:
    """By id, if it is theirs and not past its time."""
    found = select(table).where(table.c.id == draft_id, table.c.owner == owner, table.c.expires_at > at)
    row = connection.execute(found).mappings().first()
    if row:
        return DraftRow(**row)
    return None


def of_owner(connection: Connection, owner: str, at: int, limit: int) -> list[DraftRow]:
    """The owner's, last changed first."""
    query = select(table).where(table.c.owner == owner, table.c.expires_at > at)
    query = query.order_by(table.c.updated_at.desc(), table.c.id).limit(limit)
    return [DraftRow(**row) for row in connection.execute(query).mappings()]


def by_request(connection: Connection, owner: str, digest: str, at: int) -> DraftRow | None:
    """Return the newest draft that was generated from this request."""
    query = select(table).where(table.c.owner == owner, table.c.asked == digest, table.c.expires_at > at)
    row = connection.execute(query.order_by(table.c.updated_at.desc()).limit(1)).mappings().first()
    if row:
        return DraftRow(**row)
    return None


def open_of(connection: Connection, owner: str, workflow_id: str, at: int) -> DraftRow | None:
    """The owner's draft of this workflow that was changed last."""
    query = select(table).where(
        table.c.owner == owner, table.c.workflow_id == workflow_id, table.c.expires_at > at
    )
    row = connection.execute(query.order_by(table.c.updated_at.desc()).limit(1)).mappings().first()
    if row:
        return DraftRow(**row)
    return None


def count(connection: Connection, owner: str, at: int) -> int:
    """Count the owner's drafts."""
    query = select(func.count()).select_from(table).where(table.c.owner == owner, table.c.expires_at > at)
    return connection.execute(query).scalar_one()


def change(connection: Connection, draft_id: str, revision: int, values: dict[str, Any]) -> bool:
    """Set columns if this is its revision still; whether it was."""
    # Of two edits of the same revision, the second finds another one and changes nothing.
    here = (table.c.id == draft_id) & (table.c.revision == revision)
    return connection.execute(update(table).where(here).values(values)).rowcount == 1


def remove(connection: Connection, draft_id: str, owner: str) -> bool:
    """Delete; False where there is none."""
    statement = delete(table).where(table.c.id == draft_id, table.c.owner == owner)
    return connection.execute(statement).rowcount == 1


def purge(connection: Connection, at: int) -> int:
    """Remove those past their time; how many."""
    return connection.execute(delete(table).where(table.c.expires_at <= at)).rowcount
