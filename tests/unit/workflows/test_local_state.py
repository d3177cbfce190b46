"""What a script keeps on disk between runs is told to be lost."""

from __future__ import annotations

import ast

import pytest

from codewords_mcp.runtime.workflows.validation.local_state import check_state

pytestmark = pytest.mark.requirement("workflows:kept-state")


@pytest.mark.parametrize(
    "line",
    [
        'sqlite3.connect("habits.db")',
        "sqlite3.connect(PATH)",
        'aiosqlite.connect("a.db")',
        'shelve.open("kept")',
        'create_engine("sqlite:///habits.db")',
        'open("seen.txt", "a")',
        'open("seen.txt", mode="ab")',
    ],
)
def test_a_database_or_appended_file_is_told_with_what_outlives_a_run(line: str) -> None:
    [check] = check_state(ast.parse(line))
    assert (check.id, check.status, check.line) == ("state", "warning", 1)
    assert "redis_coordinator" in (check.fix or "")


@pytest.mark.parametrize(
    "line",
    [
        'sqlite3.connect(":memory:")',
        'sqlite3.connect("/tmp/work.db")',
        'create_engine("postgresql://db/x")',
        'create_engine("sqlite://")',
        'open("out.csv", "w")',
        'open("in.csv")',
        "client.connect()",
    ],
)
def test_what_a_run_needs_for_itself_is_not_told(line: str) -> None:
    assert check_state(ast.parse(line)) == []
