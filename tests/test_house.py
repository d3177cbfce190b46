"""The repository's own rules that no linter knows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
LIMIT = 500


def _sources() -> list[Path]:
    return [p for root in ("src", "packages", "tests", "benchmarks") for p in (PROJECT / root).rglob("*.py")]


@pytest.mark.requirement("house:sizes")
def test_no_module_is_longer_than_the_limit() -> None:
    long = {
        str(p.relative_to(PROJECT)): n
        for p in _sources()
        if (n := len(p.read_text(encoding="utf-8").splitlines())) > LIMIT
    }
    assert long == {}


@pytest.mark.requirement("house:layers")
def test_the_import_contracts_hold() -> None:
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    result = subprocess.run(
        command, cwd=PROJECT, capture_output=True, encoding="utf-8", timeout=100, check=False
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.requirement("house:light-start")
def test_the_package_and_the_front_import_no_third_party_code() -> None:
    code = (
        "import sys; before = set(sys.modules); import codewords_mcp.front; "
        "new = {m.split('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names) - {'codewords_mcp'}; "
        "print(sorted(new))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=60, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.requirement("house:quick-runtime")
def test_the_runtime_starts_without_the_line_of_waiting_runs_and_without_a_database_driver() -> None:
    code = (
        "import sys, codewords_mcp.cli._lifecycle; "
        "print(sorted({'dbos', 'psycopg', 'alembic', 'yaml', 'croniter', 'e2b'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=60, check=True
    )
    assert result.stdout.strip() == "[]"
