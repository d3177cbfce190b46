"""Disks of a test's own, in a mount namespace that ends with the process that runs in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.runtime import warm_folder
from tests.support.served_runtime import ServedRuntime

_MOUNT = """
set -e
kind=$1 device=$2 options=$3 home=$4 warm=$5
shift 5
mount -t "$kind" -o "$options" "$device" "$home"
mkdir -p "$home-run"
ln -s "$home-run" "$home/run"
ln -s "$warm/environments" "$warm/cache" "$home"
exec "$@"
"""
_MOUNT_WITH_LOG = _MOUNT.replace('exec "$@"', 'exec "$@" >>"$home/serve.log" 2>&1')
FILL_DISK = """
import contextlib, sqlite3
database = sqlite3.connect("codewords.db", isolation_level=None)
database.execute("CREATE TABLE IF NOT EXISTS ballast (x)")
while database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
    pass
with open("ballast", "wb", buffering=0) as file, contextlib.suppress(OSError):
    while True:
        file.write(bytes(4096))
try:
    for _ in range(500):
        database.execute("INSERT INTO ballast VALUES (0)")
except sqlite3.OperationalError as error:
    print(error)
"""
"""A program that fills the disk of a home to the last byte, also the room left in the database's log; prints SQLite's refusal."""
_APART = ["unshare", "--mount", "--propagation", "private"]


def on_disk(kind: str, device: str, options: str, home: Path, *, with_log: bool = False) -> list[str]:
    """A command before another one that mounts a disk at `home`. `with_log`: the log of what follows is on it, too."""
    script = _MOUNT_WITH_LOG if with_log else _MOUNT
    return [*_apart(), "sh", "-c", script, "sh", kind, device, options, str(home), str(warm_folder())]


def require_mounts() -> None:
    """Skip the test where this user may not mount anything."""
    tried = subprocess.run(
        [*_apart(), "mount", "-t", "tmpfs", "none", "/mnt"], check=False, capture_output=True
    )
    if tried.returncode:
        pytest.skip("this user may not mount anything, not even in a namespace of its own")


def run_inside(runtime: ServedRuntime, folder: Path, code: str) -> str:
    """Output of a program in a folder as the runtime sees it. SQLite would follow the link in /proc out of the namespace."""
    enter = ["nsenter", f"--target={runtime.pid}", "--mount"]
    if os.geteuid() != 0:
        enter += ["--user", "--preserve-credentials"]
    program = [sys.executable, "-c", f"import os; os.chdir({str(folder)!r})\n{code}"]
    return subprocess.run([*enter, *program], check=True, capture_output=True, encoding="utf-8").stdout


def _apart() -> list[str]:
    return _APART if os.geteuid() == 0 else [*_APART, "--map-root-user"]
