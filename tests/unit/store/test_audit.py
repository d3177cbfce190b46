"""The audit trail in the store, on both databases: entries of changes, and the chain that seals them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, LargeBinary, delete, insert, text, update
from tests.support.databases import open_database

from codewords_mcp.runtime.audit.trail import prune_audit
from codewords_mcp.runtime.audit.verification import verify_chain
from codewords_mcp.runtime.model.audit import CURRENT, AuditedOperation, AuditEntry, AuditFilter, AuditReport
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.store import access, audit, audit_chain, budgets
from codewords_mcp.runtime.store.audited_tables import AUDITED, AuditedTable
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.tables import alert_settings, audit_blocks, audit_entries, runs, secrets

EVERYTHING = AuditFilter()
SECRET_VALUE = "sk-the-value-itself"
Tamper = Callable[[Connection], object]


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Database]]:
    """Opens the same database as often as it is called."""
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").migrated_url()
    databases: list[Database] = []

    def open_again() -> Database:
        databases.append(open_database(tmp_path, url))
        return databases[-1]

    yield open_again
    for database in databases:
        database.close()


@pytest.fixture
def database(opened: Callable[[], Database]) -> Database:
    return opened()


def newest(database: Database, conditions: AuditFilter = EVERYTHING) -> list[AuditEntry]:
    return database.write_blocking(audit.page, conditions, 100, None)


def set_budget(connection: Connection, amount: int) -> None:
    budgets.put(connection, "home", "", "day", amount, 1)


def set_secret(connection: Connection, name: str = "TOKEN") -> None:
    values: Any = {
        "owner": "ann", "name": name, "key_id": "k", "ciphertext": SECRET_VALUE.encode(), "rule": None,
        "created_at": 1, "updated_at": 2,
    }  # fmt: skip
    access.put_secret(connection, values)


def add_entries(connection: Connection, count: int) -> None:
    for number in range(count):
        set_budget(connection, number + 1)


def verified(database: Database, head: str | None = None) -> AuditReport:
    return asyncio.run(verify_chain(database, head=head))


def found(report: AuditReport) -> list[tuple[str, int | None]]:
    return [(problem.kind, problem.seq) for problem in report.problems]


def sealed(database: Database, blocks: int, *, each: int = 3) -> None:
    """Make so many blocks, each of so many entries."""
    for block in range(blocks):
        for number in range(each):
            database.write_blocking(set_budget, 1 + block * each + number)
        assert database.write_blocking(audit_chain.seal) == each


@pytest.mark.requirement("audit:no-values")
@pytest.mark.parametrize("audited", AUDITED.values(), ids=lambda audited: audited.noun)
def test_every_column_of_an_audited_table_says_whether_entries_hold_its_values(audited: AuditedTable) -> None:
    columns = {column.name: column for column in audited.table.columns}
    groups = (audited.shown, audited.hidden, audited.state)
    assert sorted(name for group in groups for name in group) == sorted(columns)
    assert [name for name in audited.shown if isinstance(columns[name].type, LargeBinary)] == []


@pytest.mark.requirement("audit:no-values")
def test_a_change_of_a_secret_is_told_without_its_value(database: Database) -> None:
    database.write_blocking(set_secret)
    database.write_blocking(set_secret)
    database.write_blocking(lambda connection: connection.execute(delete(secrets)))
    entries = newest(database)
    assert [entry.action for entry in entries] == ["secret.delete", "secret.create"]
    assert {entry.target for entry in entries} == {"TOKEN"}
    assert all("ciphertext" in entry.hidden for entry in entries)
    assert SECRET_VALUE not in json.dumps([entry.model_dump(mode="json") for entry in entries])


@pytest.mark.requirement("audit:no-values")
def test_settings_that_may_hold_addresses_with_tokens_are_told_by_name_only(database: Database) -> None:
    row = {"owner": "ann", "settings": {"webhook": f"https://example.com/{SECRET_VALUE}"}}
    database.write_blocking(lambda connection: connection.execute(insert(alert_settings).values(row)))
    [entry] = newest(database)
    assert (entry.action, entry.target, entry.hidden) == ("alert_settings.create", "ann", ["settings"])
    assert SECRET_VALUE not in entry.model_dump_json()


@pytest.mark.requirement("audit:with-the-change")
def test_a_change_has_its_fields_before_and_after_and_its_origin(database: Database) -> None:
    caller = Caller("ann", "user", key_id="key-1")
    operation = AuditedOperation("http", "PUT /budgets/{scope}", "192.0.2.7", "a browser", "req_1", caller)
    token = CURRENT.set(operation)
    try:
        database.write_blocking(set_budget, 5)
        database.write_blocking(set_budget, 7)
    finally:
        CURRENT.reset(token)
    entry, first = newest(database)
    assert operation.recorded
    assert (first.action, first.before) == ("budget.create", None)
    assert (entry.action, entry.target) == ("budget.change", "home/day")
    assert (entry.before, entry.after) == ({"amount": 5}, {"amount": 7})
    assert (entry.actor, entry.actor_kind, entry.key_id) == ("ann", "user", "key-1")
    assert (entry.address, entry.agent, entry.request_id) == ("192.0.2.7", "a browser", "req_1")
    assert (entry.front_door, entry.operation) == ("http", "PUT /budgets/{scope}")


@pytest.mark.requirement("audit:with-the-change")
def test_a_transaction_that_fails_leaves_neither_the_change_nor_its_entry(database: Database) -> None:
    def fail(connection: Connection) -> None:
        set_budget(connection, 5)
        raise ValueError("after the change")

    with pytest.raises(ValueError, match="after the change"):
        database.write_blocking(fail)
    database.write_blocking(set_secret)
    assert [entry.action for entry in newest(database)] == ["secret.create"]


@pytest.mark.requirement("audit:with-the-change")
def test_what_the_runtime_notes_by_itself_is_no_change(database: Database) -> None:
    database.write_blocking(set_budget, 5)
    before = newest(database)
    database.write_blocking(set_budget, 5)
    database.write_blocking(
        lambda connection: connection.execute(update(AUDITED["budgets"].table).values(updated_at=9))
    )
    assert newest(database) == before


@pytest.mark.requirement("audit:with-the-change")
def test_a_run_that_another_run_started_is_on_record_with_the_runs_alone(database: Database) -> None:
    plain: Any = {"attempts": [], "steps": [], "usage": {}, "timings": {}, "status": "done", "created_at": 1}

    def add(connection: Connection) -> None:
        connection.execute(insert(runs), {**plain, "id": "one", "owner": "ann", "service_id": "w"})
        connection.execute(insert(runs), {**plain, "id": "two", "owner": "ann", "parent_id": "one"})

    database.write_blocking(add)
    [entry] = newest(database)
    assert (entry.action, entry.target, entry.after) == (
        "run.create", "one", {"id": "one", "owner": "ann", "service_id": "w"},
    )  # fmt: skip


@pytest.mark.requirement("audit:lists")
def test_entries_are_found_by_their_filters(database: Database) -> None:
    database.write_blocking(set_budget, 5)
    database.write_blocking(set_secret)
    database.write_blocking(set_secret, "OTHER")
    names = {"secret": 2, "secret.create": 2, "secret.change": 0, "budget": 1, "sec": 0, "s%": 0}
    assert {name: len(newest(database, AuditFilter(action=name))) for name in names} == names
    assert [entry.target for entry in newest(database, AuditFilter(target="OTHER"))] == ["OTHER"]
    assert len(newest(database, AuditFilter(owner="ann"))) == 2
    assert newest(database, AuditFilter(until=1)) == []
    assert len(newest(database, AuditFilter(since=1, until=now() + 1))) == 3


@pytest.mark.requirement("audit:lists")
def test_sealed_entries_are_read_in_their_order_from_any_place_on(database: Database) -> None:
    sealed(database, 2)
    database.write_blocking(set_budget, 99)
    read = database.write_blocking(audit.sealed_after, EVERYTHING, 100, 2)
    assert [entry.seq for entry in read] == [3, 4, 5, 6]


@pytest.mark.requirement("audit:chain")
def test_an_untouched_trail_has_no_problems_and_knows_its_earlier_heads(database: Database) -> None:
    assert verified(database) == AuditReport(entries=0, blocks=0, unsealed=0, head=audit_chain.GENESIS)
    sealed(database, 2)
    head = verified(database).head
    sealed(database, 2)
    database.write_blocking(set_budget, 99)
    report = verified(database, head)
    assert (report.entries, report.blocks, report.unsealed, report.problems) == (12, 4, 1, [])
    assert report.head_found is True
    assert verified(database, "0" * 63 + "1").head_found is False


def _change(connection: Connection) -> None:
    connection.execute(update(audit_entries).where(audit_entries.c.seq == 5).values(actor="nobody"))


def _remove(connection: Connection) -> None:
    connection.execute(delete(audit_entries).where(audit_entries.c.seq == 5))


def _replace(connection: Connection) -> None:
    _remove(connection)
    _insert(connection, 5)


def _insert(connection: Connection, seq: int = 13) -> None:
    names = [column.name for column in audit_entries.columns if column.name not in {"id", "seq", "at"}]
    row = dict.fromkeys(names, "x") | {"at": 1, "seq": seq, "detail": "{}"}
    connection.execute(insert(audit_entries), row)


def _move(connection: Connection) -> None:
    for seq, place in ((5, 500), (6, 5), (500, 6)):
        connection.execute(update(audit_entries).where(audit_entries.c.seq == seq).values(seq=place))


def _change_block(connection: Connection) -> None:
    connection.execute(update(audit_blocks).where(audit_blocks.c.number == 2).values(sealed_at=1))


def _remove_block(connection: Connection) -> None:
    connection.execute(delete(audit_blocks).where(audit_blocks.c.number == 2))
    connection.execute(delete(audit_entries).where(audit_entries.c.seq.between(4, 6)))


def _remove_beginning(connection: Connection) -> None:
    connection.execute(delete(audit_blocks).where(audit_blocks.c.number == 1))
    connection.execute(update(audit_blocks).where(audit_blocks.c.number == 2).values(leaves=None))
    connection.execute(delete(audit_entries).where(audit_entries.c.seq <= 6))


@pytest.mark.requirement("audit:chain")
@pytest.mark.parametrize(
    ("tamper", "problems"),
    [
        (_change, [("changed", 5)]),
        (_remove, [("missing", 5)]),
        (_replace, [("changed", 5)]),
        (_insert, [("inserted", 13)]),
        (_move, [("changed", 5), ("changed", 6)]),
        (_change_block, [("block_changed", None)]),
        (_remove_block, [("chain_broken", None)]),
        (_remove_beginning, [("removed_unrecorded", 6)]),
    ],
)
def test_a_trail_that_was_touched_tells_where(
    database: Database, tamper: Tamper, problems: list[tuple[str, int | None]]
) -> None:
    sealed(database, 4)
    database.write_blocking(tamper)
    assert found(verified(database)) == problems


@pytest.mark.requirement("audit:chain")
def test_a_block_that_was_sealed_anew_no_longer_continues_the_chain(database: Database) -> None:
    sealed(database, 4)
    head = verified(database).head

    def forge(connection: Connection) -> None:
        # The whole trail from the changed entry on, by somebody who knows how it is made.
        _change(connection)
        connection.execute(delete(audit_blocks).where(audit_blocks.c.number >= 2))
        connection.execute(update(audit_entries).where(audit_entries.c.seq > 3).values(seq=None))
        assert audit_chain.seal(connection) == 9

    database.write_blocking(forge)
    report = verified(database, head)
    assert report.problems == []
    assert report.head_found is False


@pytest.mark.requirement("audit:retention")
def test_retention_removes_a_beginning_says_so_and_keeps_the_chain_whole(database: Database) -> None:
    sealed(database, 3)
    middle = now()
    sealed(database, 2)
    asyncio.run(prune_audit(database, middle))
    assert database.write_blocking(audit_chain.seal) == 1
    report = verified(database)
    assert (report.removed_through, report.entries, report.problems) == (9, 7, [])
    [entry] = newest(database, AuditFilter(action=audit_chain.PRUNED))
    assert entry.target == "9"
    asyncio.run(prune_audit(database, now() + 1))
    database.write_blocking(audit_chain.seal)
    assert verified(database).problems == []


@pytest.mark.requirement("audit:replicas")
def test_replicas_that_append_and_seal_at_once_make_one_chain(opened: Callable[[], Database]) -> None:
    writers, rounds = [opened(), opened()], 40

    def append(connection: Connection, name: str) -> None:
        set_secret(connection, name)
        # Long enough for the others to begin in the middle of it.
        connection.execute(text("SELECT 1"))

    async def replica(number: int) -> None:
        database = writers[number]
        for turn in range(rounds):
            await database.write(append, f"S{number}_{turn}")
            await database.write(audit_chain.seal)

    async def both() -> AuditReport:
        await asyncio.gather(replica(0), replica(1))
        await writers[0].write(audit_chain.seal)
        return await verify_chain(writers[1])

    report = asyncio.run(both())
    assert (report.entries, report.unsealed, report.problems) == (2 * rounds, 0, [])
