"""Open files: the limit of this process, which launchers and fork servers inherit, and a program's part of it."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path
from typing import Final

_OPEN: Final = Path("/proc/self/fd")
_FEW: Final = 4096
"""Below it, at some 200 runs at once, doctor and the log say that it is low."""


def limit() -> int:
    """The most files that this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def free() -> int | None:
    """The number of files that this process may still open; None where that is not known."""
    # The size of this folder is the number of open files since Linux 6.2, and 0 before.
    with suppress(OSError):
        return limit() - (_OPEN.stat().st_size or sum(1 for _ in _OPEN.iterdir()))
    return None


def few() -> str | None:
    """The sentence about a limit that is low, which a runtime started from here would have; None if it is not."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= _FEW:
        return None
    return f"a runtime may open {hard} files here: few runs at once, and others wait or are turned away"


def raise_limit() -> None:
    """Take as many as the machine lets this process have; shells start programs with 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def of_program(most: int) -> int:
    """The limit of a program's process: at most half of this process's.

    The kernel compares it also with the descriptors that are in messages between processes of one user, and all sandboxes
    of an ordinary user's runtime are that user. So whoever starts sandboxes can still send while a program sends all it may.
    """
    return min(most, limit() // 2)
