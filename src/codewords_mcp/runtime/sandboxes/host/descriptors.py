"""Open files: the limit of this process, which launchers and fork servers inherit, and a program's part of it."""

from __future__ import annotations

import resource
from contextlib import suppress


def limit() -> int:
    """The most files that this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


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
