"""Ends of runs of a transaction, collected where a row becomes final, and counted once they are committed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection

from codewords_mcp.runtime.model.measures import EndedRun
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.store.tables import runs

_COLLECTED: Final = "ended_runs"
RETURNED: Final = (
    runs.c.service_id, runs.c.status, runs.c.mode, runs.c.background, runs.c.created_at, runs.c.completed_at,
)  # fmt: skip
"""The columns of the row that `collect` needs."""


def begin(connection: Connection) -> None:
    """Begin to collect the ends of a transaction."""
    connection.info[_COLLECTED] = []


def take(connection: Connection) -> list[EndedRun]:
    """The ends that were collected since `begin`."""
    return connection.info.pop(_COLLECTED, [])


def collect(connection: Connection, row: Sequence[Any], values: RunColumns) -> None:
    """Collect the end of a run. `row` has its RETURNED columns, `values` what was written with it."""
    collected: list[EndedRun] | None = connection.info.get(_COLLECTED)
    service_id, status, mode, background, created_at, completed_at = row
    # Of a provisioned request that was cancelled nobody knows what it would have run.
    if collected is None or service_id is None or completed_at is None:
        return
    attempts = values.get("attempts")
    started_at = attempts[0]["started_at"] if attempts else None
    collected.append(
        EndedRun(
            service_id,
            status,
            mode,
            bool(background),
            created_at,
            completed_at,
            started_at,
            values.get("timings") or {},
        )
    )
