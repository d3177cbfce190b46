"""The loop of a sandbox's process 1 while the program runs.

It reaps what the program leaves behind, passes signals on, tells the runtime when the program serves and how it ended,
and carries connections to a TCP port where the program insists on one. It has no more rights than the program.

A program that was forked from elsewhere gets from here what it is to run, once the kernel says that it is locked down.
"""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import socket
import sys
import time
from typing import Any, Final

from . import bridge, channel, identity, lockdown, netns
from .ports import ListeningPorts

_EAGER_POLL: Final = 0.025
_LAZY_POLL: Final = 0.25
_EAGER_SECONDS: Final = 3.0
_OWN_SIGNALS: Final = (signal.SIGCHLD, signal.SIGTERM)


class ProgramWatch:
    """Waits on the program, and on all that concerns it. `boot` is a channel to the program.

    The program is a child that `fork` makes. Without it, in a prepared isolation, it comes from outside, and says so by `boot`.
    """

    def __init__(
        self,
        runtime: socket.socket,
        listener: socket.socket,
        boot: socket.socket,
        ports: ListeningPorts,
        port: int | None = None,
    ) -> None:
        self._runtime = runtime
        self._listener = listener
        self._boot = boot
        self._port = port
        self._ports = ports
        self._selector = selectors.DefaultSelector()
        self._program = 0
        self._over = False
        self._serving = False
        self._imported = False
        self._pidfd = -1
        self._answerable = False
        self._reported_ports: list[int] = []
        self._started = time.monotonic()
        self._next_poll = self._started + _EAGER_POLL
        # Signals arrive between selects too: the wakeup socket makes them readable.
        self._wake, self._wake_inside = socket.socketpair()
        for end in (self._wake, self._wake_inside, boot):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake_inside.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        # Else Python ends by it; all others without a handler are ignored anyway.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def fork(self) -> bool:
        """Make the program's process. True in it."""
        self._program = os.fork()
        if self._program:
            return False

        # The program gets Python's own handling back, and none of process 1's descriptors.
        signal.set_wakeup_fd(-1)
        for number in _OWN_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        self._selector.close()
        self._ports.close()
        for end in (self._wake, self._wake_inside, self._boot):
            end.close()
        return True

    def run(self) -> None:
        """Watch until the program, or the runtime, is gone."""
        # Otherwise output would end only with process 1, which outlives the program.
        release_output("/dev/null")
        # In a prepared isolation nothing is read of the runtime until there is a process for it.
        if self._port is not None:
            self._selector.register(self._runtime, selectors.EVENT_READ, self._on_runtime)
        self._selector.register(self._boot, selectors.EVENT_READ, self._on_boot)
        self._selector.register(self._wake, selectors.EVENT_READ, self._empty_wake)
        while not self._reap():
            for key, _ in self._selector.select(self._until_poll()):
                with contextlib.suppress(BlockingIOError):
                    key.data()

            if self._port is not None and self._until_poll() == 0:
                self._poll_port(self._port)

    def _empty_wake(self) -> None:
        self._wake.recv(4096)

    def _on_sigterm(self, number: int, _: object) -> None:
        self._pass_on(number)

    def _pass_on(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._program, number)

    def _reap(self) -> bool:
        """Collect the dead; True once the program has ended. What it left running dies with process 1."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == self._program:
                    self._say_exited(os.waitstatus_to_exitcode(status))
                    return True

        if self._over:
            # Its status is known to the process that forked it.
            self._say_exited(None)
        return self._over

    def _say_exited(self, status: int | None) -> None:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        message = {
            "exited": status,
            "cpu": used.ru_utime + used.ru_stime,
            # Linux counts ru_maxrss in KiB.
            "peak": used.ru_maxrss * 1024,
        }
        with contextlib.suppress(OSError):
            channel.send(self._runtime, message)

    def _on_runtime(self) -> None:
        received = channel.receive(self._runtime)
        if received is None:
            # The runtime is gone; the kernel ends every process of this namespace with process 1.
            os._exit(0)
        message = received[0]
        number = message.get("signal")
        if isinstance(number, int):
            self._pass_on(number)
        elif "limits" in message:
            self._pass_claim(message)

    def _admit(self) -> None:
        """Let a process that says that it stands be the program. Ends the sandbox unless it is alone, and locked down."""
        threads = lockdown.others()
        faults = lockdown.faults(threads[0], filters=1) if len(threads) == 1 else [f"{len(threads)} threads"]
        if faults:
            # `prepared` reports it, and ends the sandbox.
            raise PermissionError(f"the program's process is not locked down: {', '.join(faults)}")
        self._program, self._pidfd = threads[0], os.pidfd_open(threads[0])
        self._selector.register(self._runtime, selectors.EVENT_READ, self._on_runtime)

    def _pass_claim(self, claim: dict[str, Any]) -> None:
        """Limit the program's process, then let it know what to run: the runtime's next packet, sent together with this one."""
        data, fds, _, _ = socket.recv_fds(self._runtime, channel.MAX_MESSAGE, channel.MAX_FDS)
        if not data:
            os._exit(0)
        identity.limit(claim["limits"], self._program)
        socket.send_fds(self._boot, [data], fds)
        for fd in fds:
            os.close(fd)
        self._answerable = True
        self._port = claim["port"]
        self._started = time.monotonic()
        self._next_poll = self._started + _EAGER_POLL
        # A pidfd and not SIGCHLD: the program is a child of the fork server.
        self._selector.register(self._pidfd, selectors.EVENT_READ, self._on_end)
        channel.send(self._runtime, {"running": True}, [self._pidfd])

    def _on_boot(self) -> None:
        received = channel.receive(self._boot)
        if received is None:
            self._selector.unregister(self._boot)
            return

        message, fds = received
        # Of these only the first counts, which our code sends, before any of the program's.
        if self._port is None:
            if "standing" in message and not self._program:
                self._admit()
            elif "waiting" in message or "error" in message:
                channel.send(self._runtime, message)
        elif "compiled" in message and self._answerable:
            self._answerable = False
            channel.send(self._runtime, message)
        # Descriptors in a program's message would fill this process's table.
        for fd in fds:
            os.close(fd)
        self._imported = self._imported or "imported" in message
        if "serving" in message and not self._serving:
            requested_port = message["serving"]
            self._report_serving("socket", requested_port if isinstance(requested_port, int) else None)

    def _on_end(self) -> None:
        self._over = True

    def _report_serving(self, how: str, requested_port: int | None) -> None:
        self._serving = True
        channel.send(self._runtime, {"serving": how, "asked": requested_port})

    def _until_poll(self) -> float | None:
        """Seconds until the kernel is to be asked for the program's port; None where there is no need to ask."""
        if self._serving or self._port is None:
            return None
        return max(0.0, self._next_poll - time.monotonic())

    def _poll_port(self, port: int) -> None:
        # A program that imports uvicorn will report by itself; else it is found by asking the
        # kernel.
        eager = not self._imported and time.monotonic() - self._started < _EAGER_SECONDS
        self._next_poll = time.monotonic() + (_EAGER_POLL if eager else _LAZY_POLL)
        ports = self._ports.listening()
        address = ports.pop(port, None)

        if address is not None:
            bridge.Bridge(self._selector, self._listener, (address, port))
            self._report_serving("tcp", None)
            return

        others = sorted(port for port in ports if port not in netns.OWN_PORTS)
        # A program that has uvicorn will serve later, whatever auxiliary port it opened first.
        if others != self._reported_ports and not self._imported:
            self._reported_ports = others
            # Bounded: a program may listen on thousands of ports.
            channel.send(self._runtime, {"listening": others[:16]})


def _ignore(_number: int, _frame: object) -> None:
    """A handler, so that the signal wakes the loop."""


def release_output(null: str) -> None:
    """Write nothing any more: the pipes end when the program's processes end. `null` is the path of a null device."""
    fd = os.open(null, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(fd, number)
    if fd > 2:
        os.close(fd)
    sys.stdout = sys.stderr = None  # type: ignore[assignment]
