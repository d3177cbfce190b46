"""Processes, by what the kernel says of them."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from tests.support.waiting import until_async


def descendants(pid: int, without: Collection[int] = ()) -> list[int]:
    """The process and all that descend from it, by the kernel's own list; not those of `without`, nor what these start."""
    found = [pid]
    for parent in found:
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            for thread in Path(f"/proc/{parent}/task").iterdir():
                children = map(int, (thread / "children").read_text(encoding="utf-8").split())
                found += [child for child in children if child not in without]
    return found


def alive(pid: int) -> bool:
    """Whether it runs. One that has ended stays a zombie until its parent has taken its exit code."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


def exists(pid: int) -> bool:
    """Whether there is one of that number, be it a zombie."""
    return Path(f"/proc/{pid}").exists()


def running_with(argument: str) -> list[int]:
    """Processes of this machine that were started with this argument, also those in sandboxes."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and argument.encode() in (folder / "cmdline").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


async def until_gone(pids: list[int]) -> None:
    """Wait until none of them exists, not even as a zombie."""
    await until_async(lambda: not any(map(exists, pids)), f"processes {pids} to be gone", 20)


SHARED_SERVERS: set[int] = set()
"""Children of this process that work for one test after another, until its end: what each test costs is in them too."""


def processor_seconds(pid: int) -> float:
    """The processor time of a process and of those it has waited for; 0 once it was waited for itself."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    ticks = stat.rpartition(")")[2].split()[11:15]  # utime, stime, cutime, cstime
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
