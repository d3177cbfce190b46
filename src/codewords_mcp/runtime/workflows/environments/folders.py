"""Folders of environments on disk. They appear and disappear atomically."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

_STALE_BUILD = 3600.0
"""Seconds after which a build whose process still lives is given up; longer than all its bounds together."""
_LOCKS = "locks"


def temporary_prefix() -> str:
    """The name prefix of this process's unfinished folders."""
    return f".tmp-{os.getpid()}-"


def write(path: Path, text: str) -> None:
    """Write and sync, so that the rename after it never publishes an empty file."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def publish(work: Path, target: Path, facts: str = "environment.json") -> None:
    """Rename into place; where another process was first, its build is as good. `facts` is a file that each build has."""
    try:
        work.rename(target)
    except OSError:
        if not (target / facts).is_file():
            raise


def remove(folder: Path) -> bool:
    """Rename first, so that an environment half-removed is never taken for one."""
    doomed = folder.with_name(f".tmp-0-{folder.name}")
    try:
        folder.rename(doomed)
    except OSError:  # another process was first
        return False
    shutil.rmtree(doomed, ignore_errors=True)
    return True


def _alive(name: str) -> bool:
    """Whether the process that makes `.tmp-<pid>-…` still runs."""
    pid = name.split("-")[1]
    try:
        # Signal 0 only checks. Not permitted means that the process exists and is another
        # user's.
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return pid != "0"


def collect(root: Path, in_use: set[str], older_than: float) -> int:
    """See `Environments.collect`."""
    removed = 0
    now = time.time()

    for folder in root.iterdir() if root.is_dir() else ():
        try:
            age = now - folder.stat().st_mtime
        except FileNotFoundError:  # another process took it away
            continue

        if folder.name.startswith(".tmp-"):
            # The age as well, since the pid of a crashed build may belong to another process by
            # now.
            if age > _STALE_BUILD or not _alive(folder.name):
                shutil.rmtree(folder, ignore_errors=True)
        elif folder.name != _LOCKS and folder.name not in in_use and age >= older_than:
            # Locks stay: an environment that is needed again gets the same versions.
            removed += remove(folder)

    return removed
