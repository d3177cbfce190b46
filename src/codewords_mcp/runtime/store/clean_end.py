"""Record of an orderly end: a row in `meta` stands for as long as a runtime serves the home."""

from __future__ import annotations

import json

from sqlalchemy import Connection, delete, select

from codewords_mcp.runtime.store import inserts
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.tables import meta

SERVING = "serving"
"""Name in the table `meta`."""


def begin(connection: Connection, home: str) -> int | None:
    """A runtime begins to serve. Returns when the last one began, in µs, if that one did not end in order."""
    value = connection.execute(select(meta.c.value).where(meta.c.name == SERVING)).scalar()
    inserts.put(connection, meta, {"name": SERVING, "value": json.dumps([home, now()])})
    if value is None:
        return None

    last_home, began_at = json.loads(value)
    # A copy of a home that was being served, as a backup is, says nothing of the runtime here.
    return int(began_at) if last_home == home else None


def end(connection: Connection) -> None:
    """The runtime ends in order."""
    connection.execute(delete(meta).where(meta.c.name == SERVING))
