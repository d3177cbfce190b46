"""A file of exported secrets is whole or not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from codewords_mcp.cli.secret_files import _write  # pyright: ignore[reportPrivateUsage]
from codewords_mcp.errors import Conflict

KILLED = """
import os, pathlib, sys
from codewords_mcp.cli import secret_files
os.fsync = lambda _: os._exit(9)  # in the middle: written, and not yet under its name
secret_files._write(pathlib.Path(sys.argv[1]), b"half of it")
"""


@pytest.mark.requirement("secrets:export")
def test_an_export_that_is_killed_leaves_no_file_of_that_name_and_can_be_made_again(tmp_path: Path) -> None:
    target = tmp_path / "secrets.age"
    assert subprocess.run([sys.executable, "-c", KILLED, str(target)], check=False).returncode == 9
    assert not target.exists()
    _write(target, b"all of it")
    assert target.read_bytes() == b"all of it"
    with pytest.raises(Conflict):
        _write(target, b"another")
    assert target.read_bytes() == b"all of it"
