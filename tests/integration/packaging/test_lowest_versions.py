"""The oldest versions of dependencies that `pyproject.toml` allows: each module imports on them, and the runtime answers."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from packaging.requirements import Requirement
from packaging.version import Version
from tests.support.paths import PROJECT
from tests.support.served_runtime import start_runtime
from uv import find_uv_bin

from codewords_mcp import __version__

PROGRAMS = {
    "codewords_mcp.runtime.browser.headless.program",
    "codewords_mcp.runtime.sandboxes.landlock.launch",
    "codewords_mcp.runtime.sandboxes.namespaces.launch",
    "codewords_mcp.runtime.store.migrations.env",
}
"""Modules that something else runs, and that nothing imports."""
IMPORTS = f"""
import importlib, json, pkgutil, sys
from importlib.metadata import distributions
import codewords_mcp
for module in pkgutil.walk_packages(codewords_mcp.__path__, "codewords_mcp."):
    if module.name not in {PROGRAMS!r} and not module.name.endswith(("__main__", "for_pytest")):
        importlib.import_module(module.name)
json.dump({{found.name: found.version for found in distributions()}}, sys.stdout)
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.deep("installs all packages once more"),
    pytest.mark.anyio,
    pytest.mark.requirement("packaging:lowest-versions"),
]


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=250, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def floors() -> dict[str, Version]:
    """The lowest version that each requirement of the product allows."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lowest: dict[str, Version] = {}
    for requirement in map(Requirement, project["dependencies"]):
        bounds = [Version(bound.version) for bound in requirement.specifier if bound.operator in {">=", "=="}]
        assert bounds, f"{requirement} has no lower bound"
        lowest[requirement.name.lower()] = bounds[0]
    return lowest


async def test_on_the_lowest_versions_everything_imports_and_the_runtime_answers(tmp_path: Path) -> None:
    environment = tmp_path / "lowest"
    python = environment / "bin" / "python"
    run(find_uv_bin(), "venv", "--quiet", "--python", sys.executable, environment)
    run(
        find_uv_bin(), "pip", "install", "--quiet", "--compile-bytecode", "--python", python, "--resolution",
        "lowest-direct", "-e", PROJECT,
    )  # fmt: skip

    installed = {
        name.lower(): Version(version) for name, version in json.loads(run(python, "-c", IMPORTS)).items()
    }
    lowest = floors()
    # A requirement of another package can ask for more, but not for most of them.
    exact = [name for name, floor in lowest.items() if installed.get(name) == floor]
    assert len(exact) > len(lowest) * 0.7, installed

    with start_runtime(tmp_path / "home", python=python) as runtime:
        assert runtime.call("GET", "/healthz")["version"] == __version__
        assert runtime.call("GET", "/openapi.json")["paths"]
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {runtime.key}"}, timeout=60) as http,
            Client(streamable_http_client(f"{runtime.url}/mcp", http_client=http), mode="legacy") as client,
        ):
            tools = await client.list_tools()
            assert "run_workflow" in {tool.name for tool in tools.tools}
