"""Admission by free memory and open files: measured use counts, not the limits of programs.

A hundred runs with a limit of 2 GiB each fit into a small machine, since most take a few MiB. What must not happen is that
they start until the kernel has to end one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from codewords_mcp.errors import TooBusy
from codewords_mcp.runtime.model.shortages import RAISE_OPEN_FILES
from codewords_mcp.runtime.sandboxes.host import descriptors

SHARE: Final = 0.1
MAX_RESERVE: Final = 512 << 20
"""Without a setting, a tenth of the machine's memory stays free, and no more than this."""
WAIT_TIMEOUT: Final = 30.0
"""Seconds that a run waits for memory before it is turned away."""
STARTING: Final = 32 << 20
SETTLE: Final = 1.0
"""A run that was let in has not taken its memory yet: for so many seconds, or until it has ended, it counts so many bytes."""
STARTING_FILES: Final = 20
"""The same of open files: a sandbox has pipes, channels and listeners here, and is asked by a connection."""
FILES_SHARE: Final = 8
MAX_FILES_RESERVE: Final = 128
"""An eighth of the limit of open files stays free, and no more than this: for callers, the database and connections outside."""
WAITING: Final = {
    "memory": "Waiting for memory of this machine.",
    "files": "Waiting for open files of the runtime.",
}
"""Lines of a run's log, by the limit of the refusal that it waits out."""
FRESH: Final = 0.25
"""Seconds that a measurement is good for: one costs up to a millisecond. Who was let in meanwhile is counted."""
_POLL: Final = 0.1
_UNLIMITED: Final = 1 << 60
"""cgroup v1 writes no limit as a number near 2^63."""


def available(root: Path = Path("/")) -> int | None:
    """Bytes that can still be taken: the machine's, or less where a control group of ours has a limit. None: not Linux."""
    machine = _meminfo(root).get("MemAvailable")
    if machine is None:
        return None
    return min([machine, *_groups(root)])


def total(root: Path = Path("/")) -> int:
    """Bytes of the machine; 0 where it does not say."""
    return _meminfo(root).get("MemTotal", 0)


def reserve_of(setting: int | None) -> int:
    """Bytes that stay free: what is set, else a share of the machine."""
    if setting is not None:
        return setting
    return min(MAX_RESERVE, int(total() * SHARE))


def _meminfo(root: Path) -> dict[str, int]:
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    return {name: int(rest.split()[0]) << 10 for name, _, rest in (line.partition(":") for line in lines)}


def _groups(root: Path) -> list[int]:
    """Free bytes of the control groups of this process, from its own up to the topmost visible one.

    Format of /proc/self/cgroup: cgroups(7). Page cache that the kernel can drop is not in use.
    """
    found: list[int] = []
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return found

    for line in lines:
        number, controllers, path = line.split(":", 2)
        # Hierarchy 0 is cgroup v2.
        if number == "0":
            top, limit, used = root / "sys/fs/cgroup", "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            top, limit, used = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue

        group = top / path.lstrip("/")
        # Each ancestor's limit applies too.
        for folder in [group, *group.parents]:
            remaining = _remaining(folder, limit, used)
            if remaining is not None:
                found.append(remaining)
            if folder == top:
                break

    return found


def _remaining(folder: Path, limit: str, used: str) -> int | None:
    try:
        limit_bytes = int((folder / limit).read_text(encoding="ascii"))
        taken = int((folder / used).read_text(encoding="ascii"))
        statistics = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):  # not there, or "max"
        return None
    if limit_bytes >= _UNLIMITED:
        return None
    cache = dict(line.split() for line in statistics).get("inactive_file", "0")
    return max(0, limit_bytes - taken + int(cache))


class Headroom:
    """Lets runs in while memory and open files are left. `reserve`: bytes that stay free, None for the default, 0 for none.

    `measure` returns free bytes, `measure_files` how many files may still be opened; None where that is not known.
    """

    def __init__(
        self,
        reserve: int | None,
        *,
        measure: Callable[[], int | None] = available,
        measure_files: Callable[[], int | None] = descriptors.free,
        timeout: float = WAIT_TIMEOUT,
        fresh: float = FRESH,
    ) -> None:
        self._reserve = reserve_of(reserve)
        self._measure = measure
        self._measure_files = measure_files
        self._timeout = timeout
        self._fresh = fresh
        self._measured: tuple[float, int | None, int | None] = (-fresh, None, None)
        self._let_in: dict[object, float] = {}

    def has_room(self) -> bool:
        """Whether another sandbox may start now."""
        return self._refusal() is None

    async def enter(self, on_wait: Callable[[str], object]) -> Callable[[], object]:
        """Return when a run may start a sandbox, having counted it. What is returned is to be called when it has ended.

        `on_wait` is called once if it has to wait, with a key of `WAITING`. Raises TooBusy.
        """
        deadline: float | None = None
        while (refusal := self._refusal()) is not None:
            if deadline is None:
                deadline = time.monotonic() + self._timeout
                on_wait(refusal.limit)

            if time.monotonic() >= deadline:
                raise refusal
            await asyncio.sleep(_POLL)

        # No await between the check and this, so that two runs don't take the same memory.
        run = object()
        self._let_in[run] = time.monotonic()
        return partial(self._let_in.pop, run, None)

    def _refusal(self) -> TooBusy | None:
        """The error of a run that is turned away now; None if it may start."""
        now = time.monotonic()
        if now - self._measured[0] >= self._fresh:
            memory = self._measure() if self._reserve else None
            self._measured = now, memory, self._measure_files()
        _, memory, files = self._measured

        # Runs that were let in a moment ago do not use their memory yet: the measure lacks them.
        while self._let_in:
            oldest, since = next(iter(self._let_in.items()))
            if since >= now - SETTLE:
                break
            del self._let_in[oldest]

        starting = len(self._let_in)
        if memory is not None and memory - starting * STARTING < self._reserve:
            return TooBusy(
                f"This machine has {max(0, memory - starting * STARTING) >> 20} MiB of memory left, and runs start only while "
                f"{self._reserve >> 20} MiB would stay free.",
                retry_after=5,
                limit="memory",
                hint="Try again when other runs or programs have ended, or set CODEWORDS_MEMORY_RESERVE lower.",
            )
        if files is not None and files - starting * STARTING_FILES < self._files_reserve:
            return TooBusy(
                f"The runtime may open {descriptors.limit()} files, and its runs have nearly all of them.",
                retry_after=5,
                limit="files",
                hint=f"Try again when other runs have ended. {RAISE_OPEN_FILES}",
            )
        return None

    @property
    def _files_reserve(self) -> int:
        return min(MAX_FILES_RESERVE, descriptors.limit() // FILES_SHARE)
