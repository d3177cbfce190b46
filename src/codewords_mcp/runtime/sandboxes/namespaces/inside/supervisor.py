"""Process 1 of a fork server's pid namespace: makes prepared isolations and reaps ended processes.

It is small, since it has imported next to nothing: its forks cost a fraction of the server's and share little memory with
it. It runs no package's code and no workflow's.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
from typing import Any, Final, NoReturn

from . import channel, code_pages, group_fork, immortal, linux, netns, prepared, rootfs, seccomp, watch

_EACH_ISOLATION: Final = (
    "channel", "group_fork", "identity", "init", "linux", "lockdown", "netns", "ports", "prepared", "rootfs",
    "supervisor", "watch",
)  # fmt: skip


def serve(requests: socket.socket, groups: int) -> NoReturn:
    """Make a prepared isolation for each request. `groups`: see `rootfs.open_groups`.

    Ends when the runtime closes the socket, or the server and everything in its namespace has ended.
    """
    watch.release_output(rootfs.SERVER_ROOT + "/dev/null")
    own_pids = os.open(f"{rootfs.SERVER_ROOT}/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    # Assembled once for all forks.
    filters = {exact: seccomp.assemble(exact_memory=exact) for exact in (True, False)}
    netns.assemble()
    gc.collect()
    for _ in (*code_pages.gather(channel.rehearse, _EACH_ISOLATION), *immortal.make_immortal()):
        pass
    # Frozen objects are left out of collections, which would copy pages that forks share.
    gc.freeze()

    def on_child(_number: int, _frame: object) -> None:
        if not reap(requests):
            os._exit(0)

    wakeup = Wakeup()
    signal.signal(signal.SIGCHLD, on_child)
    # Children that ended before the handler was set sent a signal that nobody saw.
    on_child(0, None)

    while True:
        wakeup.wait(requests)
        received = channel.receive(requests)
        if received is None:
            # The runtime is gone, or retires this server.
            os._exit(0)
        message, fds = received
        try:
            # Without entering its own first, a process can have only one pid namespace for its children.
            linux.setns(own_pids, linux.CLONE_NEWPID)
            linux.unshare(linux.CLONE_NEWPID)
            pid, entered = group_fork.fork_in(message["group"], groups)
        except OSError as error:
            _report_error(fds[0], error)
        else:
            if pid == 0:
                # A fork must not reap or report as the supervisor does.
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                wakeup.leave()
                requests.close()
                os.close(own_pids)
                os.close(groups)
                prepared.run(message, fds, filters, entered=entered)

        # Left open, these would keep the sockets and groups of ended sandboxes.
        for fd in fds:
            os.close(fd)


class Wakeup:
    """Wakes a wait for messages by signals, also by one that comes just before it begins.

    Python runs a handler between two instructions. A signal after the last of them would not end a wait in recvmsg(2), and
    its handler would run after the next message; with the last child's, that never comes.
    """

    def __init__(self) -> None:
        self._wake, self._signals = socket.socketpair()
        for end in (self._wake, self._signals):
            end.setblocking(False)
        signal.set_wakeup_fd(self._signals.fileno(), warn_on_full_buffer=False)

    def fileno(self) -> int:
        """Readable after a signal."""
        return self._wake.fileno()

    def wait(self, messages: socket.socket) -> None:
        """Return when there is a message. Handlers of signals run meanwhile."""
        while messages not in select.select([messages, self], [], [])[0]:
            self._wake.recv(4096)

    def leave(self) -> None:
        """In a fork: have no part in it."""
        signal.set_wakeup_fd(-1)
        self._wake.close()
        self._signals.close()


def reap(runtime: socket.socket) -> bool:
    """Reap ended children and report their status; False if no child is left."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status, used = os.wait4(-1, os.WNOHANG)
            if not pid:
                return True

            message: dict[str, Any] = {
                "ended": pid,
                "exited": os.waitstatus_to_exitcode(status),
                "cpu": used.ru_utime + used.ru_stime,
                "peak": used.ru_maxrss * 1024,
            }
            # A runtime that is gone reads no report; reaping goes on.
            with contextlib.suppress(OSError):
                channel.send(runtime, message)

    return False


def _report_error(fd: int, error: OSError) -> None:
    with socket.socket(fileno=os.dup(fd)) as runtime, contextlib.suppress(OSError):
        channel.send(runtime, {"error": str(error), "errno": error.errno, "step": "fork"})
