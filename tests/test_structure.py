"""The repository's own rules that no linter knows."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.runtime import make_home
from tests.support.served_runtime import environment

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


_NOT_AT_START = {
    "alembic", "croniter", "cryptography", "dbos", "e2b", "email.headerregistry", "h2", "http.cookiejar", "httpcore2", "httpx", "httpx2", "mcp", "mcp_types", "opentelemetry", "packaging", "pip", "psycopg", "pygments", "pytest", "rich.console",
    "sqlalchemy.dialects.postgresql", "typer", "websockets", "yaml", "codewords_mcp.cli.app", "codewords_mcp.cli.mcp_app", "codewords_mcp.prompts", "codewords_mcp.resources",
    "codewords_mcp.runtime.store.migrations.before_release", "codewords_mcp.runtime.workflows.analysis", "codewords_mcp.runtime.workflows.validation.checks",
    "codewords_mcp.runtime.workflows.validation.leaks", "codewords_mcp.tools",
}  # fmt: skip
"""Modules that a runtime loads when it first needs them, not until it answers."""


@pytest.mark.requirement("structure:quick-runtime")
def test_a_runtime_answers_before_it_loads_what_only_some_calls_need(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    runtime = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "codewords_mcp", "serve", "--detached"],
        env=environment(home) | {"CODEWORDS_PORT": "0"},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    with runtime:
        assert runtime.stderr is not None
        loaded: set[str] = set()
        for line in runtime.stderr:
            if "the runtime listens" in line:
                break
            loaded.add(line.rpartition("|")[2].strip())
        runtime.terminate()
        runtime.stderr.read()

    assert runtime.returncode == 0
    assert "codewords_mcp.http.app" in loaded
    assert sorted(loaded & _NOT_AT_START) == []


@pytest.mark.requirement("structure:quick-runtime")
def test_models_build_their_validators_at_their_first_use_where_they_load_with_the_process() -> None:
    code = (
        "from codewords_mcp.common.frozen_imports import loading\n"
        "with loading():\n"
        "    from codewords_mcp.runtime.model.run import Run\n"
        "    from mcp_types import Tool\n"
        "deferred = [Run.__pydantic_complete__, Tool.__pydantic_complete__]\n"
        "Tool.model_validate({'name': 'x', 'inputSchema': {}})\n"
        "from pydantic import BaseModel\n"
        "class Later(BaseModel):\n"
        "    value: int\n"
        "print(deferred, Tool.__pydantic_complete__, Later.__pydantic_complete__)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=240, check=True
    )
    assert result.stdout.strip() == "[False, False] True True"


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


@pytest.mark.requirement("cli:archives")
def test_one_module_reads_archives_and_nothing_inflates_without_a_bound() -> None:
    reading = re.compile(
        r"tarfile\.open\((?!.*mode=\"w)|zipfile\.ZipFile\((?!.*\"w\")|extractall|unpack_archive|gzip\.(open|decompress)|zlib\.decompress\("
        r"|\.decompress\([^,()]+\)"
    )
    archives = PROJECT / "src" / "codewords_mcp" / "common" / "archives.py"
    files = [
        p
        for root in ("src", "packaging", "packages/codewords-client")
        for p in (PROJECT / root).rglob("*.py")
    ]
    assert reading.search(archives.read_text(encoding="utf-8"))
    found = [
        f"{path.relative_to(PROJECT)}: {match[0]}"
        for path in files
        if path != archives
        for match in reading.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []
