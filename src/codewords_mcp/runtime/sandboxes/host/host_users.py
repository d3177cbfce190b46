"""Host users for sandboxes: as root each living sandbox is a host user of its own, with no files anywhere else."""

from __future__ import annotations

import os
import secrets
from operator import itemgetter
from pathlib import Path
from typing import Final

_FIRST: Final = 1_000_000
_COUNT: Final = 100_000
# Ids of one fork server: its own, and one for each sandbox that it has at a time.
_BLOCK: Final = 4096
_SMALL_BLOCK: Final = 512
_BLOCKS_FIRST: Final = 2_000_000
_BLOCKS: Final = 1000


class Block:
    """The ids of one fork server: the first two are its own, the others its sandboxes'."""

    def __init__(self, first: int, count: int) -> None:
        self.first = first
        self.count = count
        self._next = 0
        self._taken: set[int] = set()

    def take(self) -> int:
        """A number from 2, to be added to `first`, that no living sandbox has. There are more than there are sandboxes."""
        while True:
            self._next = self._next % (self.count - 2) + 1
            if self._next not in self._taken:
                self._taken.add(self._next)
                return self._next + 1

    def release(self, number: int | None) -> None:
        """The sandbox is gone."""
        self._taken.discard((number or 1) - 1)

    @property
    def full(self) -> bool:
        """Whether nothing is left to take."""
        return len(self._taken) >= self.count - 2


class HostUsers:
    """Free host uids. `take` gives None where sandboxes can only be the caller's own user.

    `blocks` is (first, size of one, how many) for fork servers; None where there are too few ids for them.
    """

    def __init__(
        self, first: int | None, count: int = _COUNT, blocks: tuple[int, int, int] | None = None
    ) -> None:
        self.first = first
        self._count = count
        # At random, so that two runtimes on one host rarely meet.
        self._next = secrets.randbelow(count)
        self._taken: set[int] = set()
        self._blocks = blocks
        if blocks is not None:
            self._next_block = secrets.randbelow(blocks[2])
        else:
            self._next_block = 0
        self._taken_blocks: set[int] = set()

    @classmethod
    def for_this_user(cls) -> HostUsers:
        """As root: uids from 1 000 000, or the last ones that this user namespace (a container's) maps."""
        if os.geteuid() != 0:
            return cls(None)

        ranges = _mapped_ranges()
        last = _BLOCKS_FIRST + _BLOCK * _BLOCKS
        if any(inner <= _FIRST and inner + length >= last for inner, _, length in ranges):
            return cls(_FIRST, blocks=(_BLOCKS_FIRST, _BLOCK, _BLOCKS))

        # The largest range, at its end: a container's own users have the first ids.
        inner, _, length = max(ranges, key=itemgetter(2))
        # At most a quarter: the rest is the container's, and for fork servers.
        count = min(10_000, length // 4)
        if count < 256:
            return cls(None)

        first = inner + length - count
        blocks = min(16, (length // 2 - count) // _SMALL_BLOCK)
        below = first - blocks * _SMALL_BLOCK

        return cls(first, count, (below, _SMALL_BLOCK, blocks) if blocks > 0 else None)

    def take(self) -> int | None:
        """A uid that no living sandbox of this driver has."""
        if self.first is None:
            return None
        while True:
            # Round the range, not the lowest free one: files of an ended sandbox may still be on
            # their way out.
            self._next = (self._next + 1) % self._count
            if self._next not in self._taken:
                self._taken.add(self._next)
                return self.first + self._next

    def release(self, uid: int | None) -> None:
        """The sandbox is gone."""
        if uid is not None and self.first is not None:
            self._taken.discard(uid - self.first)

    def take_block(self) -> Block | None:
        """Ids for a fork server; None for an ordinary user, whose servers and sandboxes are all itself.

        Raises OSError where root has no block left.
        """
        if self.first is None:
            return None

        first, size, count = self._blocks or (0, 0, 0)
        for _ in range(count):
            self._next_block = (self._next_block + 1) % count
            if self._next_block not in self._taken_blocks:
                self._taken_blocks.add(self._next_block)
                return Block(first + self._next_block * size, size)

        # EAGAIN: ids come back as fork servers end.
        raise OSError(11, "this machine has no user ids left for it")

    def release_block(self, block: Block | None) -> None:
        """The fork server and its sandboxes are gone."""
        if block is not None and self._blocks is not None:
            first, size, _ = self._blocks
            self._taken_blocks.discard((block.first - first) // size)


def _mapped_ranges() -> list[tuple[int, int, int]]:
    lines = Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()
    return [
        (int(inner), int(outer), int(length)) for inner, outer, length in (line.split() for line in lines)
    ]
