"""The pages of memory that every fork comes to write to, found once, and copied by the server while its fork begins to run.

A page that is shared since a fork is copied by whichever of the two writes first. Where that is the server, on another
processor, the fork finds that the page is its own by now: its first write takes a third of the time, and what its
processor's cache holds is not driven out by copies.
"""

from __future__ import annotations

import array
import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from . import linux

_PAGE: Final = os.sysconf("SC_PAGESIZE")
_PRESENT: Final = 1 << 63
# Bits of /proc/self/pagemap: the page is in memory; no other process has it.
_EXCLUSIVE: Final = 1 << 56
_PIECE: Final = 64
# Seconds between two forks from which on the second is helped. In a crowd each processor has enough
# to do: to copy twice costs more in all than it saves one of them.
_APART: Final = 0.05
# Forks that live and were helped. What they got counts as the server's memory for as long as they
# live, some 8 MiB each.
_MAX_HELPED: Final = 16


class Area(NamedTuple):
    """Pages that follow each other; in bytes."""

    start: int
    length: int


class Helper:
    """Copies `areas` for a fork, if it is worth it."""

    def __init__(self, areas: list[Area]) -> None:
        self.areas = areas
        # On one processor the copies would delay the fork that they are made for.
        self._worth_it = len(os.sched_getaffinity(0)) > 1
        self._last = 0.0
        self._helped: list[int] = []

    def help(self, pid: int, until: int) -> None:
        """Help the fork `pid`, until it is done, or something can be read from `until`."""
        now = time.monotonic()
        last, self._last = self._last, now
        self._helped = [fork for fork in self._helped if _lives(fork)]
        if not self._worth_it or now - last < _APART or len(self._helped) >= _MAX_HELPED:
            return

        self._helped.append(pid)
        for first in range(0, len(self.areas), _PIECE):
            # Asked between pieces: a request that waits is worth more than the rest of the copies.
            if select.select([until], [], [], 0)[0]:
                return
            for start, length in self.areas[first : first + _PIECE]:
                linux.populate(start, length)


def _lives(pid: int) -> bool:
    """Whether a child was not collected yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # The fork became another user since: it exists, and may not be signalled.
        pass
    return True


def learn(work: Callable[[], object]) -> list[Area]:
    """The shared memory that a fork writes to while it does `work`. Empty where the kernel does not report it."""
    areas: list[Area] = []
    with contextlib.suppress(OSError):
        for page in _written(work):
            if areas and sum(areas[-1]) == page:
                areas[-1] = Area(areas[-1].start, areas[-1].length + _PAGE)
            else:
                areas.append(Area(page, _PAGE))
    return areas


def _written(work: Callable[[], object]) -> array.array[int]:
    """Addresses of pages, as such a fork finds them. Raises OSError."""
    ours, theirs = os.pipe()
    pid = os.fork()

    if pid == 0:
        # Its signals are not the server's (`supervisor.Wakeup`), and without a reader it ends.
        signal.set_wakeup_fd(-1)
        os.close(ours)
        with contextlib.suppress(BaseException):
            before = _exclusive(False)
            work()
            # A page that was shared before the work and is the fork's own after it was written to.
            after = _exclusive(True)
            found = array.array("Q", sorted(before & after)).tobytes()
            while found:
                # os.write may write less than it was given.
                found = found[os.write(theirs, found) :]

        os._exit(0)

    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        # Read before the wait: a fork with more addresses than fit the pipe would never end.
        pages = array.array("Q", pipe.read())
    os.waitpid(pid, 0)
    return pages


def _exclusive(exclusive: bool) -> set[int]:
    """Pages in memory that can be written to, which this process has alone, or not. Raises OSError."""
    pages: set[int] = set()
    bits = _PRESENT | (_EXCLUSIVE if exclusive else 0)

    with open("/proc/self/pagemap", "rb", 0) as pagemap:
        for start, end in linux.private_areas():
            entries = array.array(
                "Q", os.pread(pagemap.fileno(), (end - start) // _PAGE * 8, start // _PAGE * 8)
            )
            pages.update(
                start + number * _PAGE
                for number, entry in enumerate(entries)
                if entry & (_PRESENT | _EXCLUSIVE) == bits
            )

    return pages
