"""Detection of what makes a script unfit for a snapshot: what it read while it was imported, and what it left in the kernel.

It runs in the program's own process, among the program's code. A script that hides something from it harms its own runs only.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Iterator
from types import BuiltinFunctionType, FrameType
from typing import Any, Final, cast

_CLOCKS: Final = frozenset(
    {
        time.time, time.time_ns, time.monotonic, time.monotonic_ns, time.perf_counter, time.perf_counter_ns,
        time.process_time, time.thread_time, time.clock_gettime, time.clock_gettime_ns, time.localtime, time.gmtime, time.ctime,
        time.asctime, time.strftime,
    }
)  # fmt: skip
_NOW: Final = frozenset({"now", "utcnow", "today"})
_ENTROPY: Final = frozenset({os.urandom, os.getrandom})
# Of libuuid, for `uuid.uuid1`.
_UUID_OF_TIME: Final = "generate_time_safe"
_PROCESS: Final = frozenset({os.getpid, os.getppid})
# Modules between a script and what it asks for.
_HELPERS: Final = frozenset({"random", "secrets", "uuid", "os", "datetime", "tempfile", "time"})
# It seeds itself at import, and is seeded anew after a fork (`forked`).
_SEEDED_ANEW: Final = "numpy.random"
# The kind of numpy's shared generator, its first number and its position.
_NUMPY_AS_MADE: Final = ("MT19937", 0x8000_0000, 623)
_MAX_REASONS: Final = 8
_OWN_FDS: Final = frozenset(range(5))


class _Variables(dict[bytes, bytes]):
    """The data of `os.environ`, which remembers what was read of it before it was written."""

    def __init__(self, data: dict[bytes, bytes]) -> None:
        super().__init__(data)
        self.read: dict[bytes, bytes | None] = {}
        self.written: set[bytes] = set()
        self.all = False

    def __getitem__(self, name: bytes) -> bytes:
        if name not in self.written:
            self.read.setdefault(name, super().get(name))
        return super().__getitem__(name)

    def __setitem__(self, name: bytes, value: bytes) -> None:
        self.written.add(name)
        super().__setitem__(name, value)

    def __delitem__(self, name: bytes) -> None:
        self.written.add(name)
        super().__delitem__(name)

    def __iter__(self) -> Iterator[bytes]:
        self.all = True
        return super().__iter__()


class ImportObserver:
    """Watches a script from before its first line; `reasons` is why it is unfit, in sentences without a full stop."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        environment: Any = os.environ
        self._before = cast("dict[bytes, bytes]", environment._data)  # noqa: SLF001  # what os.environ is made of
        self.variables = _Variables(self._before)
        environment._data = self.variables  # noqa: SLF001
        self._limits = _limits()
        self._dispositions = _dispositions()
        sys.setprofile(self._on_event)

    def stop(self) -> None:
        """Look no longer. Adds what the program did to the looking itself."""
        # A bound method is another object each time that it is asked for.
        if sys.getprofile() != self._on_event:
            self._add("it sets a profiler at import")
        sys.setprofile(None)
        environment: Any = os.environ
        if environment._data is not self.variables:  # noqa: SLF001
            self._add("it replaces the variables of its environment")
        environment._data = dict(self.variables.items())  # noqa: SLF001
        if self.variables.all:
            self._add("it reads all variables of its environment at import")

    def look(self, image_fd: int) -> list[str]:
        """All reasons, with those that the program has left in the kernel."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            self._add("it has child processes after its import")
        self._look_at_threads()
        if _uses_numpy_random():
            self._add("it takes or seeds numbers of numpy.random at import")
        listing = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
        names = {int(name) for name in os.listdir(listing)}
        os.close(listing)
        # What listed them is gone by now, and has no kind.
        kinds = sorted(kind for fd in names - _OWN_FDS - {image_fd} if (kind := _kind(fd)))
        if kinds:
            what = ", ".join(kinds[:4])
            self._add(f"it keeps files, sockets or an event loop open after its import ({what})")
        for folder, own in (("/app", {"main.py"}), ("/tmp", set[str]()), ("/dev/shm", set[str]())):
            if set(os.listdir(folder)) - own:
                self._add(f"it writes files in {folder} at import")
        if os.getcwd() != "/app":
            self._add("it changes its working folder at import")
        os.umask(umask := os.umask(0o022))
        if umask != 0o022 or _limits() != self._limits:
            self._add("it changes its umask, priority, processors or resource limits at import")
        if any(signal.getitimer(which)[0] for which in range(3)) or _timers():
            self._add("it sets timers at import")
        if signal.pthread_sigmask(signal.SIG_BLOCK, ()):
            self._add("it blocks signals at import")
        if any(known is None for known in _dispositions().values()) or _caught_elsewhere():
            self._add("it handles signals by code that is not Python's")
        return self.reasons

    def changed_signals(self) -> dict[int, Any]:
        """Handlers that the script set."""
        return {
            number: handler
            for number, handler in _dispositions().items()
            if handler != self._dispositions[number]
        }

    def _look_at_threads(self) -> None:
        import threading

        if threading.active_count() == 1:
            # Libraries with threads of their own end them before a fork, and make them anew where they need them.
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
        if len(os.listdir("/proc/self/task")) > 1:
            self._add("it has threads after its import")

    def _add(self, reason: str) -> None:
        if reason not in self.reasons and len(self.reasons) < _MAX_REASONS:
            self.reasons.append(reason)

    def _on_event(self, frame: FrameType, event: str, called: Any) -> None:
        if event != "c_call":
            return
        try:
            known = called in _CLOCKS
        except TypeError:
            return  # what can't be hashed is none of those
        owner: object = getattr(called, "__self__", None)
        if known or (called.__name__ in _NOW and isinstance(owner, type) and issubclass(owner, dt.date)):
            # A package is made for processes that live for days: what it keeps of the time is as old there.
            if _caller(frame) == "__main__":
                self._add("the script reads the time at import")
        elif called in _ENTROPY or called.__name__ == _UUID_OF_TIME or _draws(called, frame):
            if not _within(frame, _SEEDED_ANEW) and (who := _caller(frame)):
                self._add(f"{_named(who)} takes random numbers at import")
        elif _seeds(called) and (who := _caller(frame)):
            self._add(f"{_named(who)} seeds random numbers at import")
        elif called in _PROCESS and _caller(frame) == "__main__":
            self._add("the script reads its process number at import")


def _draws(called: BuiltinFunctionType, frame: FrameType) -> bool:
    if not isinstance(getattr(called, "__self__", None), random.Random):
        return False
    if called.__name__ == "seed":
        # A seed of the script's own is the same in each run.
        return frame.f_locals.get("a") is None
    return called.__name__ in {"random", "getrandbits"}


def _seeds(called: BuiltinFunctionType) -> bool:
    """True if it seeds the shared generator of `random`, which is seeded anew in each run."""
    shared: object = getattr(random.random, "__self__", None)
    return called.__name__ == "seed" and getattr(called, "__self__", None) is shared


def _uses_numpy_random() -> bool:
    """True if the shared generator of numpy, whose calls no profiler sees, is not as it is made."""
    module = sys.modules.get("numpy.random")
    if module is None:
        return False
    kind, numbers, position, *_ = cast("tuple[Any, ...]", module.get_state())
    return (str(kind), int(numbers[0]), int(position)) != _NUMPY_AS_MADE


def _caller(frame: FrameType | None) -> str:
    """The name of the module that asks; "" for this package's."""
    own = __package__ or ""
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        if name.partition(".")[0] == own:
            return ""
        if name not in _HELPERS:
            return name
        frame = frame.f_back
    return ""


def _within(frame: FrameType | None, module: str) -> bool:
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith(module):
            return True
        frame = frame.f_back
    return False


def _named(module: str) -> str:
    return "the script" if module == "__main__" else f"the module {module[:80]}"


def _kind(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}").partition(":[")[0][:80]
    except OSError:
        return ""


def _limits() -> list[object]:
    names = (name for name in dir(resource) if name.startswith("RLIMIT_"))
    limits = [resource.getrlimit(getattr(resource, name)) for name in names]
    return [*limits, os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0)]


def _dispositions() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def _timers() -> bool:
    try:
        with open("/proc/self/timers", encoding="utf-8") as file:
            return bool(file.read())
    except FileNotFoundError:
        return False


def _caught_elsewhere() -> bool:
    """True if a signal is handled that Python knows no handler for."""
    with open("/proc/self/status", encoding="utf-8") as file:
        lines = dict(line.split(":", 1) for line in file if ":" in line)
    caught = int(lines["SigCgt"], 16)
    return any(
        caught >> number - 1 & 1 and handler in (signal.SIG_DFL, signal.SIG_IGN)
        for number, handler in _dispositions().items()
    )
