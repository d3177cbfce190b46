"""Rows of replays and their reports."""

from __future__ import annotations

from typing import TypedDict

from sqlalchemy import Connection, delete, insert, select, update

from codewords_mcp.common.bounded_json import JsonObject
from codewords_mcp.runtime.store.first_row import first_row
from codewords_mcp.runtime.store.tables import replays


class ReplayRow(TypedDict):
    """A replay. `status` is `in_progress`, `done`, `error` or `cancelled`."""

    id: str
    owner: str
    service_id: str
    created_at: int
    status: str
    result: JsonObject


def add(connection: Connection, row: ReplayRow) -> None:
    """Add a replay that begins."""
    connection.execute(insert(replays).values(row))


def end(connection: Connection, replay_id: str, status: str, result: JsonObject) -> None:
    """Note its end."""
    connection.execute(update(replays).where(replays.c.id == replay_id).values(status=status, result=result))


def get(connection: Connection, owner: str, replay_id: str) -> ReplayRow | None:
    """A replay of this owner."""
    query = select(replays).where(replays.c.id == replay_id, replays.c.owner == owner)
    return first_row(connection, query, ReplayRow)


def purge(connection: Connection, before: int) -> None:
    """Delete those from before this time."""
    connection.execute(delete(replays).where(replays.c.created_at < before))
