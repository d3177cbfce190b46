"""The cached catalogue of a broker's project: a row for each app and action, and one for the time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text

from codewords_mcp.runtime.store.tables import integrations as table

_WHOLE = "whole"
_WRITERS = 0x696E7467
"""PostgreSQL's advisory lock of writers.

Two writers at once would insert the same keys, since neither sees the other's uncommitted rows.
"""


def replace(connection: Connection, project: str, rows: Iterable[tuple[str, str, Any]], at: int) -> None:
    """Replace the rows (kind, key, data) of the project; rows of other projects are removed."""
    _alone(connection)
    connection.execute(delete(table))
    values = [
        {"project": project, "kind": kind, "key": key, "read_at": at, "data": data}
        for kind, key, data in rows
    ]
    # In the same transaction: a catalogue counts as read only if all of it was.
    values.append({"project": project, "kind": _WHOLE, "key": "", "read_at": at, "data": {}})
    connection.execute(insert(table), values)


def put(connection: Connection, project: str, kind: str, key: str, data: Any, at: int) -> None:
    """One that is newer than the rest."""
    _alone(connection)
    mine = (table.c.project == project) & (table.c.kind == kind) & (table.c.key == key)
    connection.execute(delete(table).where(mine))
    connection.execute(insert(table).values(project=project, kind=kind, key=key, read_at=at, data=data))


def _alone(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _WRITERS})


def read_at(connection: Connection, project: str) -> int | None:
    """When the whole of it was read, None where it never was."""
    mine = (table.c.project == project) & (table.c.kind == _WHOLE)
    return connection.execute(select(func.max(table.c.read_at)).where(mine)).scalar()


def all_of(connection: Connection, project: str, kind: str) -> list[Any]:
    """Everything of a kind."""
    query = select(table.c.data).where(table.c.project == project, table.c.kind == kind)
    return list(connection.execute(query.order_by(table.c.key)).scalars())


def get(connection: Connection, project: str, kind: str, key: str) -> tuple[Any, int] | None:
    """(data, when it was read)."""
    mine = (table.c.project == project) & (table.c.kind == kind) & (table.c.key == key)
    row = connection.execute(select(table.c.data, table.c.read_at).where(mine)).first()
    if row is None:
        return None
    return (row[0], row[1])
