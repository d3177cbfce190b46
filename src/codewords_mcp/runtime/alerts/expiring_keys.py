"""Keys that are about to expire: told in time to make another, and until somebody has."""

from __future__ import annotations

from sqlalchemy import Connection, select

from codewords_mcp.runtime.alerts.notify import notify_raised, notify_resolved
from codewords_mcp.runtime.store import alerts
from codewords_mcp.runtime.store.alerts import Failure
from codewords_mcp.runtime.store.clock import now, to_datetime
from codewords_mcp.runtime.store.tables import keys

DAY = 86_400_000_000
LONGEST_WARNING = 7 * DAY
"""Microseconds before its end from which a key is told, at most a fifth of its life."""
SHORTEST_LIFE = DAY
"""Keys of a shorter life end soon by intention."""
AFTERWARDS = 7 * DAY
"""Microseconds after its end for which a key is still told."""


def update_keys(connection: Connection) -> bool:
    """Open the alerts of keys that end soon, and resolve those that were revoked or ended long ago; whether any changed."""
    expiring = {(failure.owner, failure.subject): failure for failure in _expiring(connection)}
    known = {(row["owner"], row["subject"]) for row in alerts.unresolved_of(connection, ("key_expiring",))}
    changed = False
    for owner, subject in known - expiring.keys():
        notify_resolved(connection, owner, alerts.resolve_subject(connection, owner, subject, now()))
        changed = True
    for place in expiring.keys() - known:
        raised = alerts.hold(connection, expiring[place])
        if raised is not None:
            notify_raised(connection, [raised])
            changed = True
    return changed


def _expiring(connection: Connection) -> list[Failure]:
    at = now()
    columns = (keys.c.id, keys.c.owner, keys.c.prefix, keys.c.created_at, keys.c.expires_at)
    # The widest warning of any key; that of each, a fifth of its life, is compared below.
    near = keys.c.expires_at.between(at - AFTERWARDS, at + LONGEST_WARNING)
    found = connection.execute(select(*columns).where(near, ~keys.c.revoked, ~keys.c.one_time))
    failures: list[Failure] = []
    for row in found:
        life = row.expires_at - row.created_at
        if life < SHORTEST_LIFE or at < row.expires_at - min(LONGEST_WARNING, life // 5):
            continue
        when = to_datetime(row.expires_at).strftime("%Y-%m-%d %H:%M UTC")
        failures.append(
            Failure(
                row.owner,
                "key_expiring",
                f"key_expiring/{row.id}",
                f"The key {row.prefix}… expires",
                f"It ends at {when}; requests with it are refused from then on. Make another key, then revoke this one.",
                at,
            )
        )
    return failures
