"""Holds the limits that the kernel does not: disk everywhere, memory where there is no cgroup.

One thread for all sandboxes of a driver. A measurement that took t seconds is repeated after 20 t at the earliest, but files
are counted at once where the file system has gained as many as a sandbox still may have. A sandbox could otherwise make any
number of files while the count of its first ones is paid off. The kernel holds no such bound on most machines: project quotas
are off by default, and the pages of a tmpfs are memory, of which a program has less than of the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from codewords_mcp.runtime.sandboxes.base import SandboxSpec
from codewords_mcp.runtime.sandboxes.host import measure, paths

_TICK: Final = 0.1
_MEMORY_SECONDS: Final = 0.1
_DISK_SECONDS: Final = 0.5
_COST_FACTOR: Final = 20.0


class _WatchedFolders(Protocol):
    @property
    def folders(self) -> paths.Folders: ...


class WatchedSandbox(Protocol):
    """A sandbox that the watchdog measures: processes with all below them, its cgroup, its folders."""

    @property
    def roots(self) -> tuple[int, ...]:
        """See `measure.processes`; empty when there is nothing to measure (yet, or any more)."""
        ...

    @property
    def spec(self) -> SandboxSpec:
        """Its limits."""
        ...

    @property
    def group(self) -> object | None:
        """The cgroup that holds its memory; without one, only this watchdog does."""
        ...

    @property
    def resources(self) -> _WatchedFolders:
        """Its folders."""
        ...

    def on_end(self, then: Callable[[], object]) -> None:
        """Call `then` when it is gone."""
        ...

    def condemn(self, reason: measure.LimitReason) -> None:
        """Begin killing it. On the event loop."""
        ...


def memory_over(roots: tuple[int, ...], limit: int) -> bool:
    """Whether some processes and all below them hold more than `limit` bytes together."""
    return measure.memory_over(measure.processes(roots), limit)


@dataclass(slots=True)
class _Due:
    """Times of the next measurements of one sandbox, as `time.monotonic`."""

    memory: float
    disk: float
    inodes: int = sys.maxsize
    """Used inodes of its file system, at which its files are counted before `disk`."""


class Watchdog:
    """Watches what `watch` gives it until that has ended."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        memory_over: Callable[[tuple[int, ...], int], bool] = memory_over,
        *,
        max_files: int | None = None,
        cost_factor: float = _COST_FACTOR,
    ) -> None:
        """Hold `max_files` files, or MAX_FILES; measure again after `cost_factor` times the time that it took."""
        self._max_files = max_files
        self._cost_factor = cost_factor
        self._loop = loop
        self._memory_over = memory_over
        self._watched: dict[WatchedSandbox, _Due] = {}
        self._lock = threading.Lock()
        self._work = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def watch(self, sandbox: WatchedSandbox) -> None:
        """Begin; starts the thread at the first."""
        # Files are measured an interval after the start: most programs have ended by then.
        if sandbox.group is None:
            self._add(sandbox, _DISK_SECONDS)
            sandbox.on_end(partial(self._forget, sandbox))
            return

        waiting = self._loop.call_later(_DISK_SECONDS, self._add, sandbox, 0.0)

        def ended() -> None:
            waiting.cancel()
            self._forget(sandbox)

        sandbox.on_end(ended)

    def _add(self, sandbox: WatchedSandbox, disk_delay: float) -> None:
        """Have the thread measure it; its files in `disk_delay` seconds at the earliest."""
        if self._closed:
            return
        with self._lock:
            self._watched[sandbox] = _Due(memory=0.0, disk=time.monotonic() + disk_delay)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sandbox watchdog", daemon=True)
            self._thread.start()
        self._work.set()

    def close(self) -> None:
        """End the thread. Blocks for one measurement at most."""
        self._closed = True
        self._work.set()
        if self._thread is not None:
            self._thread.join()

    def _forget(self, sandbox: WatchedSandbox) -> None:
        with self._lock:
            self._watched.pop(sandbox, None)

    def _run(self) -> None:
        while True:
            self._work.wait()
            if self._closed:
                return

            with self._lock:
                watched = list(self._watched.items())
                # A copy: sandboxes come and go while this one thread measures.
                if not watched:
                    # Cleared under the lock: a sandbox that is added now sets it again.
                    self._work.clear()
                    continue

            for sandbox, due in watched:
                self._measure(sandbox, due)
            time.sleep(_TICK)

    def _measure(self, sandbox: WatchedSandbox, due: _Due) -> None:
        roots = sandbox.roots
        if not roots:
            return

        limits, folders = sandbox.spec.limits, sandbox.resources.folders
        # With a control group the kernel itself holds the limit of memory.
        if sandbox.group is None and time.monotonic() >= due.memory:
            began = time.monotonic()
            over = self._memory_over(roots, limits.memory)
            due.memory = _next_time(began, _MEMORY_SECONDS, self._cost_factor)
            if over:
                self._condemn(sandbox, "out_of_memory")

        used = measure.used_inodes(folders.top)
        if time.monotonic() >= due.disk or used >= due.inodes:
            began = time.monotonic()
            pids = measure.processes(roots)
            most = self._max_files or measure.MAX_FILES
            counted = measure.disk_use([folders.app, folders.tmp], pids, limits.disk, most)
            due.disk = _next_time(began, _DISK_SECONDS, self._cost_factor)
            # At least a quarter: a program that stays just below the limit would have its files counted all the time.
            due.inodes = used + max(most - counted.files, most // 4)
            if counted.over:
                self._condemn(sandbox, "disk_full")

    def _condemn(self, sandbox: WatchedSandbox, reason: measure.LimitReason) -> None:
        # The loop may be closed, and the sandboxes with it.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(sandbox.condemn, reason)


def _next_time(began: float, interval: float, cost_factor: float) -> float:
    """The time to measure again, after a measurement that began at `began`."""
    # A multiple of what it took: watching costs at most some 5 % of a core.
    now = time.monotonic()
    return now + max(interval, cost_factor * (now - began))
