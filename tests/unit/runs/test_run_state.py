"""The states of runs: transitions, the columns that go with each, and the one module that names them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import cast, get_args

import pytest
from sqlalchemy import Connection
from tests.support.databases import open_database

from codewords_mcp.errors import RunCancelled
from codewords_mcp.runtime.model import run_state
from codewords_mcp.runtime.model.run import FINISHED, Run, RunStatus
from codewords_mcp.runtime.model.run_columns import FinalStatus, RunColumns
from codewords_mcp.runtime.model.run_state import (
    ACTIVE,
    TRANSITIONS,
    UNFINISHED,
    claimed_by,
    close_attempts,
    error_entry,
    open_attempt,
    to_finished,
    to_provisioned,
    to_queued,
    to_released,
    to_running,
    to_running_service,
    to_starting,
    to_waiting_in_queue,
)
from codewords_mcp.runtime.store import runs
from codewords_mcp.runtime.store.database import Database

pytestmark = pytest.mark.requirement("runs:record")

RUNTIME = Path(run_state.__file__).parent.parent
ERROR = error_entry(RunCancelled("The run was cancelled."))
ATTEMPT = open_attempt(1, 10)
STATUSES: tuple[RunStatus, ...] = get_args(RunStatus)
FINAL: tuple[FinalStatus, ...] = get_args(FinalStatus)


def _ends(status: FinalStatus) -> RunColumns:
    error = None if status == "succeeded" else ERROR
    return to_finished(status, error, 30, close_attempts([ATTEMPT], 30, status))


def _enter(status: RunStatus) -> list[RunColumns]:
    """Each way into a status."""
    match status:
        case "provisioned":
            return [to_provisioned()]
        case "queued":
            return [
                to_queued("workflow"),
                to_queued("retry", attempts=close_attempts([ATTEMPT], 20, "failed"), started_at=10),
                to_waiting_in_queue("time", in_queue=True, not_before=40),
                to_released(close_attempts([ATTEMPT], 20, "interrupted")),
            ]
        case "starting":
            return [to_starting(10), to_starting(10, [ATTEMPT])]
        case "running":
            return [to_running(15, "A"), to_running_service(15)]
        case _:
            return [_ends(status)]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path)
    yield opened
    opened.close()


def _add(database: Database, run_id: str, columns: RunColumns) -> None:
    row: RunColumns = {"id": run_id, "owner": "o", "created_at": 1, "executor": "e", **columns}
    database.write_blocking(lambda c: runs.add(c, row))


def _change(database: Database, run_id: str, columns: RunColumns) -> Run:
    def change(connection: Connection) -> Run | None:
        assert runs.change(connection, run_id, columns)
        return runs.get(connection, run_id)

    run = database.write_blocking(change)
    assert run is not None
    return run


@pytest.mark.parametrize("before", STATUSES)
def test_each_allowed_transition_leaves_a_whole_record(database: Database, before: RunStatus) -> None:
    for after in sorted(TRANSITIONS[before]):
        ways = product(_enter(before), _enter(cast("RunStatus", after)))
        for number, (source, target) in enumerate(ways):
            run_id = f"{after}-{number}"
            _add(database, run_id, source)
            run = _change(database, run_id, target)
            assert run.status == after
            assert (run.completed_at is not None) == (after in FINISHED), (source, target)
            if after != "queued":
                assert run.waits_for is None, (source, target)
            if after in {"queued", "starting"} and "running_at" in target:
                assert run.running_at is None, (source, target)
            if after in FINISHED and after != "succeeded":
                assert run.error is not None


def test_a_final_status_never_changes_and_each_other_status_can_end() -> None:
    assert set(TRANSITIONS) == set(STATUSES)
    assert set(FINAL) == FINISHED
    for status in STATUSES:
        if status in FINISHED:
            assert not TRANSITIONS[status]
        else:
            assert "cancelled" in TRANSITIONS[status]
    assert {status for status in STATUSES if status not in FINISHED} == {"provisioned", *UNFINISHED}
    assert set(ACTIVE) < set(UNFINISHED)


def test_every_way_into_a_status_sets_it_and_says_since_when() -> None:
    for status in STATUSES:
        for columns in _enter(status):
            assert columns.get("status") == status
    assert to_waiting_in_queue("turn", in_queue=False, not_before=None).get("deliveries") == 0
    assert claimed_by("e") == {"executor": "e", "in_queue": False}


def test_only_the_open_attempt_is_closed() -> None:
    first = close_attempts([ATTEMPT], 20, "failed")
    both = close_attempts([*first, open_attempt(2, 25)], 30, "interrupted")
    assert [(a["number"], a["ended_at"], a["outcome"]) for a in both] == [
        (1, 20, "failed"),
        (2, 30, "interrupted"),
    ]
    assert ATTEMPT["ended_at"] is None


def test_a_run_that_is_released_with_its_end_belongs_to_no_executor() -> None:
    released = to_finished("interrupted", ERROR, 30, [], release=True)
    assert "executor" in released
    assert released["executor"] is None
    assert "executor" not in to_finished("interrupted", ERROR, 30, [])


DELIVERIES = {"webhook_dispatcher.py", "webhooks.py"}
"""Deliveries of webhooks have a status of their own."""


def _status_values(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        match node:
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "status":
                        yield value
            case ast.Call(func=ast.Attribute(attr="values"), keywords=keywords):
                yield from (word.value for word in keywords if word.arg == "status")
            case _:
                pass


def test_no_other_module_writes_a_status_of_a_run() -> None:
    found = [
        f"{path.relative_to(RUNTIME)}:{constant.lineno} {constant.value}"
        for folder in ("api", "runs", "store", "triggers")
        for path in sorted((RUNTIME / folder).rglob("*.py"))
        if path.name not in DELIVERIES
        for value in _status_values(ast.parse(path.read_text(encoding="utf-8")))
        for constant in ast.walk(value)
        if isinstance(constant, ast.Constant) and constant.value in STATUSES
    ]
    assert found == []
