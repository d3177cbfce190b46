"""Options of the stdio server: they narrow what the runtime shows, and whatever is not understood refuses to start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.stdio_client import environment


@pytest.mark.requirement("stdio:options")
@pytest.mark.parametrize(
    "options",
    [
        ["--readonly"],
        ["--read-only=false"],
        ["--read-only", "--unknown"],
        ["--toolsets"],
        ["--toolsets="],
        ["--toolsets", "--read-only"],
        ["--toolsets", "Runs"],
        ["--toolsets", "runs", "--toolsets", "secrets"],
        ["--read-only", "serve"],
    ],
)
def test_what_is_not_understood_refuses_to_start(home: Path, options: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "codewords_mcp", *options],
        env=environment(home),
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("codewords-mcp: ")
    assert "--toolsets" in ended.stderr
