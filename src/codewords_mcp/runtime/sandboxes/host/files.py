"""Removing what a hostile program left on disk."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

logger = structlog.get_logger(__name__)

# Folders deeper than this are moved up before they are emptied: recursion and open descriptors stay
# bounded.
_DEPTH: Final = 40


class Remover:
    """Removes folders one after the other in a thread of its own."""

    # A program may have left 100 000 files, which takes a slow disk minutes. Neither a run nor the
    # end of the runtime waits for that.

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sandbox remover", daemon=True)
        self._thread.start()

    def remove(self, path: Path) -> None:
        """Remove soon."""
        self._queue.put(path)

    def close(self, timeout: float) -> None:
        """Finish within `timeout` seconds, or leave the rest where it is, for the next runtime's janitor."""
        self._queue.put(None)
        # First within the time for what is queued, then once more for the removal that was told to
        # stop.
        self._thread.join(timeout)
        self._stopped.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while (path := self._queue.get()) is not None:
            try:
                remove_tree(path, self._stopped)
            except OSError as error:
                logger.warning("sandbox folder not removed", path=str(path), error=str(error))
            if self._stopped.is_set():
                return


def remove_unused(top: Path, app: Path, tmp: Path) -> bool:
    """Remove the folders of a program that left no file: a few calls. False where anything else is in them.

    Never follows a link. `app` may hold the program's own file, `top` its socket.
    """
    with contextlib.suppress(OSError):
        # Empty, or this is none of the quick cases, and nothing else was touched.
        os.rmdir(tmp)
        folder = os.open(app, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink("main.py", dir_fd=folder)
        finally:
            os.close(folder)
        os.rmdir(app)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(top / "sock")
        os.rmdir(top)
        return True
    return False


def remove_tree(path: Path, stopped: threading.Event | None = None) -> None:
    """Remove a folder whatever is in it: folders nested without end, without permissions, with links to elsewhere.

    Never follows a link. Absent is fine. Leaves the rest when `stopped` is set. Raises OSError where the file system
    refuses.
    """
    try:
        # Opened, never named: a program may exchange folders for links while this walks.
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return

    try:
        names = (f".deep-{number}-{os.urandom(8).hex()}" for number in itertools.count())
        # Emptied again and again: what was too deep has come to the top meanwhile.
        while os.listdir(top):
            _empty(_Removal(top, names, stopped or threading.Event()), top, 0)
            if stopped is not None and stopped.is_set():
                return
    finally:
        os.close(top)

    # Absent where the driver that it belonged to was closed, and its folder moved.
    with contextlib.suppress(FileNotFoundError):
        path.rmdir()


@dataclass(frozen=True, slots=True)
class _Removal:
    top: int
    names: Iterator[str]
    stopped: threading.Event


def _empty(removal: _Removal, folder: int, depth: int) -> None:
    """Remove all in an open folder; what is too deep moves to the top under a new name."""
    for name in os.listdir(folder):
        if removal.stopped.is_set():
            return
        # Most entries are files: one call each, without asking what they are.
        if _removed_at_once(name, folder):
            continue
        if depth >= _DEPTH:
            _move(name, folder, next(removal.names), removal.top)
            continue

        inner = _open_folder(name, folder)
        try:
            _empty(removal, inner, depth + 1)
        finally:
            os.close(inner)

        if removal.stopped.is_set():
            return

        os.rmdir(name, dir_fd=folder)


def _removed_at_once(name: str, folder: int) -> bool:
    """Unlink a file or an empty folder."""
    # A folder: EISDIR on Linux, EPERM elsewhere.
    # Anything else is seen below: absent is fine, and a folder is opened.
    with contextlib.suppress(IsADirectoryError, PermissionError, FileNotFoundError):
        os.unlink(name, dir_fd=folder)
        return True
    with contextlib.suppress(OSError):
        os.rmdir(name, dir_fd=folder)
        return True
    return not _is_there(name, folder)


def _is_there(name: str, folder: int) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def _open_folder(name: str, parent: int) -> int:
    """Open, with permission to list and change it."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        folder = os.open(name, flags, dir_fd=parent)
    except PermissionError:
        # By name, since it cannot be opened. The sandbox has ended: nobody puts a link there any
        # more.
        os.chmod(name, 0o700, dir_fd=parent)
        folder = os.open(name, flags, dir_fd=parent)
    if os.fstat(folder).st_mode & 0o700 != 0o700:
        os.fchmod(folder, 0o700)
    return folder


def _move(name: str, source: int, new: str, target: int) -> None:
    """Rename a folder; that rewrites its "..", which takes permission to write in it."""
    try:
        os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=source)
        os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)
