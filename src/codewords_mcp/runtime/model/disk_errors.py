"""Report a full or read-only disk as such, neither as an internal error nor as the sandbox's."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from codewords_mcp.errors import StorageFailed
from codewords_mcp.errors.remedies import DIAGNOSE, Remedy, RemedyAction

LOW_SPACE: Final = 8 << 20
"""Bytes free below which a disk counts as full: a failing write is blamed on it, and no sandbox finds room."""
_NO_SPACE: Final = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_FULL_DATABASE: Final = "database or disk is full"
"""SQLite's words, also where SQLAlchemy wraps its error."""


def full_disk(error: BaseException) -> StorageFailed | None:
    """Return the error to raise if the disk is full or read-only; None for every other error."""
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        return StorageFailed(
            "The disk is read-only.",
            hint="Make it writable, or set CODEWORDS_HOME to a folder on another disk.",
        )

    no_space = isinstance(error, OSError) and error.errno in _NO_SPACE
    if no_space or _FULL_DATABASE in str(error):
        return StorageFailed(
            "The disk is full.",
            hint="Free some space and try again.",
            remedy=DIAGNOSE,
        )

    return None


def deleted_folder(folder: Path) -> StorageFailed:
    """The error to raise where a folder is gone that the runtime needs."""
    # Sockets with long paths are named by the descriptor of a folder above them (`host.paths`).
    if folder.parts[:4] == ("/", "proc", "self", "fd"):
        above = str(Path(*folder.parts[:5]).readlink()).removesuffix(" (deleted)")
        folder = Path(above, *folder.parts[5:])
    return StorageFailed(
        f"The folder {folder} was deleted while the runtime used it.",
        hint="Then put back what is missing, and start it again.",
        remedy=Remedy(RemedyAction.STOP_RUNTIME),
    )


def require_folder(folder: Path) -> None:
    """Raise StorageFailed where a folder that the runtime needs was deleted. May block."""
    if not folder.is_dir():
        raise deleted_folder(folder)


class DiskSpace:
    """The disk of a folder: how much room it has, and whether it takes new files."""

    def __init__(self, folder: Path, low_space: int = LOW_SPACE, *, warning: int = 0) -> None:
        self.folder = folder
        self.low_space = low_space
        self._warning = warning

    def is_nearly_full(self) -> bool:
        """Whether less than `warning` bytes are free. False where the folder was deleted. May block."""
        with suppress(StorageFailed):
            return self.free_bytes() < self._warning
        return False

    def free_bytes(self) -> int:
        """Bytes that are free for everybody. Raises StorageFailed where the folder was deleted. May block."""
        try:
            return shutil.disk_usage(self.folder).free
        except FileNotFoundError as error:
            raise deleted_folder(self.folder) from error

    def require(self) -> None:
        """Raise StorageFailed unless the disk has room and takes a new file with a byte in it, as each run needs.

        May block: the disk may be a network's.
        """
        try:
            full = self.free_bytes() < self.low_space
            if not full:
                self._write_byte()
        except FileNotFoundError as error:
            raise deleted_folder(self.folder) from error
        except OSError as error:
            # The free bytes say nothing of used-up inodes, a quota or a failing device.
            raise full_disk(error) or StorageFailed(
                f"The disk that holds {self.folder} takes no files: {(error.strerror or str(error)).lower()}.",
                hint="Look into the system's log for a failing disk.",
            ) from error
        if full:
            raise StorageFailed(
                f"The disk that holds {self.folder} is full.",
                hint="Free some space and try again.",
                remedy=DIAGNOSE,
            )

    def _write_byte(self) -> None:
        """Raises OSError."""
        # A fixed name: a file that a kill leaves behind is overwritten, and never one of many.
        path = self.folder / f".write-test-{os.getpid()}"
        with suppress(FileNotFoundError):
            path.unlink()
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, b"\n")
        finally:
            os.close(fd)
            path.unlink()
