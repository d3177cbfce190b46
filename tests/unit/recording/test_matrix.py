"""The page on what recordings do says no more than was tried."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter

import pytest
from tests.integration.recording.matrix import CLAIMS, TESTS, WORDS, named_tests, passed, rows


@pytest.mark.requirement("recording:truth")
def test_each_cell_that_claims_something_names_a_test_that_passed() -> None:
    seen = passed()
    cells = [(row.what, column, cell) for row in rows() for column, cell in row.cells.items()]
    assert {cell.word for _, _, cell in cells} <= set(WORDS)
    assert [(what, column) for what, column, cell in cells if cell.word in CLAIMS and not cell.test] == []
    assert [
        (what, column) for what, column, cell in cells if cell.word == "in part" and not cell.reason
    ] == []
    assert [cell.test for _, _, cell in cells if cell.test and not seen.get(cell.test)] == []


@pytest.mark.requirement("recording:truth")
def test_each_test_that_the_matrix_names_is_there() -> None:
    for test in named_tests():
        module, _, function = test.partition("::")
        tree = ast.parse((TESTS / module).read_text(encoding="utf-8"))
        names = {one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert function in names, test


@pytest.mark.slow
@pytest.mark.requirement("recording:truth")
def test_the_counts_are_those_of_the_tests_as_they_are() -> None:
    targets = [str(TESTS / test) for test in named_tests()]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-n", "0", *targets]
    done = subprocess.run(
        command, cwd=TESTS.parent, capture_output=True, encoding="utf-8", timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    there = Counter(
        line.removeprefix("tests/").partition("[")[0] for line in done.stdout.splitlines() if "::" in line
    )
    assert there == passed(), "python -m tests.integration.recording.matrix"
