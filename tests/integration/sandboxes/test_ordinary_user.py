"""What holds for root holds for an ordinary user: the same tests, as another user."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.local.files import remove_tree

from . import as_user

pytestmark = [
    pytest.mark.slow,
    pytest.mark.requirement("sandbox:ordinary-user"),
    pytest.mark.skipif(
        os.geteuid() != 0, reason="only root can become another user; as one, the other tests are it"
    ),
]


@pytest.mark.parametrize(
    "module",
    [
        "test_serving",
        "test_failing",
        "test_limits",
        "test_isolation",
        "test_network",
        "test_tiers",
        "test_fork_servers",
    ],
)
def test_the_suite_holds_for_an_ordinary_user(environment: EnvironmentRef, module: str) -> None:
    with tempfile.TemporaryDirectory(prefix="codewords-user-") as folder:
        project, own = Path(folder) / "places" / "project", Path(folder) / "own"
        command, variables = as_user.command(
            Path(folder), environment, "-m", "pytest", "-p", "no:cacheprovider",
            f"--rootdir={project}", f"--basetemp={own}/tmp", project / f"tests/integration/sandboxes/{module}.py",
        )  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", timeout=110, env=variables, cwd="/", check=False
        )
        remove_tree(
            own
        )  # on a busy machine folders nested without end may be left, which rmtree cannot remove
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
