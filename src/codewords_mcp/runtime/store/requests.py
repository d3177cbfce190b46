"""Requests of background runs, stored until the run ends, so that any process can execute it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select

from codewords_mcp.runtime.store.tables import run_requests, runs

_INSERT = insert(run_requests)


def add(connection: Connection, values: dict[str, Any]) -> None:
    """Keep a request; headers are pairs of latin-1 text."""
    connection.execute(_INSERT, values)


def load(connection: Connection, run_id: str) -> RowMapping | None:
    """The request with the row of its run; the run's columns are named as they are."""
    query = select(runs, run_requests).join(run_requests, run_requests.c.run_id == runs.c.id)
    return connection.execute(query.where(runs.c.id == run_id)).mappings().first()


def forget(connection: Connection, run_id: str) -> None:
    """Delete the request of a run that has ended."""
    connection.execute(delete(run_requests).where(run_requests.c.run_id == run_id))
