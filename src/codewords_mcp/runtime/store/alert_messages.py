"""Messages of alerts that wait to be sent, and the owners' settings for them.

There is one message of an alert for each channel at the most, so that their number is bounded by that of alerts. What
a message says is read when it is sent.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from codewords_mcp.runtime.model.alert import Alert, AlertChannel, AlertSettings
from codewords_mcp.runtime.store import inserts
from codewords_mcp.runtime.store.alerts import to_alert
from codewords_mcp.runtime.store.tables import alert_messages, alert_settings, alerts


class AlertMessage(NamedTuple):
    """A message that is due. `event`: opened, or resolved."""

    id: str
    owner: str
    alert_id: str
    channel: AlertChannel
    event: str
    tries: int


def settings_of(connection: Connection, owner: str) -> AlertSettings:
    """Return the settings of an owner; the defaults where there are none."""
    query = select(alert_settings.c.settings).where(alert_settings.c.owner == owner)
    stored = connection.execute(query).scalar()
    if stored is None:
        return AlertSettings()
    return AlertSettings.model_validate(stored)


def store_settings(connection: Connection, owner: str, settings: AlertSettings) -> None:
    """Replace the settings of an owner. Messages for channels that are no longer set are dropped."""
    row = {"owner": owner, "settings": settings.model_dump(mode="json")}
    inserts.put(connection, alert_settings, row)
    left = delete(alert_messages).where(
        alert_messages.c.owner == owner, alert_messages.c.channel.not_in(settings.channels)
    )
    connection.execute(left)


def put(
    connection: Connection,
    owner: str,
    alert_id: str,
    channel: AlertChannel,
    *,
    event: str,
    at: int,
    due_at: int,
) -> None:
    """Let a message of an alert wait. One that waits already goes at its own time, and tells the last event."""
    same = (alert_messages.c.alert_id == alert_id) & (alert_messages.c.channel == channel)
    if connection.execute(update(alert_messages).where(same).values(event=event)).rowcount:
        return
    row = {
        "id": f"am_{secrets.token_hex(12)}", "owner": owner, "alert_id": alert_id, "channel": channel, "event": event,
        "made_at": at, "due_at": due_at, "tries": 0, "problem": "",
    }  # fmt: skip
    connection.execute(insert(alert_messages).values(row))


def notified_at(connection: Connection, alert_id: str) -> int | None:
    """The time at which a message of an alert was last sent."""
    return connection.execute(select(alerts.c.notified_at).where(alerts.c.id == alert_id)).scalar()


def forget(connection: Connection, alert_ids: Collection[str]) -> None:
    """Drop the messages of these alerts."""
    connection.execute(delete(alert_messages).where(alert_messages.c.alert_id.in_(alert_ids)))


def take_due(connection: Connection, at: int, until: int, limit: int) -> list[AlertMessage]:
    """Claim due messages until a time, after which another process may send those of a dead one."""
    query = select(*(alert_messages.c[name] for name in AlertMessage._fields))
    query = query.where(alert_messages.c.due_at <= at).order_by(alert_messages.c.made_at, alert_messages.c.id)
    found = [
        AlertMessage(*row) for row in connection.execute(query.limit(limit).with_for_update(skip_locked=True))
    ]
    if found:
        claimed = alert_messages.c.id.in_([message.id for message in found])
        # Due again later and not removed: a process that dies while it sends leaves them to another
        # one.
        connection.execute(update(alert_messages).where(claimed).values(due_at=until))
    return found


def alerts_of(connection: Connection, messages: Collection[AlertMessage]) -> dict[str, Alert]:
    """Return the alerts of messages, by id."""
    query = select(alerts).where(alerts.c.id.in_([message.alert_id for message in messages]))
    return {row["id"]: to_alert(row) for row in connection.execute(query).mappings()}


def next_due(connection: Connection) -> int | None:
    """The time of the next message, in µs."""
    return connection.execute(select(func.min(alert_messages.c.due_at))).scalar()


def settle(connection: Connection, messages: Collection[AlertMessage], at: int) -> None:
    """Remove messages that were sent."""
    ids = [message.id for message in messages]
    connection.execute(delete(alert_messages).where(alert_messages.c.id.in_(ids)))
    sent = update(alerts).where(alerts.c.id.in_([message.alert_id for message in messages]))
    connection.execute(sent.values(notified_at=at))


def postpone(
    connection: Connection, messages: Collection[AlertMessage], due_at: int, *, problem: str | None = None
) -> None:
    """Send messages later; with a `problem`, since a try failed."""
    which = alert_messages.c.id.in_([message.id for message in messages])
    values = {"due_at": due_at}
    if problem is not None:
        values |= {"problem": problem, "tries": alert_messages.c.tries + 1}
    connection.execute(update(alert_messages).where(which).values(values))


def drop(connection: Connection, messages: Collection[AlertMessage]) -> None:
    """Remove messages that can't be sent, or say nothing any more."""
    ids = [message.id for message in messages]
    connection.execute(delete(alert_messages).where(alert_messages.c.id.in_(ids)))


def make_due(connection: Connection, at: int) -> None:
    """Send everything that waits now: the clock was set back, and times to come may be far."""
    connection.execute(update(alert_messages).where(alert_messages.c.due_at > at).values(due_at=at))


def problems(connection: Connection, owner: str) -> dict[str, str]:
    """The reason why the last try of a waiting message failed, by channel."""
    query = select(alert_messages.c.channel, alert_messages.c.problem).where(
        alert_messages.c.owner == owner, alert_messages.c.problem != ""
    )
    return {row.channel: row.problem for row in connection.execute(query.order_by(alert_messages.c.made_at))}
