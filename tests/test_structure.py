"""The repository's own rules that no linter knows."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
LIMIT = 500
PATCH = "." + "setattr("
MAX_PATCHES = 70
"""Attributes that tests replace, over all: at most one for each hundred tests. It only sinks."""


def _sources() -> list[Path]:
    return [p for root in ("src", "packages", "tests", "benchmarks") for p in (PROJECT / root).rglob("*.py")]


@pytest.mark.requirement("structure:sizes")
def test_no_module_is_longer_than_the_limit() -> None:
    long = {
        str(p.relative_to(PROJECT)): n
        for p in _sources()
        if (n := len(p.read_text(encoding="utf-8").splitlines())) > LIMIT
    }
    assert long == {}


@pytest.mark.requirement("structure:sizes")
def test_tests_give_parameters_instead_of_replacing_attributes() -> None:
    tests = [path.read_text(encoding="utf-8") for path in (PROJECT / "tests").rglob("*.py")]
    assert sum(text.count(PATCH) for text in tests) <= MAX_PATCHES


@pytest.mark.requirement("structure:sizes")
def test_helpers_are_imported_from_helper_modules_and_never_from_tests() -> None:
    imports = re.compile(r"^\s*from (?:tests\S*)?\.test_\w+ import", re.MULTILINE)
    files = (path for path in (PROJECT / "tests").rglob("*.py"))
    assert [path.name for path in files if imports.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.requirement("structure:layers")
def test_the_import_contracts_hold() -> None:
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    result = subprocess.run(
        command, cwd=PROJECT, capture_output=True, encoding="utf-8", timeout=100, check=False
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.requirement("structure:light-start")
def test_the_package_and_the_front_import_no_third_party_code() -> None:
    code = (
        "import sys; before = set(sys.modules); import codewords_mcp.stdio; "
        "new = {m.split('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names) - {'codewords_mcp'}; "
        "print(sorted(new))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=240, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.requirement("structure:quick-runtime")
def test_the_runtime_starts_without_what_only_some_homes_need() -> None:
    code = (
        "import sys, codewords_mcp.logging, codewords_mcp.cli._lifecycle; "
        "unneeded = {'dbos', 'psycopg', 'alembic', 'yaml', 'croniter', 'e2b', 'httpx', 'rich', 'pygments'}; "
        "print(sorted(unneeded & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=240, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.requirement("structure:quick-runtime")
def test_a_runtime_that_may_not_start_says_so_before_it_loads_what_it_would_serve_with(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "codewords_mcp", "serve", "--port", str(taken.getsockname()[1])],
            env={**os.environ, "CODEWORDS_HOME": str(tmp_path)}, capture_output=True, encoding="utf-8", timeout=240, check=False,
        )  # fmt: skip
    assert refused.returncode == 2
    assert "another program has it" in refused.stderr
    loaded = {line.rpartition("|")[2].strip() for line in refused.stderr.splitlines()}
    assert "codewords_mcp.settings" in loaded
    assert not loaded & {"mcp", "sqlalchemy", "starlette", "uvicorn"}


@pytest.mark.requirement("structure:quick-runtime")
def test_no_collection_looks_for_garbage_among_what_is_loaded_and_those_after_it_do_among_the_rest() -> None:
    code = (
        "import gc\n"
        "from codewords_mcp.common.frozen_imports import loading\n"
        "before = sum(one['collections'] for one in gc.get_stats())\n"
        "with loading():\n"
        "    import codewords_mcp.settings\n"
        "print(sum(one['collections'] for one in gc.get_stats()) - before, gc.get_freeze_count() > 10_000, gc.isenabled())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=240, check=True
    )
    assert result.stdout.split() == ["0", "True", "True"]
