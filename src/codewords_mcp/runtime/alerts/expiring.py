"""Keys and secrets that are about to expire: told in time to make another, and until somebody has."""

from __future__ import annotations

from sqlalchemy import Connection, select

from codewords_mcp.runtime.alerts.lasting import update_lasting
from codewords_mcp.runtime.store.alerts import Failure
from codewords_mcp.runtime.store.clock import now, to_datetime
from codewords_mcp.runtime.store.tables import keys, secrets

DAY = 86_400_000_000
LONGEST_WARNING = 7 * DAY
"""Microseconds before its end from which one is told, at most a fifth of its life."""
SHORTEST_LIFE = DAY
"""Those of a shorter life end soon by intention."""
AFTERWARDS = 7 * DAY
"""Microseconds after its end for which one is still told."""


def update_expiring(connection: Connection) -> bool:
    """Open the alerts of keys and secrets that end soon, and resolve those that were replaced, revoked, or ended long ago.

    Returns whether any changed.
    """
    keys_changed = update_lasting(connection, "key_expiring", _keys(connection))
    return update_lasting(connection, "secret_expiring", _secrets(connection)) or keys_changed


def _keys(connection: Connection) -> list[Failure]:
    at = now()
    columns = (keys.c.id, keys.c.owner, keys.c.prefix, keys.c.created_at, keys.c.expires_at)
    # The widest warning of any; that of each, a fifth of its life, is compared below.
    near = keys.c.expires_at.between(at - AFTERWARDS, at + LONGEST_WARNING)
    found = connection.execute(select(*columns).where(near, ~keys.c.revoked, ~keys.c.one_time))
    return [
        Failure(
            row.owner,
            "key_expiring",
            f"key_expiring/{row.id}",
            f"The key {row.prefix}… expires",
            f"It ends at {_text(row.expires_at)}; requests with it are refused from then on. Make another key, then "
            "revoke this one.",
            at,
        )
        for row in found
        if _is_due(at, row.created_at, row.expires_at)
    ]


def _secrets(connection: Connection) -> list[Failure]:
    at = now()
    columns = (secrets.c.owner, secrets.c.name, secrets.c.updated_at, secrets.c.expires_at)
    near = secrets.c.expires_at.between(at - AFTERWARDS, at + LONGEST_WARNING)
    return [
        Failure(
            row.owner,
            "secret_expiring",
            # Of the value: another one that ends soon, too, is told anew.
            f"secret_expiring/{row.name}/{row.expires_at}",
            f"The secret {row.name} expires",
            f"Its value ends at {_text(row.expires_at)}, as was said when it was stored; runs that use it fail from then on. "
            "Store a new value.",
            at,
        )
        for row in connection.execute(select(*columns).where(near))
        if _is_due(at, row.updated_at, row.expires_at)
    ]


def _is_due(at: int, begin: int, end: int) -> bool:
    life = end - begin
    return life >= SHORTEST_LIFE and at >= end - min(LONGEST_WARNING, life // 5)


def _text(at: int) -> str:
    return to_datetime(at).strftime("%Y-%m-%d %H:%M UTC")
