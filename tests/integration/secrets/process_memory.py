"""Looks for a value in the memory and environment of other processes, as root or whoever may trace them."""

from __future__ import annotations

from pathlib import Path


def holds(pid: int, value: bytes) -> bool:
    """Whether a process has the value anywhere in what it can read; one that has ended meanwhile has nothing. Raises
    PermissionError where we may not look.
    """
    try:
        return _holds(Path("/proc") / str(pid), value)
    except (FileNotFoundError, ProcessLookupError):
        return False


def _holds(process: Path, value: bytes) -> bool:
    if value in (process / "environ").read_bytes():
        return True
    with (process / "mem").open("rb", buffering=0) as memory:
        for line in (process / "maps").read_text(encoding="utf-8", errors="replace").splitlines():
            span, rights, *_ = line.split()
            start, end = (int(part, 16) for part in span.split("-"))
            if "r" not in rights or end - start > 1 << 28:
                continue
            try:
                memory.seek(start)
                if value in memory.read(end - start):
                    return True
            except (OSError, ValueError, OverflowError):
                continue  # what the kernel keeps to itself
    return False


def processes(words: str) -> list[int]:
    """Those whose command line has these words."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if words in command:
                found.append(int(folder.name))
    return found
