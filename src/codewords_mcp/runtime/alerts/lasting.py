"""Alerts of states that last: open while the state is there, resolved when it is over."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from codewords_mcp.runtime.alerts.notify import notify_raised, notify_resolved
from codewords_mcp.runtime.model.alert import AlertKind
from codewords_mcp.runtime.store import alerts
from codewords_mcp.runtime.store.alerts import Failure
from codewords_mcp.runtime.store.clock import now


def update_lasting(connection: Connection, kind: AlertKind, failures: Iterable[Failure]) -> bool:
    """Open the alerts of these failures, which are all of their kind, and resolve the others; whether any changed."""
    present = {(failure.owner, failure.subject): failure for failure in failures}
    known = {(row["owner"], row["subject"]) for row in alerts.unresolved_of(connection, (kind,))}
    changed = False
    for owner, subject in known - present.keys():
        notify_resolved(connection, owner, alerts.resolve_subject(connection, owner, subject, now()))
        changed = True
    for place in present.keys() - known:
        raised = alerts.hold(connection, present[place])
        if raised is not None:
            notify_raised(connection, [raised])
            changed = True
    return changed
