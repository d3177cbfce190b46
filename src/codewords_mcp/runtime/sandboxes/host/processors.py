"""The load of this machine's processors at this moment."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

COUNT: Final = os.cpu_count() or 1
LOAD: Final = Path("/proc/loadavg")


def busy(load: Path = LOAD) -> bool:
    """Whether others keep all processors: whatever starts now takes turns with them. False where the kernel does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return runnable(load.read_text(encoding="ascii")) > COUNT
    return False


def runnable(line: str) -> int:
    """The number of threads that run or wait for a processor, from a line of `/proc/loadavg`. The reader is one of them."""
    return int(line.split()[3].partition("/")[0])
