"""Report a full or read-only disk as such, neither as an internal error nor as the sandbox's."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Final

from codewords_mcp.errors import StorageFailed
from codewords_mcp.errors.remedies import DIAGNOSE

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


class DiskSpace:
    """The space on the disk of a folder, which exists."""

    def __init__(self, folder: Path, low_space: int = LOW_SPACE, *, warning: int = 0) -> None:
        self.folder = folder
        self.low_space = low_space
        self._warning = warning

    def is_nearly_full(self) -> bool:
        """Whether less than `warning` bytes are free. May block."""
        return shutil.disk_usage(self.folder).free < self._warning

    def require(self) -> None:
        """Raise StorageFailed if the disk is full. May block: the disk may be a network's."""
        if shutil.disk_usage(self.folder).free < self.low_space:
            raise StorageFailed(
                f"The disk that holds {self.folder} is full.",
                hint="Free some space and try again.",
                remedy=DIAGNOSE,
            )
