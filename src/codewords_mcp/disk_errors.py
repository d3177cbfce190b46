"""Report a full or read-only disk as such, neither as an internal error nor as the sandbox's."""

from __future__ import annotations

import errno
from typing import Final

from codewords_mcp.errors import StorageFailed
from codewords_mcp.remedies import DIAGNOSE

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
