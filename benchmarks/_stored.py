"""A store with so much history: runs with logs, deployments, schedules, made by the database itself in a minute."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.tables import log_chunks, runs, schedules, versions, workflows

AT_ONCE = 500_000
"""Rows in a transaction."""
_RUN = {
    "id": "'stored-' || n", "owner": "'local'", "service_id": "'other_' || (n % {deployments})", "version": "1",
    "status": "CASE n % 50 WHEN 0 THEN 'failed' ELSE 'succeeded' END", "created_at": "{at} - ({count} - n) * 1000",
    "started_at": "{at} - ({count} - n) * 1000 + 100", "running_at": "{at} - ({count} - n) * 1000 + 200",
    "completed_at": "{at} - ({count} - n) * 1000 + 900", "response_status": "200",
    "response_content": "'{{\"message\":\"Hello Ada!\"}}'", "response_json": "'{{\"message\":\"Hello Ada!\"}}'",
    "response_truncated": "{false}", "correlation_id": "'stored-' || n", "attempts": "'[]'", "steps": "'[]'",
    "usage": "'{{}}'", "timings": "'{{}}'", "background": "{true}", "retries": "0", "in_queue": "{false}", "deliveries": "1",
    "depth": "0", "priority": "50", "cancel_asked": "{false}", "cpu_seconds": "0.125", "peak_memory": "50000000 + n",
    "egress_in": "n", "egress_out": "7", "summed": "{summed}",
}  # fmt: skip
_CHUNK = {
    "run_id": "'stored-' || n", "first_seq": "0", "lines": "1",
    "body": "'[\"2026-01-01T00:00:00.000000Z\", \"stdout\", \"Hello Ada!\"]'",
}  # fmt: skip


def fill(
    database: Database, *, stored: int, deployments: int, times: int, summed: bool = True, there: int = 0
) -> None:
    """Finished runs with a line of log each, deployments of other workflows, and schedules that are not due.

    `summed`: the runs are taken for added up, so that nothing is busy with that. `there`: so many of `stored` are there from an
    earlier call.
    """
    at = now()
    words: dict[str, int | str] = {"at": at, "count": stored, "deployments": max(deployments, 1)}
    words["summed"] = ("true" if database.shared else "1") if summed else "NULL"
    if stored:
        for table, columns in ((runs.name, _RUN), (log_chunks.name, _CHUNK)):
            for first in range(there, stored, AT_ONCE):
                last = min(first + AT_ONCE, stored) - 1
                database.write_blocking(
                    lambda c, t=table, s=columns, a=first, b=last: _generate(c, t, s, (a, b), words)
                )
        # what is done by itself while a store grows, and would be measured else
        _alone(database, "ANALYZE" if database.shared else "PRAGMA wal_checkpoint(TRUNCATE)")
    if deployments:
        database.write_blocking(lambda c: _deploy(c, deployments, at))
    if times:
        plan = {
            "owner": "local", "service_id": "other_0", "name": "", "method": "POST", "path": "/", "cron": "0 0 1 1 *",
            "timezone": "UTC", "catch_up": "skip", "overlap": "skip", "jitter": 0.0, "paused": False, "created_at": at,
            "next_at": at + 30 * 86_400_000_000, "missed": 0, "held_back": 0, "note": "",
        }  # fmt: skip
        every = [plan | {"id": f"sch_{n}"} for n in range(times)]
        database.write_blocking(lambda c: c.execute(schedules.insert(), every))


def vacuum(database: Database) -> None:
    """Do at once what autovacuum does within minutes of many changes, which the server of the tests never does."""
    _alone(database, "VACUUM (ANALYZE)")


def _alone(database: Database, statement: str) -> None:
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(statement).close()


def _generate(
    c: Connection, table: str, columns: dict[str, str], ends: tuple[int, int], words: dict[str, int | str]
) -> None:
    shared = c.dialect.name != "sqlite"
    booleans = {"true": "true", "false": "false"} if shared else {"true": "1", "false": "0"}
    series = (
        "SELECT n FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n"
        if shared
        else "WITH RECURSIVE s(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM s WHERE n < :last) SELECT n FROM s"
    )
    values = ", ".join(value.format(**words, **booleans).replace(":", r"\:") for value in columns.values())
    c.execute(
        text(f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM ({series}) AS numbers"),
        {"first": ends[0], "last": ends[1]},
    )


def _deploy(c: Connection, deployments: int, at: int) -> None:
    workflow = {"owner": "local", "description": "", "public": False, "created_at": at, "updated_at": at}
    version: dict[str, Any] = {
        "number": 1, "code": "", "code_hash": "", "environment": "", "openapi": {}, "checks": [], "description": "",
    }  # fmt: skip
    many = range(deployments)
    c.execute(
        workflows.insert(),
        [workflow | {"id": f"other_{n}", "name": f"other {n}", "active_version": 1} for n in many],
    )
    c.execute(
        versions.insert(),
        [version | {"id": f"v{n}", "workflow_id": f"other_{n}", "created_at": at} for n in many],
    )
