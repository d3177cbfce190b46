"""A sandbox's warden on macOS: starts the confined program, watches what it holds, and ends all of it.

Arguments and messages are those of `landlock.inside.warden`, without `ports`, and with
{"over": reason} when the program's processes hold more than they may.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import selectors
import signal
import socket
import sys
import time
from typing import Any, Final, NoReturn

from ..local.inside import channel
from . import table

LISTENER_FD: Final = 3
BOOT_FD: Final = 4
_LOOK_SECONDS: Final = 0.25
_COST_FACTOR: Final = 20.0
"""A look that took t seconds is repeated after 20 t at the earliest."""
_END_SECONDS: Final = 5.0


def main() -> None:
    """Entry point; exits the process when every process of the sandbox has ended."""
    channel_fd, leash, spec_fd, listener, boot = (int(argument) for argument in sys.argv[1:6])
    for fd in (channel_fd, leash, spec_fd, listener, boot):
        os.set_inheritable(fd, False)
    runtime = socket.socket(fileno=channel_fd)
    try:
        with os.fdopen(spec_fd, "rb") as file:
            spec: dict[str, Any] = json.load(file)
        answer = channel.receive(runtime)
        if answer is not None and answer[0].get("go"):
            _Watch(spec, runtime, leash).run(listener, boot)
    except Exception as error:  # noqa: BLE001  # the runtime must hear of it, and stderr is the program's
        number = error.errno if isinstance(error, OSError) else None
        _say(runtime, {"error": str(error), "errno": number, "step": "exec"})
    os._exit(0)


def _say(runtime: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        channel.send(runtime, message)


class _Watch:
    """The program, and everything that the warden waits for."""

    def __init__(self, spec: dict[str, Any], runtime: socket.socket, leash: int) -> None:
        self._spec = spec
        self._runtime = runtime
        self._leash = leash
        self._selector = selectors.DefaultSelector()
        self._over = False
        self._due = 0.0
        self._program = 0

    def run(self, listener: int, boot: int) -> None:
        """Start the program and watch it until it, or the runtime, is gone. Raises OSError where it does not start."""
        wake, wake_inside = socket.socketpair()
        for end in (wake, wake_inside):
            end.setblocking(False)
        signal.set_wakeup_fd(wake_inside.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _wake)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self._program = _start(self._spec, listener, boot)
        self._family = table.Family(self._program)
        for fd in (listener, boot):
            os.close(fd)
        _release_output()
        _say(self._runtime, {"running": True, "exact": True})
        self._selector.register(self._leash, selectors.EVENT_READ, self._on_leash)
        self._selector.register(self._runtime, selectors.EVENT_READ, self._on_runtime)
        self._selector.register(wake, selectors.EVENT_READ, lambda: wake.recv(4096))
        while not self._over and not self._reap():
            for key, _ in self._selector.select(max(0.0, self._due - time.monotonic())):
                with contextlib.suppress(BlockingIOError):
                    key.data()
            if time.monotonic() >= self._due:
                self._look()
        self._end_all()

    def _on_leash(self) -> None:
        self._over = True

    def _on_runtime(self) -> None:
        received = channel.receive(self._runtime)
        number = received[0].get("signal") if received else None
        if isinstance(number, int):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._program, number)

    def _look(self) -> None:
        began = time.monotonic()
        living = self._family.look(table.read())
        limits = self._spec["limits"]
        if sum(row.resident for row in living) > limits["memory"]:
            _say(self._runtime, {"over": "out_of_memory"})
        for row in living[limits["processes"] :]:
            _kill(row.pid)
        now = time.monotonic()
        self._due = now + max(_LOOK_SECONDS, _COST_FACTOR * (now - began))

    def _reap(self) -> bool:
        """Whether the program has ended. Its process stays uncollected: nobody else gets its number meanwhile."""
        with contextlib.suppress(ChildProcessError):
            return os.waitid(os.P_PID, self._program, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        return True

    def _end_all(self) -> None:
        """Kill the family until none of it is left to see."""
        deadline = time.monotonic() + _END_SECONDS
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._program, signal.SIGKILL)
        while time.monotonic() < deadline:
            living = [row for row in self._family.look(table.read()) if row.pid != self._program]
            for row in living:
                _kill(row.pid)
            if not living:
                break
        _kill(self._program)
        _, status = os.waitpid(self._program, 0)
        if self._over:
            return  # the runtime knows why
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        unit = 1 if sys.platform == "darwin" else 1024
        message = {
            "exited": os.waitstatus_to_exitcode(status),
            "cpu": used.ru_utime + used.ru_stime,
            "peak": used.ru_maxrss * unit,
        }
        _say(self._runtime, message)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _start(spec: dict[str, Any], listener: int, boot: int) -> int:
    """Fork the program. Raises OSError where it cannot be executed."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_program(spec, listener, boot, theirs)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        failure = pipe.read()
    if failure:
        os.waitpid(pid, 0)
        number, _, text = failure.decode(errors="replace").partition(" ")
        raise OSError(int(number), text)
    return pid


def _be_program(spec: dict[str, Any], listener: int, boot: int, failed: int) -> NoReturn:
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (
            signal.SIGCHLD,
            signal.SIGTERM,
            signal.SIGINT,
            signal.SIGHUP,
            signal.SIGPIPE,
            signal.SIGXFSZ,
        ):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(spec["app"])
        os.umask(0o022)
        failed = _above(os.dup(failed))
        _place(listener, boot)
        _limit(spec["limits"])
        arguments: list[str] = [*spec["argv"], str(LISTENER_FD), str(BOOT_FD), str(spec["port"])]
        os.execve(arguments[0], arguments, spec["variables"])  # noqa: S606
    except BaseException as error:  # noqa: BLE001  # nothing may return from here into the warden's code
        number = (error.errno if isinstance(error, OSError) else None) or 0
        with contextlib.suppress(OSError):
            os.write(failed, f"{number} {error}".encode())
    os._exit(127)


def _place(listener: int, boot: int) -> None:
    """The listener at 3 and the channel to the runtime at 4; all else that is open closes at exec by itself."""
    high_listener, high_boot = _above(os.dup(listener)), _above(os.dup(boot))
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.dup2(high_listener, LISTENER_FD)
    os.dup2(high_boot, BOOT_FD)


def _above(fd: int) -> int:
    while fd <= BOOT_FD:
        fd = os.dup(fd)
    return fd


def _limit(limits: dict[str, int]) -> None:
    """What macOS holds per process. Memory and processes are looked at instead."""
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: limits["files"],
        resource.RLIMIT_FSIZE: limits["disk"],
    }
    for which, value in wanted.items():
        _, hard = resource.getrlimit(which)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)  # noqa: PLW2901
        resource.setrlimit(which, (value, value))


def _wake(_number: int, _frame: object) -> None:
    """A handler, so that the signal wakes the loop."""


def _release_output() -> None:
    """The warden writes nothing: the pipes end when the program's processes end."""
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
