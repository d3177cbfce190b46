"""Mail that was not sent, for want of a mail server."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from codewords_mcp.runtime.store.first_row import first_row
from codewords_mcp.runtime.store.rows import ListedMessage, OutboxRow
from codewords_mcp.runtime.store.tables import outbox

MAX_MESSAGES = 200
"""Messages of an owner; the oldest make room."""


def add(connection: Connection, values: OutboxRow) -> None:
    """Keep a message."""
    connection.execute(insert(outbox).values(values))
    mine = select(outbox.c.id).where(outbox.c.owner == values["owner"])
    newest = mine.order_by(outbox.c.created_at.desc(), outbox.c.id).limit(MAX_MESSAGES).scalar_subquery()
    connection.execute(delete(outbox).where(outbox.c.owner == values["owner"], outbox.c.id.not_in(newest)))


def newest(connection: Connection, owner: str, limit: int) -> list[ListedMessage]:
    """Without the messages themselves."""
    columns = (outbox.c.id, outbox.c.created_at, outbox.c.recipients, outbox.c.subject, outbox.c.run_id)
    query = select(*columns).where(outbox.c.owner == owner).order_by(outbox.c.created_at.desc(), outbox.c.id)
    return [ListedMessage(**row) for row in connection.execute(query.limit(limit)).mappings()]


def get(connection: Connection, owner: str, message_id: str) -> OutboxRow | None:
    """One, if it is theirs."""
    query = select(outbox).where(outbox.c.owner == owner, outbox.c.id == message_id)
    return first_row(connection, query, OutboxRow)
