"""Receivers of the audit trail that stay away: an alert while they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from codewords_mcp.runtime.alerts.lasting import update_lasting
from codewords_mcp.runtime.model.caller import HOME_OWNER
from codewords_mcp.runtime.store import audit_cursors
from codewords_mcp.runtime.store.alerts import Failure
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.executors import clock

AWAY_AFTER: Final = 300.0
"""Seconds for which a receiver takes nothing before that is an alert: most come back by themselves."""


def update_receivers(connection: Connection, receivers: Sequence[str], away_after: float) -> bool:
    """Open the alerts of receivers that stay away, and resolve those of others; whether any changed."""
    latest = clock(connection) - away_after * 1e6
    cursors = {name: audit_cursors.read(connection, name) for name in receivers}
    away = [
        Failure(
            HOME_OWNER,
            "audit_unsent",
            f"audit_unsent/{name}",
            f"The audit trail does not reach its receiver by {name}",
            f"{cursor.unsent} entries wait, and are sent once it takes them. The last try: {cursor.problem}",
            now(),
        )
        for name, cursor in cursors.items()
        if cursor.failing_since is not None and cursor.failing_since <= latest
    ]
    return update_lasting(connection, "audit_unsent", away)
