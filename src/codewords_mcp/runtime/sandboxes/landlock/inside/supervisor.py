"""A sandbox's supervisor: the process beside the program, outside its restrictions, that starts, serves and outlives it.

Started by the runtime with file descriptors: the channel, the lifeline (a pipe whose end of file means: end all), the
specification, the listening Unix socket and the program's end of its channel to the runtime.

supervisor → runtime   {"running": true, "exact": bool} · {"ports": {number: [host, port]}}
                   {"exited": status, "cpu": seconds, "peak": bytes} · {"error": text, "errno": number, "step": name}
runtime → supervisor   {"go": true} + entrances of its control groups · {"signal": number}
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from ...namespaces.inside import channel, linux, lockdown
from . import program, tree
from .broker import SyscallBroker

_PR_SET_CHILD_SUBREAPER: Final = 36
# Passes over the processes until all are taken as stopped: they may continue each other.
_STOP_PASSES: Final = 200


def main() -> None:
    """Entry point; exits the process when every process of the sandbox has ended."""
    channel_fd, lifeline, spec_fd, listener, boot = (int(argument) for argument in sys.argv[1:6])
    for fd in (channel_fd, lifeline, spec_fd, listener, boot):
        os.set_inheritable(fd, False)
    runtime = socket.socket(fileno=channel_fd)
    try:
        with os.fdopen(spec_fd, "rb") as file:
            spec: dict[str, Any] = json.load(file)
        # Orphans of the program become children of this process, so none of them is lost.
        linux.prctl(_PR_SET_CHILD_SUBREAPER, 1)
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        if os.geteuid() == 0:
            _drop_capabilities()
        received = channel.receive(runtime)
        if received is not None and received[0].get("go"):
            _, groups = received
            linux.enter_groups(groups)
            for group in groups:
                os.close(group)
            _SupervisorWatch(spec, runtime, lifeline).run(listener, boot)
    except Exception as error:  # noqa: BLE001
        # The runtime must learn the reason, and stderr is the program's.
        _report_error(runtime, error, getattr(error, "step", "isolation"))

    _end_all()
    os._exit(0)


def _drop_capabilities() -> None:
    """Give up every capability."""
    # A root without CAP_SETPCAP (`docker run --cap-drop ALL`) keeps its bounding set: without new
    # privileges nothing comes of that.
    try:
        linux.drop_capabilities()
    except PermissionError:
        linux.clear_capabilities()


def _report_error(runtime: socket.socket, error: Exception, step: str) -> None:
    if isinstance(error, OSError):
        number = error.errno
    else:
        number = None
    with contextlib.suppress(OSError):
        channel.send(
            runtime, {"error": getattr(error, "strerror", None) or str(error), "errno": number, "step": step}
        )


class _SupervisorWatch:
    """The program, and everything that the supervisor waits for."""

    def __init__(self, spec: dict[str, Any], runtime: socket.socket, lifeline: int) -> None:
        self._spec = spec
        self._runtime = runtime
        self._lifeline = lifeline
        self._selector = selectors.DefaultSelector()
        self._over = False
        self._program = 0

    def run(self, listener: int, boot: int) -> None:
        """Start the program and serve it until it, or the runtime, is gone. Raises OSError where it does not start."""
        wake, wake_inside = socket.socketpair()
        for end in (wake, wake_inside):
            end.setblocking(False)
        signal.set_wakeup_fd(wake_inside.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _wake)
        # The runtime ends it by the lifeline; a signal to its group is not for it.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        started = program.start(self._spec, listener, boot)
        self._program = started.pid
        if faults := lockdown.faults(started.pid, filters=program.FILTERS):
            raise OSError(errno.EPERM, f"the program's process is not locked down: {', '.join(faults)}")
        for fd in (listener, boot):
            os.close(fd)
        # The pipes end when the program's processes end, not with this one.
        _release_output()
        limit: int = self._spec["limits"]["processes"]
        broker = SyscallBroker(started.questions, started.pid, self._spec["ports"], limit, self._report_ports)
        threading.Thread(target=broker.serve, daemon=True).start()
        channel.send(self._runtime, {"running": True, "exact": broker.exact})
        self._selector.register(self._lifeline, selectors.EVENT_READ, self._on_lifeline)
        self._selector.register(self._runtime, selectors.EVENT_READ, self._on_runtime)
        self._selector.register(wake, selectors.EVENT_READ, partial(wake.recv, 4096))

        while not self._over and not self._reap():
            for key, _ in self._selector.select():
                key.data()

        broker.closed = True

    def _on_lifeline(self) -> None:
        self._over = True

    def _on_runtime(self) -> None:
        received = channel.receive(self._runtime)
        # The runtime is gone, and the program must not outlive it.
        if received is None:
            self._over = True
            return
        number = received[0].get("signal")
        if isinstance(number, int):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._program, number)

    def _report_ports(self, ports: dict[int, tuple[str, int]]) -> None:
        with contextlib.suppress(OSError):
            channel.send(
                self._runtime, {"ports": {str(number): endpoint for number, endpoint in ports.items()}}
            )

    def _reap(self) -> bool:
        """Collect the dead; True once the program is among them."""
        with contextlib.suppress(ChildProcessError):
            while True:
                # Any child: orphans of the program become children of the supervisor.
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return False
                if pid == self._program:
                    self._report_exit(status)
                    return True
        return False

    def _report_exit(self, status: int) -> None:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        message = {
            "exited": os.waitstatus_to_exitcode(status),
            "cpu": used.ru_utime + used.ru_stime,
            # Linux counts ru_maxrss in KiB.
            "peak": used.ru_maxrss * 1024,
        }
        with contextlib.suppress(OSError):
            channel.send(self._runtime, message)


def _end_all() -> None:
    """Kill and collect until there are no children: orphans become this process's children in turn."""
    # No call of the program is answered any more, so where those count processes, none can be made
    # meanwhile. Elsewhere all are stopped first: a stopped process makes no other one, and still
    # counts against the limit of processes.
    for _ in range(_STOP_PASSES):
        moving = [pid for pid in tree.below(os.getpid()) if not tree.is_still(pid)]
        if not moving:
            break
        _signal_all(moving, signal.SIGSTOP)

    while True:
        _signal_all(tree.below(os.getpid()), signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _signal_all(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _wake(_number: int, _frame: object) -> None:
    """A handler, so that the signal wakes the loop."""


def _release_output() -> None:
    """The supervisor writes nothing: the pipes end when the program's processes end."""
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
