"""Messages of alerts as they change: at most one of an alert in a while, and none in quiet hours."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from codewords_mcp.runtime.alerts.quiet_hours import end_of_quiet
from codewords_mcp.runtime.model.alert import AlertSettings
from codewords_mcp.runtime.store import alert_messages, alerts
from codewords_mcp.runtime.store.alerts import RaisedAlert
from codewords_mcp.runtime.store.clock import now


def notify_raised(connection: Connection, raised: Sequence[RaisedAlert]) -> None:
    """Let messages wait of alerts that were counted on, for the channels of their owners."""
    known: dict[str, AlertSettings] = {}
    for alert in raised:
        owner = alert.failure.owner
        if owner not in known:
            known[owner] = alert_messages.settings_of(connection, owner)
        settings = known[owner]
        if alert.is_quiet or alert.failure.kind in settings.muted or not settings.channels:
            continue

        at = now()
        last = alert_messages.notified_at(connection, alert.id)
        due = at
        # A time to come is from a clock that was set back since.
        if last is not None and last <= at:
            due = max(at, last + settings.interval_minutes * 60_000_000)
        due = end_of_quiet(settings, due)
        for channel in settings.channels:
            alert_messages.put(connection, owner, alert.id, channel, event="opened", at=at, due_at=due)


def notify_resolved(connection: Connection, owner: str, ids: Collection[str]) -> None:
    """Let messages wait which say that alerts are over, where somebody was told that they began."""
    if not ids:
        return
    settings = alert_messages.settings_of(connection, owner)
    for alert_id in ids:
        if alert_messages.notified_at(connection, alert_id) is None:
            alert_messages.forget(connection, [alert_id])
            continue
        at = now()
        for channel in settings.channels:
            due = end_of_quiet(settings, at)
            alert_messages.put(connection, owner, alert_id, channel, event="resolved", at=at, due_at=due)


def raise_alerts(connection: Connection, failures: Sequence[alerts.Failure]) -> None:
    """Count failures of different subjects on their alerts, and let messages of them wait."""
    notify_raised(connection, alerts.add_all(connection, failures))
