"""The master key in use on a shared database, and the keys that each process has.

Joining and rotating lock the row of `key_use`, so that neither misses the other.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, insert, select, update

from codewords_mcp.runtime.store import access, executors
from codewords_mcp.runtime.store.inserts import insert_once
from codewords_mcp.runtime.store.tables import executors as processes
from codewords_mcp.runtime.store.tables import key_use

_ROW = 1


def in_use(connection: Connection) -> str | None:
    """Return the id of the master key in use; None if one process is alone with its database.

    The lock lasts until the transaction ends, so that no rotation overtakes an encryption in it.
    """
    if connection.dialect.name == "sqlite":
        return None
    # A shared lock: encryptions need not wait for each other, only a rotation for all of them.
    return connection.execute(select(key_use.c.key_id).with_for_update(read=True)).scalar()


def join(
    connection: Connection, executor: str, version: str, key_ids: Collection[str], preferred: str, ttl: float
) -> str:
    """Register a process with its keys. Returns the id of the key in use.

    That is `preferred` if no process lives and no stored value needs another key. If the key in use
    is not among `key_ids`, the process is not registered.
    """
    # Made where it is missing, so that there is a row to lock.
    insert_once(connection, key_use, {"id": _ROW, "key_id": preferred})
    used = connection.execute(select(key_use.c.key_id).with_for_update()).scalar_one()

    if used not in key_ids:
        if access.secret_key_ids(connection) or executors.alive(connection, ttl):
            return used
        connection.execute(update(key_use).values(key_id=preferred))

    at = executors.clock(connection)
    row = {"id": executor, "version": version, "started_at": at, "seen_at": at, "key_ids": list(key_ids)}
    connection.execute(insert(processes).values(row))
    if used not in key_ids:
        return preferred

    return used


def change(connection: Connection, key_id: str, ttl: float) -> int:
    """Make this the key in use. Returns the number of live processes without it.

    If there are any, nothing changes.
    """
    # A process that joins meanwhile waits for this lock, or has joined before and is counted below.
    connection.execute(select(key_use.c.key_id).with_for_update())
    alive = executors.alive(connection, ttl)
    rows = connection.execute(select(processes.c.id, processes.c.key_ids)).all()
    without = sum(row.id in alive and key_id not in (row.key_ids or ()) for row in rows)
    if not without:
        connection.execute(update(key_use).values(key_id=key_id))
    return without
