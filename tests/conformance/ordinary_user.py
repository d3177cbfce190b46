"""The suite run by a user without any rights, once for all workers of a test run."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from tests.support import as_user

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef


def report_once(
    environment: EnvironmentRef, folders: pytest.TempPathFactory, *, namespaces: bool
) -> dict[str, Any]:
    """The suite's report on the `local` driver. Without `namespaces` a filter of system calls denies them."""
    shared = folders.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    name = "ordinary-user" if namespaces else "ordinary-user-without-namespaces"
    path = shared / f"{name}.json"
    with (shared / f"{name}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            path.write_bytes(_report(environment, namespaces=namespaces))
    return json.loads(path.read_bytes())


def _report(environment: EnvironmentRef, *, namespaces: bool) -> bytes:
    """The output of the suite's command line for a user without any rights."""
    with tempfile.TemporaryDirectory(prefix="codewords-user-") as folder:
        own, places = Path(folder) / "own", Path(folder) / "places"
        python = places / "python" / "bin" / f"python{environment.python_version}"
        denying = places / "project" / "tests" / "support" / "without_namespaces.py"
        wrapper = () if namespaces else (denying, python)

        command, variables = as_user.command(
            Path(folder), environment, *wrapper,
            "-m", "codewords_mcp.testing.sandboxes", "--driver", "local", "--json", "--environment", places / "env",
        )  # fmt: skip
        done = subprocess.run(command, capture_output=True, timeout=390, env=variables, cwd="/", check=False)
        assert done.stdout, done.stderr.decode(errors="replace")[-4000:]
        assert list(own.iterdir()) == [], "the suite left files behind"
    return done.stdout
