"""Types of this folder's fixtures, and the browsers that run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

Steps = Callable[..., dict[str, Any]]


def browsers() -> dict[Path, str]:
    """Command lines of every Chromium in a sandbox of this process, by their folders of /proc: others have theirs."""
    found: dict[Path, str] = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if "chromium" in line and "127.0.0.1:3128" in line and _descends(process):
                    found[process] = line
            except OSError:  # it has ended
                continue
    return found


def _descends(process: Path) -> bool:
    """Whether this process is among its ancestors. Raises OSError."""
    while (parent := int((process / "stat").read_bytes().rpartition(b")")[2].split()[1])) > 1:
        if parent == os.getpid():
            return True
        process = process.with_name(str(parent))
    return False
