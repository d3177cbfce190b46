"""Entries of operations: what is recorded, and how many refusals of a minute."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert
from tests.support.databases import open_database

from codewords_mcp.runtime.audit.subjects import SubjectMarks
from codewords_mcp.runtime.audit.trail import MAX_REFUSALS, AuditTrail
from codewords_mcp.runtime.model.audit import AuditedOperation, AuditEntry, AuditFilter, AuditOutcome
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.store import audit, tables
from codewords_mcp.runtime.store.database import Database

MARKS = SubjectMarks(lambda: [b"k" * 32])


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
    trail = AuditTrail(database, MARKS)
    entries = recorded(database, lambda: trail.record(operation, outcome))
    assert [entry.action for entry in entries] == ([] if action is None else [action])


@pytest.mark.requirement("audit:refusals")
def test_a_stranger_who_is_refused_again_and_again_does_not_fill_the_trail(database: Database) -> None:
    seconds = [0.0]
    trail = AuditTrail(database, MARKS, lambda: seconds[0])

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
    trail = AuditTrail(database, MARKS)
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
        trail = AuditTrail(database, MARKS)
        trail.record(first, "done")
        database.write_soon(change)
        # The list of the write before must not grow any more: it is written before the change.
        for operation in (changing, second, last):
            trail.record(operation, "done")

    entries = recorded(database, record)
    assert sorted(entry.operation for entry in entries) == ["PUT /0", "PUT /1", "PUT /3"]


@pytest.mark.requirement("audit:no-values")
@pytest.mark.parametrize("outcome", ["failed", "refused"])
def test_a_text_that_names_nothing_is_recorded_by_its_kind_and_a_keyed_hash(
    database: Database, outcome: AuditOutcome
) -> None:
    caller = Caller("ann", "user")
    operation = AuditedOperation("mcp", "tool set_secret", caller=caller, writes=True)
    operation.subject = (("run_id", "unknown"), ("name", "STRIPE_KEY=sk_live_1"))
    [entry] = recorded(database, lambda: AuditTrail(database, MARKS).record(operation, outcome, "x"))
    assert entry.target == f"{MARKS.mark('run_id', 'unknown')}/{MARKS.mark('name', 'STRIPE_KEY=sk_live_1')}"
    assert "unknown" not in entry.target
    other_home = SubjectMarks(lambda: [b"o" * 32])
    assert other_home.mark("name", "STRIPE_KEY=sk_live_1") not in entry.target


@pytest.mark.requirement("audit:no-values")
def test_a_failed_operation_names_its_owners_thing_and_no_other_owners(database: Database) -> None:
    trail = AuditTrail(database, MARKS)

    async def run() -> list[str]:
        row: dict[str, object] = {
            "owner": "ann", "name": "API_KEY", "key_id": "k", "ciphertext": b"", "rule": None, "source": None,
            "expires_at": None, "created_at": 1, "updated_at": 1,
        }  # fmt: skip
        await database.write(lambda connection: connection.execute(insert(tables.secrets).values(row)))
        for owner in ("ann", "bob"):
            operation = AuditedOperation("http", "PUT /x", caller=Caller(owner, "user"), writes=True)
            operation.subject = (("name", "API_KEY"),)
            trail.record(operation, "failed", "conflict")
        await database.drained()
        found = await database.read(audit.page, AuditFilter(action="call"), 10, None)
        return [entry.target for entry in found]

    assert asyncio.run(run()) == [MARKS.mark("name", "API_KEY"), "API_KEY"]


@pytest.mark.requirement("audit:no-values")
def test_entries_without_the_text_are_found_by_it_also_after_the_homes_key_has_changed(
    database: Database,
) -> None:
    keys = [b"k" * 32]
    marks = SubjectMarks(lambda: keys)
    operation = AuditedOperation("http", "PUT /x", caller=Caller("ann", "user"), writes=True)
    operation.subject = (("name", "GONE"),)
    recorded(database, lambda: AuditTrail(database, marks).record(operation, "failed", "not_found"))
    keys.insert(0, b"n" * 32)

    def of(target: str) -> list[AuditEntry]:
        found = AuditFilter(target=target, target_marks=marks.marks_of(target))
        return asyncio.run(database.read(audit.page, found, 10, None))

    assert (len(of("GONE")), len(of("ELSE"))) == (1, 0)


@pytest.mark.requirement("audit:no-values")
def test_an_app_is_named_only_where_everybody_knows_it_though_the_call_was_done(database: Database) -> None:
    marks = SubjectMarks(lambda: [b"k" * 32], {"slack"})
    trail = AuditTrail(database, marks)

    def record() -> None:
        for app in ("slack", "sk_live_1"):
            operation = AuditedOperation("mcp", "tool connect_integration", writes=True)
            operation.subject = (("app", app),)
            trail.record(operation, "done")

    targets = [entry.target for entry in recorded(database, record)]
    assert targets == [marks.mark("app", "sk_live_1"), "slack"]
    assert "sk_live_1" not in targets[0]
