"""The suite run by a user without any rights, once for all workers of a test run.

`python -m tests.conformance.ordinary_user AREA ...` prints the table of these areas of checks.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from tests.support import as_user
from tests.support.sandbox_programs import build_environment

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
    """The suite's report as JSON."""
    done = _run(environment, "--json", namespaces=namespaces, capture=True)
    assert done.stdout, done.stderr.decode(errors="replace")[-4000:]
    return done.stdout


def _run(
    environment: EnvironmentRef, *options: str, namespaces: bool = True, capture: bool = False
) -> subprocess.CompletedProcess[bytes]:
    """The suite's command line, run by a user without any rights."""
    with tempfile.TemporaryDirectory(prefix="codewords-user-") as folder:
        own, places = Path(folder) / "own", Path(folder) / "places"
        python = places / "python" / "bin" / f"python{environment.python_version}"
        denying = places / "project" / "tests" / "support" / "without_namespaces.py"
        wrapper = () if namespaces else (denying, python)

        command, variables = as_user.command(
            Path(folder), environment, *wrapper,
            "-m", "codewords_mcp.testing.sandboxes", "--driver", "local", "--environment", places / "env", *options,
        )  # fmt: skip
        done = subprocess.run(
            command, capture_output=capture, timeout=390, env=variables, cwd="/", check=False
        )
        assert list(own.iterdir()) == [], "the suite left files behind"
    return done


if __name__ == "__main__":
    areas = [option for area in sys.argv[1:] for option in ("--only", area)]
    sys.exit(_run(build_environment(), *areas).returncode)
