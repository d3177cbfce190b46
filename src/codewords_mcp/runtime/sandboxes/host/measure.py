"""A sandbox's processes, memory and files, measured from the host, for limits that the kernel does not hold.

The program is hostile: it swaps folders for links while we look, hides files by unlinking them and in sockets, processes
by forking twice, and a process by ending its first thread. Every walk is bounded, follows no link, and reads only.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from codewords_mcp.runtime.sandboxes.host import inflight

LimitReason = Literal["out_of_memory", "disk_full"]
MAX_FILES = 100_000
"""Files and folders that a run may have."""
MAX_DEPTH = 64
"""Folders in folders; deeper ones would be out of reach of any path, so they count as too many."""
FEW_SOCKETS = 16
"""Sockets that are not asked how many bytes wait in them: a pair of TCP's holds some 4 MiB, one of another kind 200 KiB."""
_PROC = "/proc"


@dataclass(slots=True)
class BoundedSum:
    """A sum that stops as soon as it is over its limit."""

    limit: int
    max_files: int = sys.maxsize
    size: int = 0
    files: int = 0
    too_deep: bool = False
    seen: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])

    @property
    def over(self) -> bool:
        """Whether it is past a limit."""
        return self.size > self.limit or self.files > self.max_files or self.too_deep

    def add(self, info: os.stat_result) -> None:
        """Count a file once, whatever its links and openers."""
        # A file with one name is met once; only others need to be remembered.
        if info.st_nlink != 1 and not stat.S_ISDIR(info.st_mode):
            key = (info.st_dev, info.st_ino)
            if key in self.seen:
                return
            self.seen.add(key)
        self.size += info.st_blocks * 512
        self.files += 1


def processes(roots: tuple[int, ...]) -> list[int]:
    """Host pids of a sandbox's processes with all their descendants."""
    # Process 1 and the program, which may be no child of it. Orphans become children of process 1.
    found = list(roots)
    # Grows while it is walked: children of children are found by the same loop.
    for pid in found:
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"{_PROC}/{pid}/task"):
                found += [int(child) for child in _read(f"{_PROC}/{pid}/task/{thread}/children").split()]
    return found


def memory_over(pids: list[int], limit: int) -> bool:
    """Whether they hold more than `limit` bytes of memory together, shared pages counted once."""
    page = os.sysconf("SC_PAGE_SIZE")
    resident = 0

    for pid in pids:
        fields = _read(_living(pid) + "/statm").split()
        resident += int(fields[1]) * page if fields else 0

    hidden = BoundedSum(limit)
    sockets: dict[int, list[int]] = {}
    for pid, number, info in _open_files(pids):
        # Memory files that nobody has mapped are in no process's resident memory.
        if stat.S_ISSOCK(info.st_mode):
            sockets.setdefault(pid, []).append(number)
        elif _is_unlinked(info) and info.st_dev in _shared_memory_devices():
            hidden.add(info)

    beside = hidden.size
    if sum(map(len, sockets.values())) > FEW_SOCKETS:
        beside += inflight.queued(sockets)
    # Cheap, and never less than the truth: shared pages count for each process.
    if resident + beside <= limit:
        return False

    # smaps_rollup walks every page, which takes milliseconds a process: only where it matters.
    return sum(_proportional(pid) for pid in pids) + beside > limit


def used_inodes(folder: Path) -> int:
    """Inodes in use on the folder's file system; 0 where it has no fixed number of them, or the folder is gone."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_files - found.f_ffree


def disk_use(folders: list[Path], pids: list[int], limit: int, max_files: int = MAX_FILES) -> BoundedSum:
    """Return the sum of the folders, and of files that were unlinked while open or mapped, counted to just over its limits."""
    counted = BoundedSum(limit, max_files)
    devices: set[int] = set()

    # A folder that is gone or was exchanged counts nothing; the program itself is what is limited.
    for folder in folders:
        with contextlib.suppress(OSError):
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            devices.add(os.fstat(fd).st_dev)
            _walk(fd, counted, 0)

    for _, _, info in _open_files(pids):
        if _is_unlinked(info) and info.st_dev in devices:
            counted.add(info)
        if counted.over:
            break

    # Mapped files have no descriptor any more: found in the maps, counted by their length.
    if not counted.over:
        counted.size += _unlinked_mapped(pids, devices, counted.seen)
    return counted


def _walk(folder: int, counted: BoundedSum, depth: int) -> None:
    """Add what is below an open folder, and close it."""
    counted.too_deep = counted.too_deep or depth > MAX_DEPTH
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if counted.over:
                    return
                # The program goes on meanwhile: an entry may be gone.
                with contextlib.suppress(OSError):
                    counted.add(entry.stat(follow_symlinks=False))
                    if entry.is_dir(follow_symlinks=False):
                        # Below the open folder and not by its path, of which the program could make
                        # a link meanwhile.
                        _walk(_open_inner(entry.name, folder), counted, depth + 1)
    finally:
        os.close(folder)


def _open_inner(name: str, folder: int) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, dir_fd=folder)


def _is_unlinked(info: os.stat_result) -> bool:
    return info.st_nlink == 0 and stat.S_ISREG(info.st_mode)


def _open_files(pids: list[int]) -> Iterator[tuple[int, int, os.stat_result]]:
    """(pid, descriptor, file) of all that is open, and of what is on its way to a process, by the socket it waits in."""
    for pid in pids:
        folder = _living(pid) + "/fd"
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                with contextlib.suppress(OSError):
                    info = os.stat(f"{folder}/{name}")
                    yield pid, int(name), info
                    # A socket may carry descriptors of files that are open nowhere else.
                    if stat.S_ISSOCK(info.st_mode):
                        for inner in inflight.waiting(pid, int(name)):
                            if stat.S_ISREG(inner.st_mode):
                                yield pid, int(name), inner


def _living(pid: int) -> str:
    """A process's folder in /proc, or a thread's where the first thread has ended: then the process's own is empty."""
    own = f"{_PROC}/{pid}"
    if _read(own + "/statm").startswith("0 "):
        with contextlib.suppress(OSError):
            # A process whose first thread has ended shows no memory and no files of its own.
            for thread in os.listdir(own + "/task"):
                if not _read(f"{own}/task/{thread}/statm").startswith("0 "):
                    return f"{own}/task/{thread}"
    return own


def _unlinked_mapped(pids: list[int], devices: set[int], seen: set[tuple[int, int]]) -> int:
    """Bytes mapped of files that have neither a name nor a descriptor any more."""
    sizes: dict[tuple[int, int], int] = {}
    for pid in pids:
        for line in _read(_living(pid) + "/maps").splitlines():
            if not line.endswith("(deleted)"):
                continue

            span, _, _, device, inode = line.split()[:5]
            major, minor = (int(part, 16) for part in device.split(":"))
            key = (os.makedev(major, minor), int(inode))
            if key[0] in devices and key not in seen:
                start, end = (int(part, 16) for part in span.split("-"))
                # Mappings of one file overlap, in a process and among several: their sum would be
                # too much.
                sizes[key] = max(sizes.get(key, 0), end - start)

    return sum(sizes.values())


def _shared_memory_devices() -> set[int]:
    """The kernel's own tmpfs, where memory files live: all of them are on one device."""
    # Made and asked for its device: nothing names the mount.
    fd = os.memfd_create("probe", os.MFD_CLOEXEC)
    try:
        return {os.fstat(fd).st_dev}
    finally:
        os.close(fd)


def _proportional(pid: int) -> int:
    for line in _read(_living(pid) + "/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _read(path: str) -> str:
    """A file of /proc; empty when its process is gone."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
