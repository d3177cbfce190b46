"""What process 1 of a sandbox does once the program runs: it waits on it.

It reaps what the program leaves behind, passes signals on, tells the runtime when the program serves and how it ended,
and carries connections to a TCP port where the program insists on one. It has no more rights than the program.
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
from typing import Final

from . import bridge, channel, netns
from .ports import Ports

_EAGER_POLL: Final = 0.025
_LAZY_POLL: Final = 0.25
_EAGER_SECONDS: Final = 3.0
_OWN_SIGNALS: Final = (signal.SIGCHLD, signal.SIGTERM)


class Watch:
    """The program, and everything that process 1 waits for. `boot` is the program's end of a channel to here.

    `port` None: a program that has not been claimed yet reads the runtime's channel itself, and says its port then.
    """

    def __init__(
        self, runtime: socket.socket, listener: socket.socket, port: int | None, ports: Ports
    ) -> None:
        self._runtime = runtime
        self._listener = listener
        self._port = port
        self._ports = ports
        self._selector = selectors.DefaultSelector()
        self._program = 0
        self._serving = False
        self._imported = False
        self._told_ports: list[int] = []
        self._started = time.monotonic()
        self._ours, self.boot = channel.pair()
        self._wake, self._wake_inside = socket.socketpair()

    def fork(self) -> bool:
        """Make the program's process. True in it: there only `boot` is left of this object."""
        for end in (self._wake, self._wake_inside, self._ours):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake_inside.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        # Else Python ends by it; all others without a handler are ignored anyway.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._program = os.fork()
        if self._program:
            self.boot.close()
            return False
        signal.set_wakeup_fd(-1)
        for number in _OWN_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        self._selector.close()
        self._ports.close()
        for end in (self._wake, self._wake_inside, self._ours):
            end.close()
        return True

    def run(self) -> None:
        """Watch until the program, or the runtime, is gone."""
        _release_output()
        if self._port is not None:
            self._selector.register(self._runtime, selectors.EVENT_READ, self._on_runtime)
        self._selector.register(self._ours, selectors.EVENT_READ, self._on_boot)
        self._selector.register(self._wake, selectors.EVENT_READ, lambda: self._wake.recv(4096))
        while not self._reap():
            for key, _ in self._selector.select(self._poll_interval()):
                with contextlib.suppress(BlockingIOError):
                    key.data()
            if self._port is not None and not self._serving:
                self._look_for_port(self._port)

    def _on_sigterm(self, number: int, _: object) -> None:
        self._pass_on(number)

    def _pass_on(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._program, number)

    def _reap(self) -> bool:
        """Collect the dead; True once the program is among them. What it left running dies with process 1."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return False
                if pid == self._program:
                    self._say_exited(status)
                    return True
        return False

    def _say_exited(self, status: int) -> None:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        message = {
            "exited": os.waitstatus_to_exitcode(status),
            "cpu": used.ru_utime + used.ru_stime,
            "peak": used.ru_maxrss * 1024,
        }
        with contextlib.suppress(OSError):
            channel.send(self._runtime, message)

    def _on_runtime(self) -> None:
        received = channel.receive(self._runtime)
        if received is None:
            os._exit(0)  # the runtime is gone, and so is everything here
        number = received[0].get("signal")
        if isinstance(number, int):
            self._pass_on(number)

    def _on_boot(self) -> None:
        received = channel.receive(self._ours)
        if received is None:
            self._selector.unregister(self._ours)
            return
        message, fds = received
        for fd in fds:
            os.close(fd)
        port = message.get("claimed")
        if self._port is None and isinstance(port, int):
            self._port = port
            self._started = time.monotonic()
            self._selector.register(self._runtime, selectors.EVENT_READ, self._on_runtime)
        self._imported = self._imported or "imported" in message
        if "serving" in message and not self._serving:
            asked = message["serving"]
            self._say_serving("socket", asked if isinstance(asked, int) else None)

    def _say_serving(self, how: str, asked: int | None) -> None:
        self._serving = True
        channel.send(self._runtime, {"serving": how, "asked": asked})

    def _poll_interval(self) -> float | None:
        if self._serving or self._port is None:
            return None
        eager = not self._imported and time.monotonic() - self._started < _EAGER_SECONDS
        return _EAGER_POLL if eager else _LAZY_POLL

    def _look_for_port(self, port: int) -> None:
        ports = self._ports.listening()
        address = ports.pop(port, None)
        if address is not None:
            bridge.Bridge(self._selector, self._listener, (address, port))
            self._say_serving("tcp", None)
            return
        others = sorted(port for port in ports if port not in netns.OWN_PORTS)
        # A program that has uvicorn will serve later, whatever auxiliary port it opened first.
        if others != self._told_ports and not self._imported:
            self._told_ports = others
            channel.send(self._runtime, {"listening": others[:16]})


def _ignore(_number: int, _frame: object) -> None:
    """A handler, so that the signal wakes the loop."""


def _release_output() -> None:
    """Process 1 writes nothing: the pipes end when the program's processes end."""
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    sys.stdout = sys.stderr = None  # type: ignore[assignment]
