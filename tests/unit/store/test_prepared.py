"""Statements that SQLite's driver executes write and find what SQLAlchemy would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, CursorResult, Insert, bindparam, delete, insert, or_, select, update

from codewords_mcp.runtime.store import audit_capture, tables
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.prepared import Prepared

ROW = {
    "id": "a", "owner": "o", "status": "failed", "created_at": now(), "response_truncated": True, "background": False,
    "retries": 0, "in_queue": True, "deliveries": 1, "depth": 0, "priority": 50, "cancel_asked": False,
    "attempts": [{"number": 1, "started_at": 1, "ended_at": None, "outcome": None}], "steps": [], "usage": {"é": None},
    "timings": {"total": 1.5}, "error": {"code": "c", "message": 'a "b"\n'}, "cpu_seconds": 0.25, "response_json": None,
}  # fmt: skip
CHANGED = {"response_json": [1, "é", None], "cost": 0.5, "background": True, "error": None}


@pytest.mark.requirement("store:prepared")
def test_a_prepared_statement_leaves_the_row_that_sqlalchemy_leaves(database: Database) -> None:
    runs = tables.runs
    changed = (
        update(runs)
        .where(runs.c.id == bindparam("_id"), or_(runs.c.status == "queued", runs.c.status == "failed"))
        .values({name: bindparam(name) for name in CHANGED})
        .returning(runs.c.background, runs.c.created_at)
    )
    found = select(runs.c.id).where(runs.c.depth == bindparam("d"))

    def stored(execute: Callable[[Connection, Any, dict[str, Any]], CursorResult[Any]]) -> list[Any]:
        def write(connection: Connection) -> list[Any]:
            execute(connection, insert(runs), ROW)
            returned = execute(connection, changed, {"_id": "a", **CHANGED}).one()
            ids = execute(connection, found, {"d": 0}).scalars().all()
            row = connection.exec_driver_sql("SELECT * FROM runs").one()
            connection.exec_driver_sql("DELETE FROM runs")
            # Of its new row. They are written before the commit.
            connection.execute(delete(tables.audit_entries))
            audit_capture.flush(connection)
            audit_capture.begin(connection)
            entries = connection.execute(
                select(tables.audit_entries.c.action, tables.audit_entries.c.detail)
            ).all()
            return [tuple(row), tuple(returned), ids, entries]

        return database.write_blocking(write)

    def shorter(connection: Connection, statement: Any, values: dict[str, Any]) -> CursorResult[Any]:
        note = audit_capture.note_new_run if isinstance(statement, Insert) else None
        return Prepared(statement, note).execute(connection, values)

    of_driver = stored(shorter)
    assert [entry.action for entry in of_driver[-1]] == ["run.create"]
    assert of_driver == stored(lambda c, statement, values: c.execute(statement, values))


@pytest.mark.requirement("store:prepared")
def test_a_parameter_that_is_missing_is_an_error(database: Database) -> None:
    named = Prepared(update(tables.runs).values(depth=bindparam("depth")))
    with pytest.raises(KeyError):
        database.write_blocking(named.execute, {})


@pytest.mark.requirement("store:prepared")
def test_changes_of_an_audited_table_are_not_prepared() -> None:
    with pytest.raises(ValueError, match="audited"):
        Prepared(update(tables.workflows).values(name=bindparam("name")))
    with pytest.raises(ValueError, match="audited"):
        Prepared(insert(tables.runs))


@pytest.mark.requirement("store:prepared")
def test_a_condition_with_a_list_is_not_prepared(database: Database) -> None:
    listed = Prepared(select(tables.runs.c.id).where(tables.runs.c.status.in_(("queued", "failed"))))
    with pytest.raises(ValueError, match="list"):
        database.write_blocking(listed.execute, {})
