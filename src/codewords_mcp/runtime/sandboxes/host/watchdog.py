"""Holds the limits that the kernel does not: disk everywhere, memory where there is no cgroup.

One thread for all sandboxes of a driver. It looks at each as often as looking is cheap: a look that took t seconds is
repeated after 20 t at the earliest, so that watching costs at most some 5 % of a core.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
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
        """See `measure.processes`; empty when there is nothing to look at (yet, or any more)."""
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
    """The first look at files comes as long after the start as each after the one before: most programs have ended by then."""

    memory: float = 0.0
    disk: float = field(default_factory=lambda: time.monotonic() + _DISK_SECONDS)


class Watchdog:
    """Watches what `watch` gives it until that has ended."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        memory_over: Callable[[tuple[int, ...], int], bool] = memory_over,
    ) -> None:
        self._loop = loop
        self._memory_over = memory_over
        self._watched: dict[WatchedSandbox, _Due] = {}
        self._lock = threading.Lock()
        self._work = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def watch(self, sandbox: WatchedSandbox) -> None:
        """Begin; starts the thread at the first."""
        with self._lock:
            self._watched[sandbox] = _Due()
        sandbox.on_end(lambda: self._forget(sandbox))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sandbox watchdog", daemon=True)
            self._thread.start()
        self._work.set()

    def close(self) -> None:
        """End the thread. Blocks for a look at most."""
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
                if not watched:
                    self._work.clear()
                    continue

            for sandbox, due in watched:
                self._look(sandbox, due)
            time.sleep(_TICK)

    def _look(self, sandbox: WatchedSandbox, due: _Due) -> None:
        roots = sandbox.roots
        if not roots:
            return

        limits, folders = sandbox.spec.limits, sandbox.resources.folders
        if sandbox.group is None and time.monotonic() >= due.memory:
            over, due.memory = _timed(lambda: self._memory_over(roots, limits.memory), _MEMORY_SECONDS)
            if over:
                self._condemn(sandbox, "out_of_memory")

        if time.monotonic() >= due.disk:
            over, due.disk = _timed(
                lambda: measure.disk_over([folders.app, folders.tmp], measure.processes(roots), limits.disk),
                _DISK_SECONDS,
            )
            if over:
                self._condemn(sandbox, "disk_full")

    def _condemn(self, sandbox: WatchedSandbox, reason: measure.LimitReason) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and the sandboxes with it
            self._loop.call_soon_threadsafe(sandbox.condemn, reason)


def _timed(look: Callable[[], bool], interval: float) -> tuple[bool, float]:
    """The answer, and when to look again."""
    began = time.monotonic()
    answer = look()
    now = time.monotonic()
    return answer, now + max(interval, _COST_FACTOR * (now - began))
