"""Folders of environments on disk. They appear and disappear atomically."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable
from pathlib import Path
from typing import TypeVar

from codewords_mcp.errors import StorageFailed

T = TypeVar("T")
UNWRITABLE = "The folder of environments cannot be written: {reason}."
_LOCKS = "locks"
_UNFINISHED = ".tmp-"
_LOCK_SUFFIX = ".lock"


@contextlib.asynccontextmanager
async def unfinished(root: Path) -> AsyncGenerator[Path]:
    """A new folder in `root` to build in, which `collect` leaves alone until it was published or the block has ended.

    The kernel lets the lock beside it go with its process. A process id would tell a runtime in another container, which
    uses the same home, nothing. Raises OSError.
    """
    lock, name = await asyncio.to_thread(_new_lock, root)
    work = name.with_suffix("")
    try:
        work.mkdir(mode=0o700)
        yield work
    finally:
        await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
        name.unlink(missing_ok=True)
        os.close(lock)


def _new_lock(root: Path) -> tuple[int, Path]:
    root.mkdir(parents=True, exist_ok=True)
    while True:
        lock, name = tempfile.mkstemp(dir=root, prefix=_UNFINISHED, suffix=_LOCK_SUFFIX)
        fcntl.flock(lock, fcntl.LOCK_EX)
        # A look of `collect` between these two takes the file away.
        if os.fstat(lock).st_nlink:
            return lock, Path(name)
        os.close(lock)


async def writable(work: Awaitable[T]) -> T:
    """The result of what writes below the folder of environments. Raises StorageFailed where it raises OSError."""
    try:
        return await work
    except OSError as error:
        raise StorageFailed(
            UNWRITABLE.format(reason=error.strerror or type(error).__name__),
            hint="Free some space, or make the folder of CODEWORDS_HOME writable, and try again.",
        ) from error


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
    doomed = folder.with_name(f"{_UNFINISHED}{folder.name}")
    try:
        folder.rename(doomed)
    except OSError:  # another process was first
        return False
    shutil.rmtree(doomed, ignore_errors=True)
    return True


def _collect_unfinished(root: Path) -> None:
    """Remove what builds left whose process is gone, and what was not removed to its end."""
    for lock in root.glob(f"{_UNFINISHED}*{_LOCK_SUFFIX}"):
        # Its build ended meanwhile, or goes on.
        with contextlib.suppress(FileNotFoundError, BlockingIOError), lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)

    for folder in root.glob(f"{_UNFINISHED}*"):
        if folder.suffix != _LOCK_SUFFIX and not folder.with_suffix(_LOCK_SUFFIX).exists():
            shutil.rmtree(folder, ignore_errors=True)


def collect(root: Path, in_use: set[str], older_than: float) -> int:
    """See `Environments.collect`."""
    removed = 0
    now = time.time()
    _collect_unfinished(root)

    for folder in root.iterdir() if root.is_dir() else ():
        try:
            age = now - folder.stat().st_mtime
        except FileNotFoundError:  # another process took it away
            continue

        usable = folder.name != _LOCKS and not folder.name.startswith(_UNFINISHED)
        if usable and folder.name not in in_use and age >= older_than:
            # Locks stay: an environment that is needed again gets the same versions.
            removed += remove(folder)

    return removed
