"""Run records and log chunks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.databases import open_database

from codewords_mcp.runtime.model.log_text import Line
from codewords_mcp.runtime.model.run import Run
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.store import logs, recovery, requests, run_purge, runs, usage, workflows
from codewords_mcp.runtime.store.clock import now, rising_texts, to_datetime, to_text
from codewords_mcp.runtime.store.database import Database

pytestmark = [
    pytest.mark.requirement(
        "runs:record", "runs:interrupted", "logs:order", "runs:crash-truth", "runs:durable"
    )
]


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").migrated_url()
    opened = open_database(tmp_path, url)
    yield opened
    opened.close()


def _add(
    database: Database,
    run_id: str,
    status: str = "queued",
    owner: str = "o",
    created_at: int | None = None,
    **more: Any,
) -> None:
    values: dict[str, Any] = {
        "id": run_id,
        "owner": owner,
        "status": status,
        "created_at": created_at or now(),
    } | more
    database.write_blocking(lambda c: runs.add(c, cast("RunColumns", values)))


OPEN = {"number": 1, "started_at": 5, "ended_at": None, "outcome": None}
FAILED = OPEN | {"ended_at": 6, "outcome": "failed"}


def _get(database: Database, run_id: str) -> Run:
    run = database.write_blocking(lambda c: runs.get(c, run_id))
    assert run is not None
    return run


def test_what_a_crash_left_is_interrupted_and_nothing_else_is(database: Database) -> None:
    for status in ("queued", "starting", "running"):
        _add(database, status, status, attempts=[OPEN], executor="dead")
    for status in ("provisioned", "succeeded", "failed", "timed_out", "cancelled"):
        _add(database, status, status)
    left = database.write_blocking(recovery.abandon)
    assert (sorted(left.interrupted), left.again) == (["queued", "running", "starting"], [])
    run = _get(database, "running")
    assert run.status == "interrupted"
    assert run.completed_at is not None
    assert run.error is not None
    assert run.error.origin == "platform"
    assert run.attempts[0].outcome == "interrupted"
    assert _get(database, "succeeded").status == "succeeded"


@pytest.mark.requirement("runs:crash-truth")
def test_a_background_run_is_gone_on_with_unless_it_had_begun_and_asked_for_no_retries(
    database: Database,
) -> None:
    held: dict[str, Any] = {"background": True, "executor": "dead"}
    _add(database, "waited", "queued", **held)
    _add(database, "begun", "running", attempts=[OPEN], **held)
    _add(database, "begun, may again", "running", attempts=[OPEN], retries=1, **held)
    _add(database, "begun, too often", "running", attempts=[FAILED, OPEN], retries=1, **held)
    _add(database, "paused", "queued", attempts=[FAILED], retries=1, **held)
    _add(database, "unwanted", "running", attempts=[OPEN], retries=1, cancel_asked=True, **held)
    _add(database, "in the queue", "queued", background=True, in_queue=True)
    _add(database, "of another", "running", attempts=[OPEN], background=True, executor="alive")
    left = database.write_blocking(lambda c: recovery.abandon(c, ["dead"]))
    assert sorted(left.again) == ["begun, may again", "paused", "waited"]
    assert sorted(left.interrupted) == ["begun", "begun, too often", "unwanted"]
    assert _get(database, "begun").status == "interrupted"
    assert _get(database, "unwanted").status == "cancelled"
    assert _get(database, "of another").status == "running"
    again = _get(database, "begun, may again")
    assert (again.status, [a.outcome for a in again.attempts]) == ("queued", ["interrupted"])
    nobody_has = database.write_blocking(recovery.undelivered)
    assert sorted(row.id for row in nobody_has) == sorted(left.again)


@pytest.mark.requirement("runs:once")
def test_a_waiting_run_is_taken_once_and_only_its_holder_writes_to_it(database: Database) -> None:
    _add(database, "r", "queued", background=True, in_queue=True)
    assert database.write_blocking(lambda c: recovery.claim(c, "r", "one"))
    assert not database.write_blocking(lambda c: recovery.claim(c, "r", "two"))
    late: RunColumns = {"status": "failed"}
    assert not database.write_blocking(lambda c: runs.change(c, "r", late, holder="two"))
    assert database.write_blocking(lambda c: runs.change(c, "r", {"status": "succeeded"}, holder="one"))
    assert not database.write_blocking(lambda c: recovery.claim(c, "r", "two"))
    assert _get(database, "r").status == "succeeded"


@pytest.mark.requirement("runs:durable")
def test_what_a_run_was_asked_is_kept_byte_for_byte_until_it_ends(database: Database) -> None:
    _add(database, "r", "queued", background=True)
    asked = requests.StoredRequest(
        "r", "POST", "/a%2Fb", b"x=%20", [["x", "\xe4"]], bytes(range(256)), timeout=1.5, caller_kind="user"
    )
    database.write_blocking(lambda c: requests.add(c, asked))
    row = database.write_blocking(lambda c: requests.load(c, "r"))
    assert row is not None
    assert row.request == asked
    assert (row.owner, row.cancel_requested) == ("o", False)
    database.write_blocking(lambda c: requests.forget(c, "r"))
    assert database.write_blocking(lambda c: requests.load(c, "r")) is None


def test_pages_are_newest_first_and_complete_also_where_times_are_equal(database: Database) -> None:
    for index in range(7):
        _add(database, f"r{index}", "succeeded", created_at=1000 + index // 3)
    seen: list[str] = []
    before = None
    while True:
        page = database.write_blocking(runs.page, "o", service_id=None, status=None, limit=2, before=before)
        if not page:
            break
        seen += [run.id for run in page]
        before = (1000 + int(page[-1].id[1:]) // 3, page[-1].id)
    assert seen == ["r6", "r5", "r4", "r3", "r2", "r1", "r0"]


def test_provisioned_runs_and_those_of_other_owners_are_not_listed(database: Database) -> None:
    _add(database, "husk", "provisioned")
    _add(database, "theirs", "succeeded", owner="other")
    assert (
        database.write_blocking(
            lambda c: runs.page(c, "o", service_id=None, status=None, limit=9, before=None)
        )
        == []
    )
    assert database.write_blocking(lambda c: runs.get(c, "theirs", "o")) is None


def test_purge_removes_old_finished_runs_with_their_logs(database: Database) -> None:
    _add(database, "old", "succeeded", created_at=5, summed=True)
    _add(database, "live", "running", created_at=5)
    database.write_blocking(lambda c: logs.append(c, [("old", 0, [(to_text(5), "stdout", "hello")])]))
    assert database.write_blocking(lambda c: run_purge.purge(c, 100)) == 1
    assert database.write_blocking(lambda c: runs.get(c, "live")) is not None
    assert database.write_blocking(lambda c: logs.read(c, "old")) == ([], 0, False)


def test_log_chunks_come_back_line_by_line_whatever_the_lines_hold(database: Database) -> None:
    _add(database, "r")
    messages = [
        "plain",
        "",
        "tab\tand \u2028 separator",
        'quote " backslash \\',
        "snow ☃ 🚨",
        "\x85 next line",
    ]
    written: list[Line] = [(to_text(i), "stderr", m) for i, m in enumerate(messages)]
    database.write_blocking(lambda c: logs.append(c, [("r", 0, written[:4]), ("r", 4, written[4:])]))

    def read(from_seq: int, limit_chunks: int = 9) -> tuple[list[Line], int, bool]:
        found, next_seq, more = database.write_blocking(
            lambda c: logs.read(c, "r", from_seq=from_seq, limit_chunks=limit_chunks)
        )
        return [(at, stream, said) for at, stream, said in found], next_seq, more

    assert read(0) == (written, 6, False)
    assert read(3) == (written[3:], 6, False)
    assert read(4) == (written[4:], 6, False)
    assert read(6) == ([], 6, False)
    assert read(0, limit_chunks=1) == (written[:4], 4, True)
    assert database.write_blocking(lambda c: logs.last(c, "r", 3)) == [
        logs.log_line(one) for one in written[-3:]
    ]
    assert database.write_blocking(lambda c: logs.last(c, "r", 0)) == []


def test_who_comes_back_to_a_log_goes_on_at_the_chunk_of_its_last_line(database: Database) -> None:
    _add(database, "r")
    times = rising_texts(1_767_225_599_998_500, 1000, 6)
    assert times == [to_text(1_767_225_599_998_500 + 1000 * n) for n in range(6)], "over the second's end"
    chunks: list[logs.Chunk] = [
        ("r", n, [(times[n], "stdout", "a"), (times[n + 1], "stdout", "b")]) for n in (0, 2, 4)
    ]
    database.write_blocking(lambda c: logs.append(c, chunks))
    asked = [*times, to_text(5), "9999-12-31T23:59:59.999999Z", "9999", "yesterday"]
    found = [database.write_blocking(logs.seq_at, "r", stamp) for stamp in asked]
    assert found == [0, 0, 2, 2, 4, 4, 0, 4, 0, 0]


def test_times_are_fixed_width_and_exact() -> None:
    micros = 1_767_225_599_999_999
    assert to_text(micros) == "2025-12-31T23:59:59.999999Z"
    assert len(to_text(0)) == len(to_text(micros))
    assert to_datetime(micros).microsecond == 999_999


@pytest.mark.requirement("runs:usage")
def test_attempts_add_up_what_cannot_be_told_stays_untold_and_only_the_holder_adds(
    database: Database,
) -> None:
    _add(database, "r", "running", executor="me")
    unknown = usage.SummedUsage(None, None, None, None, None)
    first = usage.SummedUsage(1.0, 50, None, egress_in=5, egress_out=7)
    second = usage.SummedUsage(0.5, 20, None, egress_in=1, egress_out=None)
    for holder, summed in (("me", unknown), ("me", first), ("another", first), ("me", second)):
        database.write_blocking(usage.add, "r", holder, used={"wall_seconds": 1}, steps=[], summed=summed)
    (row,) = database.write_blocking(lambda c: usage.sums(c, "o", by="key", since=0))
    assert row.model_dump(include=set(usage.SUMMED)) == {
        "cpu_seconds": 1.5, "peak_memory": 50, "cost": None, "egress_in": 6, "egress_out": 7,
    }  # fmt: skip
    assert _get(database, "r").usage == {"wall_seconds": 1}


@pytest.mark.parametrize("number", [-1, 0, 2**31, 10**30])
def test_a_number_that_no_version_has_finds_none(database: Database, number: int) -> None:
    assert database.write_blocking(workflows.version, "workflow", number) is None
