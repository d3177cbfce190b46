"""Webhooks and the log of what came by them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from codewords_mcp.runtime.store.tables import webhook_deliveries as deliveries
from codewords_mcp.runtime.store.tables import webhooks

KEPT = 1000
"""Deliveries of an owner; the oldest that are done with make room."""
REFUSED_KEPT = 20
"""Refused ones of an address: anybody can make them."""
_LISTED = [column for column in deliveries.c if column.name not in {"headers", "body"}]


def add(connection: Connection, values: dict[str, Any]) -> None:
    """A new webhook."""
    connection.execute(insert(webhooks).values(values))


def of_owner(connection: Connection, owner: str) -> list[RowMapping]:
    """Newest first."""
    query = select(webhooks).where(webhooks.c.owner == owner)
    return list(connection.execute(query.order_by(webhooks.c.created_at.desc(), webhooks.c.id)).mappings())


def at_endpoint(connection: Connection, endpoint: str) -> list[RowMapping]:
    """Those with this address, oldest first."""
    query = (
        select(webhooks).where(webhooks.c.endpoint == endpoint).order_by(webhooks.c.created_at, webhooks.c.id)
    )
    return list(connection.execute(query).mappings())


def remove(
    connection: Connection, webhook_id: str, owner: str, kind: str | None = None, maker: str | None = None
) -> RowMapping | None:
    """Delete; what it was, None if there is none, of this kind and made by this workflow. What came by it stays in the log."""
    where = (webhooks.c.id == webhook_id) & (webhooks.c.owner == owner)
    if kind is not None:
        where &= webhooks.c.kind == kind
    if maker is not None:
        where &= webhooks.c.maker == maker
    row = connection.execute(select(webhooks).where(where)).mappings().first()
    connection.execute(delete(webhooks).where(where))
    return row


def owners(connection: Connection, kind: str) -> list[str]:
    """Who has webhooks of a kind."""
    return list(
        connection.execute(select(webhooks.c.owner).where(webhooks.c.kind == kind).distinct()).scalars()
    )


def are_any(connection: Connection) -> bool:
    """Whether anything can come."""
    return connection.execute(select(webhooks.c.id).limit(1)).first() is not None


def note(connection: Connection, values: dict[str, Any]) -> str | None:
    """Log a delivery; the id of the one that has its key already, whose repeats are counted."""
    same = (deliveries.c.endpoint == values["endpoint"]) & (deliveries.c.key == values["key"])
    known = connection.execute(select(deliveries.c.id).where(same)).scalar()
    if known is not None:
        connection.execute(update(deliveries).where(same).values(repeats=deliveries.c.repeats + 1))
        return known

    connection.execute(insert(deliveries).values(values))
    mine = (deliveries.c.owner == values["owner"]) & (deliveries.c.status != "received")
    _thin(connection, mine, KEPT)
    if values["status"] == "refused":
        _thin(
            connection,
            (deliveries.c.endpoint == values["endpoint"]) & (deliveries.c.status == "refused"),
            REFUSED_KEPT,
        )

    return None


def _thin(connection: Connection, which: Any, kept: int) -> None:
    old = (
        select(deliveries.c.id).where(which).order_by(deliveries.c.received_at.desc()).offset(kept).limit(100)
    )
    ids = list(connection.execute(old).scalars())
    if ids:
        connection.execute(delete(deliveries).where(deliveries.c.id.in_(ids)))


def waiting(connection: Connection, owner: str) -> int:
    """How many of an owner wait for their runs to be started."""
    query = select(func.count()).select_from(deliveries)
    return connection.execute(
        query.where(deliveries.c.owner == owner, deliveries.c.status == "received")
    ).scalar_one()


def take_due(connection: Connection, at: int, until: int, limit: int) -> list[RowMapping]:
    """Those whose time has come, for this caller alone until a time: who dies meanwhile is taken over from."""
    query = select(deliveries).where(deliveries.c.status == "received", deliveries.c.due_at <= at)
    query = (
        query.order_by(deliveries.c.received_at, deliveries.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = list(connection.execute(query).mappings())

    if rows:
        taken = deliveries.c.id.in_([row["id"] for row in rows])
        connection.execute(update(deliveries).where(taken).values(due_at=until))

    return rows


def next_due(connection: Connection) -> int | None:
    """When the next one is to be looked at, in µs."""
    return connection.execute(
        select(func.min(deliveries.c.due_at)).where(deliveries.c.status == "received")
    ).scalar()


def change(connection: Connection, delivery_id: str, values: dict[str, Any]) -> None:
    """Set columns of a delivery."""
    connection.execute(update(deliveries).where(deliveries.c.id == delivery_id).values(values))


def again(connection: Connection, delivery_id: str, owner: str, at: int) -> bool:
    """Let its runs be started once more; False where it is not theirs, was refused, or is about to be delivered."""
    mine = (deliveries.c.id == delivery_id) & (deliveries.c.owner == owner)
    done = deliveries.c.status.not_in(("refused", "received"))
    values = {"status": "received", "reason": "", "due_at": at, "tries": 0, "round": deliveries.c.round + 1}
    return connection.execute(update(deliveries).where(mine & done).values(values)).rowcount == 1


def log(
    connection: Connection, owner: str, *, status: str | None, limit: int, before: int | None
) -> list[RowMapping]:
    """Newest first, without headers and bodies."""
    query = select(*_LISTED).where(deliveries.c.owner == owner)
    if status is not None:
        query = query.where(deliveries.c.status == status)
    if before is not None:
        query = query.where(deliveries.c.received_at < before)
    query = query.order_by(deliveries.c.received_at.desc(), deliveries.c.id.desc())
    return list(connection.execute(query.limit(limit)).mappings())


def get(connection: Connection, delivery_id: str, owner: str) -> RowMapping | None:
    """One, whole, if it is theirs."""
    query = select(deliveries).where(deliveries.c.id == delivery_id, deliveries.c.owner == owner)
    return connection.execute(query).mappings().first()


def purge(connection: Connection, before: int) -> int:
    """Remove what came before a time and is done with; how many."""
    old = (deliveries.c.received_at < before) & (deliveries.c.status != "received")
    return connection.execute(delete(deliveries).where(old)).rowcount
