"""Variables of the environment that proxies and runtimes compare."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.served_runtime import environment

from codewords_mcp.stdio.variables import variable_fingerprints

_CONNECT = """
import json, os, sys
from codewords_mcp.stdio.home import RuntimeInfo
from codewords_mcp.stdio.home_lock import HomeLock
from codewords_mcp.stdio.runtime_address import HomeRuntime
from codewords_mcp.stdio.variables import variable_fingerprints
from codewords_mcp import __version__

started = json.loads(sys.argv[1])
lock = HomeLock(os.environ["CODEWORDS_HOME"])
lock.publish(RuntimeInfo(
    "http://127.0.0.1:1", os.getpid(), __version__, "cwk-key", "2026-01-01T00:00:00Z",
    settings={"concurrency": "another"}, variables=variable_fingerprints(started, "cwk-key"),
))
proxy = HomeRuntime({})
proxy.target()
print(json.dumps(["pydantic" in sys.modules, proxy.take_note()]))
"""


def _connect(home: Path, started_with: dict[str, str], **mine: str) -> tuple[bool, str]:
    """Whether a proxy read the settings, and its note, where the runtime was started with these variables."""
    told = subprocess.run(
        [sys.executable, "-c", _CONNECT, json.dumps(started_with)],
        env=environment(home) | mine, capture_output=True, encoding="utf-8", timeout=240, check=True,
    )  # fmt: skip
    read, note = json.loads(told.stdout)
    return read, note


@pytest.mark.requirement("stdio:known-variables")
def test_a_proxy_with_the_variables_of_its_runtime_reads_no_settings(tmp_path: Path) -> None:
    same = environment(tmp_path) | {"CODEWORDS_CONCURRENCY": "7"}
    assert _connect(tmp_path, same, CODEWORDS_CONCURRENCY="7") == (False, "")


@pytest.mark.requirement("stdio:known-variables")
@pytest.mark.parametrize("other", ["8", ""])
def test_a_proxy_with_another_variable_says_that_it_is_ignored(tmp_path: Path, other: str) -> None:
    started_with = environment(tmp_path) | ({"CODEWORDS_CONCURRENCY": other} if other else {})
    read, note = _connect(tmp_path, started_with, CODEWORDS_CONCURRENCY="7")
    assert read
    assert "CODEWORDS_CONCURRENCY is ignored" in note


@pytest.mark.requirement("stdio:known-variables")
def test_no_fingerprint_tells_a_value_without_the_key() -> None:
    variables = {"CODEWORDS_MASTER_KEY": "secret", "CODEWORDS_HOME": "/home", "PATH": "/bin"}
    mine, others = (variable_fingerprints(variables, key) for key in ("cwk-a", "cwk-b"))
    assert list(mine) == ["CODEWORDS_MASTER_KEY"]
    assert mine != others
    assert "secret" not in str(mine)
