"""Sandboxes meet their limits on cgroup v2 with its controllers: as root, and as a user to whom a group is delegated."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from tests.support import as_user, v2_machine

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef

pytestmark = [
    pytest.mark.slow,
    pytest.mark.deep("boots a machine"),
    pytest.mark.timeout(900),
    pytest.mark.requirement("sandbox:cgroup-v2"),
    pytest.mark.needs("user-mode linux"),
]
TESTS = [
    "tests/unit/sandboxes/test_group_fork.py",
    "tests/integration/sandboxes/test_group_forks.py",
    "tests/integration/sandboxes/test_limits.py",
]
OF_GROUPS = "group or memory or processors or bomb or threads"
"""Words in the names of those tests that are about cgroups and what these limit."""


def test_forks_are_in_their_cgroups_and_meet_their_limits(
    environment: EnvironmentRef, tmp_path: Path
) -> None:
    options = ["-p", "no:cacheprovider", "-q", "-n", "0", "--color=no", "--tb=short", "-k", OF_GROUPS]
    command = [sys.executable, "-m", "pytest", *options, *TESTS]
    said = v2_machine.run(command, tmp_path, environment=environment.path)
    assert "\nexit status 0" in said, said


def test_an_ordinary_user_with_a_group_has_exact_limits(environment: EnvironmentRef, tmp_path: Path) -> None:
    suite = [sys.executable, "-m", "tests.conformance.ordinary_user", "limits"]
    said = v2_machine.run(suite, tmp_path, environment=environment.path, owner=as_user.NOBODY)
    assert "Tier A" in said, said
    assert "exact_memory_limit, exact_process_limit" in said, said
    assert re.search(r"^(\d+) checks: \1 passed, 0 failed, 0 skipped", said, re.MULTILINE), said
