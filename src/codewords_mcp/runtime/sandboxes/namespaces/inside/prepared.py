"""A prepared isolation: a sandbox with everything but a program. A fork of the fork server enters it.

Its process 1 is forked from the supervisor, a small process, before it is needed. It joins the control groups, makes root
and network, becomes the sandbox's user and locks itself down. It leaves the *entry* in a socket: the namespaces and the
program's files. One fork takes it out, so one program runs in a prepared isolation, which ends with it.

The fork never has the channel to the runtime. What to run comes by process 1, which first looks whether the fork is locked
down, and sets its limits (`watch`).
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Any, Final, NamedTuple, NoReturn

from . import channel, identity, init, linux, rootfs
from .ports import ListeningPorts
from .watch import ProgramWatch

_FILES: Final = ("listener", "stdout", "stderr")
# In the order in which they are entered: with the last go the rights over the others.
_NAMESPACES: Final = {
    "mnt": linux.CLONE_NEWNS, "net": linux.CLONE_NEWNET, "ipc": linux.CLONE_NEWIPC, "uts": linux.CLONE_NEWUTS,
    "cgroup": linux.CLONE_NEWCGROUP, "user": linux.CLONE_NEWUSER,
}  # fmt: skip


class EntryDescriptors(NamedTuple):
    """Descriptors: the pid namespace, for the fork itself; the other namespaces by name; the control groups; what the
    program gets. `catches_all`: see `init`.
    """

    pid: int
    namespaces: dict[str, int]
    groups: list[int]
    files: dict[str, int]
    catches_all: bool

    def close(self) -> None:
        """Close all of them."""
        for fd in (self.pid, *self.namespaces.values(), *self.groups, *self.files.values()):
            os.close(fd)


def run(message: dict[str, Any], fds: list[int], filters: dict[bool, bytes], *, entered: bool) -> NoReturn:
    """Be process 1 of a new prepared isolation until it ends.

    `fds`: the channel to the runtime, those of `_FILES`, the socket for the entry, control groups, which it has `entered` or
    enters now.
    """
    runtime, listener = socket.socket(fileno=fds[0]), socket.socket(fileno=fds[1])
    entry, groups = socket.socket(fileno=fds[4]), fds[5:]

    try:
        names, ports, namespaces = _isolate(message, runtime, [] if entered else groups, filters)
        _send_entry(entry, init.catches_all(names), namespaces, groups, fds[1:4])
        watch = ProgramWatch(runtime, listener, entry, ports)
        channel.send(runtime, {"empty": True})
        watch.run()
    except BaseException as error:  # noqa: BLE001
        # Nothing may return into the supervisor's code, which makes isolations for others.
        if isinstance(error, OSError):
            number = error.errno
        else:
            number = None

        with contextlib.suppress(OSError):
            channel.send(runtime, {"error": str(error), "errno": number, "step": "isolation"})
    finally:
        os._exit(0)


def _isolate(
    message: dict[str, Any], runtime: socket.socket, groups: list[int], filters: dict[bool, bytes]
) -> tuple[list[str], ListeningPorts, dict[str, int]]:
    """Isolate this process. Returns its listeners' names, the reader of listening ports, its namespaces."""
    # The pidfd is opened by the process itself: the runtime does not know its number inside.
    pidfd = os.pidfd_open(os.getpid())
    channel.send(runtime, {"forked": True}, [pidfd])
    os.close(pidfd)
    # Before the namespaces: the cgroup namespace below starts at the group that this process is in.
    linux.enter_groups(groups)
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS | linux.CLONE_NEWNET)
    counters = rootfs.enter_prepared(message["name"], high_pids=message["high_pids"])
    names = init.open_network(runtime, network=message["network"])
    identity.become(message["uid"], counters)
    own = ["pid", *_NAMESPACES]

    try:
        linux.unshare(linux.CLONE_NEWCGROUP)
    except OSError:
        # Not every kernel has cgroup namespaces; a fork then enters one namespace less.
        own.remove("cgroup")

    namespaces = {name: os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in own}
    # Opened before the filter forbids its kind of socket.
    ports = ListeningPorts()
    identity.lock_down(filters[message["exact_memory"]])

    return names, ports, namespaces


def _send_entry(
    entry: socket.socket, catches_all: bool, namespaces: dict[str, int], groups: list[int], files: list[int]
) -> None:
    """Send the entry, and close all of it but the listener, which process 1 needs itself."""
    message = {"namespaces": list(namespaces), "groups": len(groups), "catches_all": catches_all}
    channel.send(entry, message, [*namespaces.values(), *groups, *files])
    for fd in (*namespaces.values(), *groups, *files[1:]):
        os.close(fd)


def receive_entry(prepared: socket.socket) -> EntryDescriptors:
    """Receive the entry that process 1 left. Raises OSError if that has ended."""
    received = channel.receive(prepared)
    if received is None:
        raise OSError(32, "the sandbox is gone")

    message, fds = received
    names: list[str] = message["namespaces"]
    namespaces = dict(zip(names, fds, strict=False))
    rest = fds[len(names) :]
    groups, files = rest[: message["groups"]], rest[message["groups"] :]
    pid = namespaces.pop("pid")

    return EntryDescriptors(
        pid, namespaces, groups, dict(zip(_FILES, files, strict=True)), message["catches_all"]
    )


def enter(entry: EntryDescriptors, *, entered: bool) -> None:
    """Become a process of the prepared isolation, as its user, with every capability in its user namespace until `lock_down`.

    The caller was forked into its pid namespace, and has `entered` its control groups or enters them now.
    """
    # While the caller still has its server's view: inside, the control groups can't be seen.
    if not entered:
        linux.enter_groups(entry.groups)
    for name, kind in _NAMESPACES.items():
        if name in entry.namespaces:
            linux.setns(entry.namespaces[name], kind)

    # Before the program's user is set, so that no descriptor of a namespace reaches its code.
    for fd in (entry.pid, *entry.namespaces.values(), *entry.groups):
        os.close(fd)
    os.setresgid(identity.INNER_ID, identity.INNER_ID, identity.INNER_ID)
    os.setresuid(identity.INNER_ID, identity.INNER_ID, identity.INNER_ID)
