"""Locks on files, by which processes of one home tell each other what lives. The kernel drops them with their holder.

By `flock` on Linux and macOS, by a locked byte on Windows: far behind what such a file holds, since a locked byte can't be
read there.
"""

from __future__ import annotations

import os
import sys

CLOSE_ON_EXEC: int = getattr(os, "O_CLOEXEC", 0)
"""For `os.open`; Python's descriptors are not inherited anyway, Windows has no such flag."""

if sys.platform == "win32":
    import msvcrt

    _BYTE = 1 << 30

    def try_lock(fd: int) -> bool:
        """Lock an open file for this descriptor alone. False where another holds it."""
        # Windows locks ranges of bytes from the file's position on, also beyond its end; others
        # could not read a locked range.
        os.lseek(fd, _BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(fd, 0, os.SEEK_SET)
        return True

    def is_held(fd: int) -> bool:
        """Whether another descriptor holds the lock of this open file."""
        if not try_lock(fd):
            return True
        os.lseek(fd, _BYTE, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)
        os.lseek(fd, 0, os.SEEK_SET)
        return False

else:
    import fcntl

    def try_lock(fd: int) -> bool:
        """Lock an open file for this descriptor alone. False where another holds it."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def is_held(fd: int) -> bool:
        """Whether another descriptor holds the lock of this open file."""
        try:
            # A shared lock, so that two processes that look at the same time don't take each other for the holder.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(fd, fcntl.LOCK_UN)
        return False
