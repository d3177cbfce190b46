"""The processes below the supervisor, by /proc: orphans become its children, so nothing of the sandbox is elsewhere."""

from __future__ import annotations

import os


def children(pid: int) -> list[int]:
    """Pids of a process's children; none when it is gone."""
    found: list[int] = []
    for task in tasks(pid):
        found += [int(child) for child in _read(f"/proc/{pid}/task/{task}/children").split()]
    return found


def tasks(pid: int) -> list[int]:
    """Threads of a process; none when it is gone."""
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def below(top: int) -> set[int]:
    """Pids of all processes that descend from `top`."""
    found: set[int] = set()
    waiting = children(top)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children(pid)
    return found


def is_still(pid: int) -> bool:
    """Whether a process is stopped, dead or gone."""
    # The name in brackets may contain spaces and brackets.
    state = _read(f"/proc/{pid}/stat").rpartition(") ")[2][:1]
    return state in ("", "T", "t", "Z", "X")


def count(top: int, enough: int) -> int:
    """Threads of all processes below `top`, itself left out, counted up to `enough`."""
    total, waiting = 0, children(top)
    # Counted up to a number: a program with thousands of threads must not make each fork slow.
    while waiting and total < enough:
        pid = waiting.pop()
        total += len(tasks(pid))
        waiting += children(pid)
    return total


def process_of(thread: int) -> int:
    """The process of a thread. Raises OSError where it is gone."""
    with open(f"/proc/{thread}/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("Tgid:"):
                return int(line.split()[1])
    raise ProcessLookupError


def is_below(pid: int, top: int) -> bool:
    """Whether a process, or a thread, descends from `top`."""
    while pid > 1:
        fields = dict(line.split(":", 1) for line in _read(f"/proc/{pid}/status").splitlines() if ":" in line)
        if "PPid" not in fields:
            return False
        pid = int(fields["PPid"])
        if pid == top:
            return True
    return False


def exists(pid: int) -> bool:
    """Whether there is such a process or thread."""
    return os.path.isdir(f"/proc/{pid}")


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
