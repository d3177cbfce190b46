"""Huge pages for a fork server: a fork copies the page tables of its memory, and one entry stands for 512 pages.

A write splits an entry again, in the process that writes. Where a server's memory stands still (`immortal`), most stay whole.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from . import linux

# Of x86-64, and of aarch64 with pages of 4 KiB. On other machines the kernel refuses.
_SIZE: Final = 2 << 20


def gather() -> Generator[None]:
    """Put this process's memory into huge pages, one at a time, at some 0.5 ms each. Nothing where the kernel has none."""
    for area in linux.private_areas():
        first = -(-area.start // _SIZE) * _SIZE
        for start in range(first, area.end - _SIZE + 1, _SIZE):
            linux.collapse(start, _SIZE)
            yield
