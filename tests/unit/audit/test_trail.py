"""Entries of operations: what is recorded, and how many refusals of a minute."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.databases import open_database

from codewords_mcp.runtime.audit.trail import MAX_REFUSALS, AuditTrail
from codewords_mcp.runtime.model.audit import AuditedOperation, AuditEntry, AuditFilter, AuditOutcome
from codewords_mcp.runtime.store import audit
from codewords_mcp.runtime.store.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path)
    yield opened
    opened.close()


def recorded(database: Database, record: Callable[[], None]) -> list[AuditEntry]:
    """The entries after `record` was called on a loop, the newest first."""

    async def run() -> list[AuditEntry]:
        record()
        await database.drained()
        return await database.read(audit.page, AuditFilter(), 1000, None)

    return asyncio.run(run())


@pytest.mark.requirement("audit:operations")
@pytest.mark.parametrize(
    ("operation", "outcome", "action"),
    [
        (AuditedOperation("http", "PUT /x", writes=True), "done", "call"),
        (AuditedOperation("http", "PUT /x", writes=True), "failed", "call"),
        (AuditedOperation("http", "GET /x"), "done", None),
        (AuditedOperation("http", "GET /x"), "failed", None),
        (AuditedOperation("http", "GET /x"), "refused", "refuse"),
        (AuditedOperation("http", "GET /x", action="session.begin"), "done", "session.begin"),
        (AuditedOperation("http", "PUT /x", writes=True, recorded=True), "done", None),
        (AuditedOperation("http", "PUT /x", writes=True, recorded=True), "refused", "refuse"),
    ],
)
def test_changes_and_refusals_are_recorded_unless_a_change_tells_them(
    database: Database, operation: AuditedOperation, outcome: AuditOutcome, action: str | None
) -> None:
    trail = AuditTrail(database)
    entries = recorded(database, lambda: trail.record(operation, outcome))
    assert [entry.action for entry in entries] == ([] if action is None else [action])


@pytest.mark.requirement("audit:refusals")
def test_a_stranger_who_is_refused_again_and_again_does_not_fill_the_trail(database: Database) -> None:
    seconds = [0.0]
    trail = AuditTrail(database, lambda: seconds[0])

    def knock() -> None:
        for _ in range(MAX_REFUSALS + 500):
            trail.record(AuditedOperation("http"), "refused", "unauthenticated")
        seconds[0] = 61.0
        trail.record(AuditedOperation("http"), "refused", "unauthenticated")

    entries = recorded(database, knock)
    assert len(entries) == MAX_REFUSALS + 1
    assert entries[0].error == "unauthenticated; 500 more were refused before, and not recorded"
    assert {entry.error for entry in entries[1:]} == {"unauthenticated"}


@pytest.mark.requirement("audit:no-values")
def test_text_of_strangers_is_cut_and_made_printable(database: Database) -> None:
    trail = AuditTrail(database)
    operation = AuditedOperation("http", agent="a\x00\x1b[31m\u202e" + "x" * 1000, target="t\n", writes=True)
    [entry] = recorded(database, lambda: trail.record(operation, "done"))
    assert entry.agent.isprintable()
    assert len(entry.agent) == 200
    assert entry.target == "t\N{REPLACEMENT CHARACTER}"


@pytest.mark.requirement("audit:operations")
def test_operations_in_a_row_are_one_write_and_a_change_between_them_is_known(database: Database) -> None:
    first, second, changing, last = (AuditedOperation("http", f"PUT /{n}", writes=True) for n in range(4))

    def change(_connection: object) -> None:
        changing.recorded = True

    def record() -> None:
        trail = AuditTrail(database)
        trail.record(first, "done")
        database.write_soon(change)
        # The list of the write before must not grow any more: it is written before the change.
        for operation in (changing, second, last):
            trail.record(operation, "done")

    entries = recorded(database, record)
    assert sorted(entry.operation for entry in entries) == ["PUT /0", "PUT /1", "PUT /3"]
