"""The system's process table by ps(1), which any POSIX system has. Standard library only: the warden runs this."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field

_COMMAND = ["/bin/ps", "-A", "-o", "pid=", "-o", "ppid=", "-o", "pgid=", "-o", "rss=", "-o", "lstart="]
_SECONDS = 10.0


@dataclass(frozen=True)
class Row:
    """One process. `resident` in bytes; `started` tells it from a later one of the same number."""

    pid: int
    parent: int
    group: int
    resident: int
    started: str


def read() -> list[Row]:
    """Every process; none where ps does not answer."""
    try:
        done = subprocess.run(_COMMAND, capture_output=True, timeout=_SECONDS, check=False, env={})
    except (OSError, subprocess.TimeoutExpired):
        return []
    return parse(done.stdout.decode("ascii", "replace"))


def parse(text: str) -> list[Row]:
    """What ps printed; lines that are not four numbers and a time are left out."""
    rows: list[Row] = []
    for line in text.splitlines():
        *numbers, started = line.split(None, 4) or [""]
        if len(numbers) == 4 and all(word.isdigit() for word in numbers):
            pid, parent, group, kilobytes = map(int, numbers)
            rows.append(Row(pid, parent, group, kilobytes * 1024, started.strip()))
    return rows


@dataclass
class Family:
    """A program's processes. On a system where orphans go to process 1, one belongs that was ever seen below a member, or
    is in a member's group; so the table has to be looked at again and again.
    """

    program: int
    """Pid of the first of them, which leads a group of its own and is not collected before the end."""
    members: dict[int, str] = field(default_factory=dict[int, str])
    """Pid → when it started."""
    groups: set[int] = field(default_factory=set[int])

    def look(self, rows: list[Row]) -> list[Row]:
        """Note new members and forget the dead; returns the living, lowest pids first."""
        rows_by_pid = {row.pid: row for row in rows}
        living = {
            pid
            for pid, started in self.members.items()
            if pid in rows_by_pid and rows_by_pid[pid].started == started
        }
        living |= {self.program} & rows_by_pid.keys()
        groups = {self.program} | {
            rows_by_pid[pid].group for pid in living if rows_by_pid[pid].group in self.groups
        }
        grown = True
        while grown:
            before = len(living)
            living |= {row.pid for row in rows if row.parent in living or row.group in groups}
            groups |= {pid for pid in living if rows_by_pid[pid].group == pid}
            grown = len(living) > before
        self.members = {pid: rows_by_pid[pid].started for pid in living}
        self.groups = groups
        return [rows_by_pid[pid] for pid in sorted(living)]
