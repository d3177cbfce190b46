"""The local driver keeps every promise for an ordinary user, as it does for root."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from tests.integration.sandboxes import as_user

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.testing.sandboxes import Check, Outcome
from codewords_mcp.testing.sandboxes.for_pytest import judge, parametrize

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.requirement("sandbox:conformance", "sandbox:ordinary-user"),
    pytest.mark.skipif(
        os.geteuid() != 0, reason="only root can become another user; as one, test_local is it"
    ),
]


@pytest.fixture(scope="module")
def outcomes(environment: EnvironmentRef, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The suite's report by id. Made once, also where several workers share these tests."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    kept = shared / "ordinary-user.json"
    with (shared / "ordinary-user.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            kept.write_bytes(_report(environment))
    return {outcome["id"]: outcome for outcome in json.loads(kept.read_bytes())["outcomes"]}


def _report(environment: EnvironmentRef) -> bytes:
    """What the suite's command line prints for a user without any rights."""
    with tempfile.TemporaryDirectory(prefix="codewords-user-") as folder:
        own, places = Path(folder) / "own", Path(folder) / "places"
        command, variables = as_user.command(
            Path(folder), environment,
            "-m", "codewords_mcp.testing.sandboxes", "--driver", "local", "--json", "--environment", places / "env",
        )  # fmt: skip
        done = subprocess.run(command, capture_output=True, timeout=390, env=variables, cwd="/", check=False)
        assert done.stdout, done.stderr.decode(errors="replace")[-4000:]
        assert list(own.iterdir()) == [], "the suite left files behind"
    return done.stdout


@parametrize()
def test_the_local_driver_holds_for_an_ordinary_user(check: Check, outcomes: dict[str, Any]) -> None:
    seen = outcomes[check.id]
    judge(Outcome(check, seen["status"], seen["reason"], seen["seconds"]))
