"""Webhooks and the log of their deliveries."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select, update

from codewords_mcp.runtime.store.first_row import first_row
from codewords_mcp.runtime.store.rows import DeliveryChange, DeliveryRow, ListedDelivery, WebhookRow
from codewords_mcp.runtime.store.tables import webhook_deliveries as deliveries
from codewords_mcp.runtime.store.tables import webhooks

MAX_DELIVERIES = 1000
"""Deliveries of an owner; the oldest that are done with make room."""
MAX_REFUSED = 20
"""Refused ones of an address: anybody can make them."""
_LISTED = [column for column in deliveries.c if column.name not in {"headers", "body"}]


def add(connection: Connection, values: WebhookRow) -> None:
    """A new webhook."""
    connection.execute(insert(webhooks).values(values))


def of_owner(
    connection: Connection,
    owner: str,
    *,
    service_id: str | None = None,
    maker: str | None = None,
    limit: int | None = None,
    after: tuple[int, str] | None = None,
) -> list[WebhookRow]:
    """Newest first. `after` is the time and id of the last one of the page before."""
    query = select(webhooks).where(webhooks.c.owner == owner)
    if service_id is not None:
        query = query.where(webhooks.c.service_id == service_id)
    if maker is not None:
        query = query.where(webhooks.c.maker == maker)
    if after is not None:
        # Several may be made within one microsecond; the id decides among them, as in the order
        # below.
        same_time = (webhooks.c.created_at == after[0]) & (webhooks.c.id > after[1])
        query = query.where(or_(webhooks.c.created_at < after[0], same_time))

    ordered = query.order_by(webhooks.c.created_at.desc(), webhooks.c.id).limit(limit)
    return [WebhookRow(**row) for row in connection.execute(ordered).mappings()]


def get_webhook(connection: Connection, webhook_id: str, owner: str) -> WebhookRow | None:
    """By id, if it is theirs."""
    query = select(webhooks).where(webhooks.c.id == webhook_id, webhooks.c.owner == owner)
    return first_row(connection, query, WebhookRow)


def at_endpoint(connection: Connection, endpoint: str) -> list[WebhookRow]:
    """Those with this address, oldest first."""
    query = (
        select(webhooks).where(webhooks.c.endpoint == endpoint).order_by(webhooks.c.created_at, webhooks.c.id)
    )
    return [WebhookRow(**row) for row in connection.execute(query).mappings()]


def remove(
    connection: Connection, webhook_id: str, owner: str, kind: str | None = None, maker: str | None = None
) -> WebhookRow | None:
    """Delete a webhook of this kind and maker. Returns its row, None if there is none.

    Its deliveries stay in the log.
    """
    where = (webhooks.c.id == webhook_id) & (webhooks.c.owner == owner)
    if kind is not None:
        where &= webhooks.c.kind == kind
    if maker is not None:
        where &= webhooks.c.maker == maker
    found = first_row(connection, select(webhooks).where(where), WebhookRow)
    connection.execute(delete(webhooks).where(where))
    return found


def pause(
    connection: Connection, webhook_id: str, owner: str, maker: str | None, *, paused: bool
) -> WebhookRow | None:
    """Pause or resume a webhook of this maker. Returns its row, None if there is none."""
    where = (webhooks.c.id == webhook_id) & (webhooks.c.owner == owner)
    if maker is not None:
        where &= webhooks.c.maker == maker
    connection.execute(update(webhooks).where(where).values(paused=paused))
    return first_row(connection, select(webhooks).where(where), WebhookRow)


def listening_owners(connection: Connection, kind: str) -> list[str]:
    """Return the owners of webhooks of a kind that are not paused."""
    # Not `is_(False)`: rows from before webhooks could be paused have a null.
    listening = (webhooks.c.kind == kind) & webhooks.c.paused.is_not(True)
    return list(connection.execute(select(webhooks.c.owner).where(listening).distinct()).scalars())


def are_any(connection: Connection) -> bool:
    """Whether anything can come."""
    return connection.execute(select(webhooks.c.id).limit(1)).first() is not None


def note(connection: Connection, values: DeliveryRow) -> str | None:
    """Log a delivery.

    Returns the id of an earlier one with the same key, whose repeats are counted.
    """
    same = (deliveries.c.endpoint == values["endpoint"]) & (deliveries.c.key == values["key"])
    known = connection.execute(select(deliveries.c.id).where(same)).scalar()
    if known is not None:
        connection.execute(update(deliveries).where(same).values(repeats=deliveries.c.repeats + 1))
        return known

    connection.execute(insert(deliveries).values(values))
    # What still waits for its runs is never removed for room.
    mine = (deliveries.c.owner == values["owner"]) & (deliveries.c.status != "received")
    _thin(connection, mine, MAX_DELIVERIES)
    if values["status"] == "refused":
        _thin(
            connection,
            (deliveries.c.endpoint == values["endpoint"]) & (deliveries.c.status == "refused"),
            MAX_REFUSED,
        )

    return None


def _thin(connection: Connection, which: ColumnElement[bool], maximum: int) -> None:
    old = (
        select(deliveries.c.id)
        .where(which)
        .order_by(deliveries.c.received_at.desc())
        .offset(maximum)
        .limit(100)
    )
    ids = list(connection.execute(old).scalars())
    if ids:
        connection.execute(delete(deliveries).where(deliveries.c.id.in_(ids)))


def waiting(connection: Connection, owner: str) -> int:
    """Count the owner's deliveries that wait for their runs to start."""
    query = select(func.count()).select_from(deliveries)
    return connection.execute(
        query.where(deliveries.c.owner == owner, deliveries.c.status == "received")
    ).scalar_one()


def take_due(connection: Connection, at: int, until: int, limit: int) -> list[DeliveryRow]:
    """Claim due deliveries until a time; after it, another process may claim those of a dead one."""
    query = select(deliveries).where(deliveries.c.status == "received", deliveries.c.due_at <= at)
    query = (
        query.order_by(deliveries.c.received_at, deliveries.c.id)
        .limit(limit)
        # Another replica is about to claim those that are locked.
        .with_for_update(skip_locked=True)
    )
    rows = [DeliveryRow(**row) for row in connection.execute(query).mappings()]

    if rows:
        claimed = deliveries.c.id.in_([row["id"] for row in rows])
        connection.execute(update(deliveries).where(claimed).values(due_at=until))

    return rows


def next_due(connection: Connection) -> int | None:
    """When the next one is to be looked at, in µs."""
    return connection.execute(
        select(func.min(deliveries.c.due_at)).where(deliveries.c.status == "received")
    ).scalar()


def change(connection: Connection, delivery_id: str, values: DeliveryChange) -> None:
    """Set columns of a delivery."""
    connection.execute(update(deliveries).where(deliveries.c.id == delivery_id).values(values))


def redeliver(connection: Connection, delivery_id: str, owner: str, at: int) -> bool:
    """Let its runs be started once more.

    False if it has another owner, was refused, or is about to be delivered.
    """
    mine = (deliveries.c.id == delivery_id) & (deliveries.c.owner == owner)
    # One that was refused was never verified, and must not start anything.
    done = deliveries.c.status.not_in(("refused", "received"))
    values = {"status": "received", "reason": "", "due_at": at, "tries": 0, "round": deliveries.c.round + 1}
    return connection.execute(update(deliveries).where(mine & done).values(values)).rowcount == 1


def log(
    connection: Connection, owner: str, *, status: str | None, limit: int, before: int | None
) -> list[ListedDelivery]:
    """Newest first, without headers and bodies."""
    query = select(*_LISTED).where(deliveries.c.owner == owner)
    if status is not None:
        query = query.where(deliveries.c.status == status)
    if before is not None:
        query = query.where(deliveries.c.received_at < before)
    query = query.order_by(deliveries.c.received_at.desc(), deliveries.c.id.desc())
    return [ListedDelivery(**row) for row in connection.execute(query.limit(limit)).mappings()]


def get(connection: Connection, delivery_id: str, owner: str) -> DeliveryRow | None:
    """One, whole, if it is theirs."""
    query = select(deliveries).where(deliveries.c.id == delivery_id, deliveries.c.owner == owner)
    return first_row(connection, query, DeliveryRow)


def purge(connection: Connection, before: int) -> int:
    """Remove finished deliveries from before a time. Returns their number."""
    old = (deliveries.c.received_at < before) & (deliveries.c.status != "received")
    return connection.execute(delete(deliveries).where(old)).rowcount
