"""A process's memory, as the kernel lists it."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

_PAGE: Final = 4096
_READ, _WRITE, _EXEC = 1, 2, 4
# Bits of /proc/self/pagemap: in memory; swapped out; a file's page.
_PRESENT, _SWAPPED, _OF_FILE = 1 << 63, 1 << 62, 1 << 61
_LARGE: Final = 128 << 10
_MAX_LISTING: Final = 1 << 20


class MappedArea(NamedTuple):
    """A line of /proc/self/maps. `rights` as there ("rw-p"), `offset` in the file `name`, which may be empty.

    `place`: all that it is but its name, which another root changes.
    """

    start: int
    end: int
    rights: str
    offset: int
    name: str
    place: tuple[str, ...]

    @property
    def protection(self) -> int:
        """Of mmap(2)."""
        return sum(
            bit for bit, letter in ((_READ, "r"), (_WRITE, "w"), (_EXEC, "x")) if letter in self.rights
        )


def areas() -> list[MappedArea]:
    """This process's memory."""
    with open("/proc/self/maps", "rb", 0) as file:
        return parse(file.read())


def parse(lines: bytes | bytearray) -> list[MappedArea]:
    """The areas of what /proc/self/maps says."""
    text = lines.decode("utf-8", "surrogateescape")
    found: list[MappedArea] = []
    for line in text.splitlines():
        *place, name = [*line.split(None, 5), ""][:6]
        span, rights, offset = place[:3]
        start, end = (int(address, 16) for address in span.split("-"))
        found.append(MappedArea(start, end, rights, int(offset, 16), name, tuple(place)))
    return found


class Listing:
    """The lines of /proc/self/maps, read into memory that is there already: parsing them takes memory, which is not in them."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._lines = bytearray(_MAX_LISTING)
        self._view = memoryview(self._lines)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._lines))
        # Where each piece begins that the kernel gave, and where the last ends.
        self._offsets = [0]

    def read(self) -> None:
        """Read the lines as they are now. Raises OSError."""
        offsets = [0]
        while count := os.preadv(self._file, [self._view[offsets[-1] :]], offsets[-1]):
            offsets.append(offsets[-1] + count)
        if offsets[-1] == _MAX_LISTING:
            raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
        self._lines[offsets[-1]] = 0
        self._offsets = offsets

    def clear(self) -> None:
        """Forget the lines, before they are read from outside by `repeated`."""
        ctypes.memset(self._address, 0, self._offsets[-1] + 1)

    def repeated(self, other: Listing) -> list[tuple[int, int, int, int]]:
        """Arguments for calls of pread64(2) by which this one gets the lines in the other's pieces, and one for what is more."""
        return [
            (self._file, self._address + offset, _MAX_LISTING - offset, offset) for offset in other._offsets
        ]

    def areas(self) -> list[MappedArea]:
        """Areas of the lines that were read last."""
        return parse(self._lines[: self._offsets[-1]])

    def is_equal(self, other: Listing) -> bool:
        """True if both have the same lines."""
        # With one byte more: zero where the lines end.
        end = max(self._offsets[-1], other._offsets[-1]) + 1
        return self._view[:end] == other._view[:end]


def wiped_areas() -> set[int]:
    """First addresses of areas that a fork gets empty."""
    found: set[int] = set()
    start = 0
    with open("/proc/self/smaps", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            name, _, rest = line.partition(" ")
            if name == "VmFlags:":
                if "wf" in rest.split():
                    found.add(start)
            elif not name.endswith(":"):
                start = int(name.partition("-")[0], 16)
    return found


def own_pages(area: MappedArea) -> Iterator[tuple[int, int]]:
    """Parts of a file's area that are not as in the file; start and end."""
    count = (area.end - area.start) // _PAGE
    with open("/proc/self/pagemap", "rb", 0) as file:
        data = os.pread(file.fileno(), 8 * count, area.start // _PAGE * 8)
    began: int | None = None
    for number, (entry,) in enumerate(struct.iter_unpack("<Q", data)):
        own = bool(entry & (_PRESENT | _SWAPPED)) and not entry & _OF_FILE
        if own and began is None:
            began = number
        if not own and began is not None:
            yield area.start + began * _PAGE, area.start + number * _PAGE
            began = None
    if began is not None:
        yield area.start + began * _PAGE, area.end


def large_pieces(area: MappedArea) -> Iterator[tuple[int, int]]:
    """Parts that glibc has mapped for one large piece of memory each, found by their heads; start and end.

    A page that only looks like that is treated so, which does no harm.
    """
    address = area.start
    while address < area.end:
        _, size = struct.unpack("<QQ", ctypes.string_at(address, 16))
        end = address + (size & ~7)
        if size & 7 == 2 and size >= _LARGE and not end % _PAGE and address < end <= area.end:
            yield address, end
            address = end
        else:
            address += _PAGE
