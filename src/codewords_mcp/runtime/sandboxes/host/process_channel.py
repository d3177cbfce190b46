"""The event loop's hold on a sandbox's processes: their messages, their end, and the ways to end them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog

from codewords_mcp.runtime.sandboxes.namespaces.inside import channel

KILL_SECONDS: Final = 10.0
"""For the kernel to end a sandbox's processes; takes some milliseconds. Then the launcher itself is killed."""

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class SpawnedLauncher:
    """A launcher that runs. `channel` is non-blocking; `pidfd` is readable when the launcher has ended, which it does
    after every process of the sandbox.
    """

    process: subprocess.Popen[bytes]
    pidfd: int
    channel: socket.socket

    def reap(self) -> None:
        """Collect the ended launcher."""
        self.process.wait()
        os.close(self.pidfd)


class ProcessChannel:
    """Delivers each message to `on_message(message, fds)`, which owns the fds; `gone` is set when every process ended.

    With a launcher that is its end, since it waits for the others; without, in a sandbox that was forked, process 1's.
    """

    def __init__(
        self,
        messages: socket.socket,
        on_message: Callable[[dict[str, Any], list[int]], None],
        launcher: SpawnedLauncher | None = None,
    ) -> None:
        self.gone = asyncio.Event()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when `gone` is set: a future can be waited for beside others without a task."""
        self._messages = messages
        self._on_message = on_message
        self._launcher = launcher
        self._init: int | None = None
        self._doomed = False
        self._killing: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        if launcher is not None:
            # pidfds, not SIGCHLD: they need no handler in the main thread and know only their
            # process.
            self._loop.add_reader(launcher.pidfd, self._on_gone, launcher.pidfd)
        self._loop.add_reader(messages.fileno(), self._on_readable)

    @property
    def has_ended(self) -> bool:
        """Whether process 1 has ended, also before the event loop has seen it. False before it is known."""
        if self.gone.is_set():
            return True
        if self._init is None:
            return False
        poll = select.poll()
        # A pidfd becomes readable when its process ends.
        poll.register(self._init, select.POLLIN)
        return bool(poll.poll(0))

    def adopt(self, pidfd: int) -> None:
        """Process 1 is there; from now on `kill` goes to it."""
        self._init = pidfd
        # Without a launcher nobody else waits for process 1.
        if self._launcher is None:
            self._loop.add_reader(pidfd, self._on_gone, pidfd)
        # Killed before it was known.
        if self._doomed:
            self._kill_init()

    def send(self, message: dict[str, Any], fds: list[int] | None = None) -> None:
        """Tell process 1 something. Silent when it is gone."""
        with contextlib.suppress(OSError):
            channel.send(self._messages, message, fds)

    def send_data(self, data: bytes, fds: list[int]) -> None:
        """Send at most `channel.MAX_MESSAGE` bytes that are no message. Silent like `send`."""
        with contextlib.suppress(OSError):
            socket.send_fds(self._messages, [data], fds)

    def kill(self, *, insist: bool = True) -> None:
        """End every process. Before process 1 is known, hanging up does it: whoever sets the sandbox up then stops."""
        if self.gone.is_set() or self._killing is not None:
            return

        self._doomed = True
        # Programs in uninterruptible sleep cannot be killed; nobody may wait for them for ever.
        if insist:
            self._killing = self._loop.call_later(KILL_SECONDS, self._insist)
        if self._init is not None:
            self._kill_init()
        else:
            with contextlib.suppress(OSError):
                self._messages.shutdown(socket.SHUT_RDWR)

    def kill_launcher(self) -> None:
        """End the process outside, and with it, at once, all that it made: also what process 1 would wait for."""
        if self._launcher is not None and not self.gone.is_set():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._launcher.pidfd, signal.SIGKILL)

    def close(self) -> None:
        """Let go of everything. Only after `gone`."""
        if self._killing is not None:
            self._killing.cancel()
        # Before the descriptor is closed: its number may belong to another file at once.
        self._loop.remove_reader(self._messages.fileno())
        if self._launcher is not None:
            self._launcher.reap()
        self._messages.close()
        if self._init is not None:
            self._loop.remove_reader(self._init)
            os.close(self._init)

    def drain(self) -> None:
        """Deliver what was sent before the end. After `close` there is nothing any more."""
        if self._messages.fileno() >= 0:
            self._on_readable()

    def _kill_init(self) -> None:
        # A pidfd names this process for ever: its number may be another's by now.
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._init or -1, signal.SIGKILL)

    def _insist(self) -> None:
        logger.error("sandbox processes not ended in time", init=self._init)
        # Its folder and group are removed then, as far as the kernel lets them.
        if self._launcher is None:
            self._set_gone()
        else:
            self.kill_launcher()

    def _on_gone(self, pidfd: int) -> None:
        self._loop.remove_reader(pidfd)
        self._set_gone()

    def _set_gone(self) -> None:
        self.gone.set()
        if not self.over.done():
            self.over.set_result(None)

    def _on_readable(self) -> None:
        while True:
            try:
                received = channel.receive(self._messages)
            except BlockingIOError:
                return
            except OSError:
                # As after a hang-up: the other end is gone.
                received = None

            if received is None:
                self._loop.remove_reader(self._messages.fileno())
                # Nothing was forked, or what was has ended at once.
                if self._launcher is None and self._init is None:
                    self._set_gone()
                return

            self._on_message(*received)
