"""Identity of the program: user 1000 of a user namespace of its own, without capabilities, under the filter."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Callable, Generator
from typing import Any, Final

from . import linux

INNER_ID: Final = 1000
SERVER_ID: Final = 1
# Resources that the kernel counts by user, in every user namespace up to the host's: one sandbox
# may have an eighth of the usual instances, and leaves others, and as an ordinary user the person
# whose machine this is, theirs.
_COUNTERS: Final = {"max_inotify_instances": "16", "max_inotify_watches": "8192"}
# Queued signals and timers, counted likewise.
_SIGNALS: Final = 1024


def enter_namespaces(uid: int | None) -> None:
    """Leave the host's namespaces. `uid` is None for an ordinary user."""
    # As root the new namespaces belong to the host's root, so that the program has no power over
    # them in any user namespace it could reach. Else they belong to a user namespace of our own.
    flags = (
        linux.CLONE_NEWNS | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS | linux.CLONE_NEWNET | linux.CLONE_NEWPID
    )
    if uid is not None:
        linux.unshare(flags)
        return

    outer_uid, outer_gid = os.geteuid(), os.getegid()
    linux.unshare(flags | linux.CLONE_NEWUSER)
    _map_ids(0, outer_uid, outer_gid)


def enter_server_namespaces(first: int | None, count: int, build: Callable[[], None]) -> None:
    """For a fork server: namespaces of its own under a user namespace in which it may make more, as user 1 of it.

    As root (`first` given) its ids 0 to `count` are the host's from `first` on: nobody's. `build` mounts its root while
    the host's files can still be read. The caller's children are in the new pid namespace, itself is not.
    """
    # Without a cgroup namespace: each prepared isolation makes its own once it is in its group.
    flags = linux.ALL_NAMESPACES & ~linux.CLONE_NEWCGROUP
    # The namespace is made as user 1 of it, not as root: the kernel charges what it counts by user
    # to the namespace's maker too. Not as user 0: that one owns /proc of processes nobody may look
    # into.
    if first is None:
        outer_uid, outer_gid = os.geteuid(), os.getegid()
        linux.unshare(flags)
        _map_ids(SERVER_ID, outer_uid, outer_gid)
        build()

        return

    # The root is built as the host's root: afterwards the host's folders cannot be read.
    linux.unshare(linux.CLONE_NEWNS)
    build()
    os.setgroups([])
    own = first + SERVER_ID

    with _mapped_by_root(f"0 {first} {count}"):
        os.setresgid(own, own, own)
        os.setresuid(own, own, own)
        linux.unshare(flags)


@contextlib.contextmanager
def _mapped_by_root(line: str) -> Generator[None, None, None]:
    """Inside, this process enters a user namespace; a child that stayed outside then writes its maps."""
    pid = os.getpid()
    ready, ready_inside = os.pipe()
    # Only a process outside of the new namespace, with CAP_SETUID there, may map more than one id.
    mapper = os.fork()

    if mapper == 0:
        status = 1
        try:
            os.close(ready_inside)
            if os.read(ready, 1):
                _write(f"/proc/{pid}/uid_map", line)
                _write(f"/proc/{pid}/gid_map", line)
                status = 0
        finally:
            os._exit(status)

    try:
        # Without a byte in the pipe (unshare failed) the mapper reads the end of file and writes
        # nothing.
        yield
        os.write(ready_inside, b"x")
    finally:
        os.close(ready_inside)
        os.close(ready)
        _, status = os.waitpid(mapper, 0)

    if status:
        raise OSError(1, "the fork server's ids could not be mapped")


def become(uid: int | None, counters: int) -> None:
    """Become user 1000, mapped to `uid` of this user namespace (or to the caller's own), in a last user namespace.

    `counters` is from `rootfs.enter`, and closed.
    """
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        # setuid cleared it, and the maps in /proc/self can be written only by a dumpable process.
        linux.prctl(linux.PR_SET_DUMPABLE, 1)

    outer_uid, outer_gid = os.geteuid(), os.getegid()
    linux.unshare(linux.CLONE_NEWUSER)
    # Written by the process itself: one id, its own, needs no capability outside.
    _map_ids(INNER_ID, outer_uid, outer_gid)
    for name, value in _COUNTERS.items():
        with contextlib.suppress(FileNotFoundError):  # a kernel without inotify
            _write(name, value, folder=counters)

    os.close(counters)


def lock_down(program: bytes) -> None:
    """No way back: no new privileges, no capabilities, the system call filter, no ptrace into this process."""
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.drop_capabilities()
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    linux.load_seccomp(program)


def limit(bounds: dict[str, Any], pid: int = 0) -> None:
    """Set resource limits: `files`, `disk`, `processes`, `memory`, `address_space` of a claim (`spawn.describe_limits`).

    Call after `become`: the process limit counts per user namespace then, not per host user. `memory` is None where a
    cgroup holds it. A false `address_space` leaves RLIMIT_AS out. `pid`: another process of the caller's user than itself.
    """
    memory: int | None = bounds["memory"]
    limits: dict[int, int] = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: bounds["files"],
        resource.RLIMIT_FSIZE: bounds["disk"],
        # One more, since process 1 has the same user and counts.
        resource.RLIMIT_NPROC: bounds["processes"] + 1,
        resource.RLIMIT_MEMLOCK: 64 << 10,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_SIGPENDING: _SIGNALS,
    }
    if memory is not None:
        # RLIMIT_DATA stops heaps. RLIMIT_AS also stops shared anonymous maps, with room for address
        # space that is reserved but never used, as threads' stacks are.
        limits[resource.RLIMIT_DATA] = memory
        if bounds["address_space"]:
            limits[resource.RLIMIT_AS] = 2 * memory + (4 << 30)

    for which, value in limits.items():
        # An ordinary user cannot raise a hard limit that the machine has set lower.
        _, hard = resource.prlimit(pid, which)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)  # noqa: PLW2901
        resource.prlimit(pid, which, (value, value))


def _map_ids(inner: int, outer_uid: int, outer_gid: int) -> None:
    # "deny" first: the kernel refuses an unprivileged gid_map while setgroups is allowed.
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{inner} {outer_uid} 1"),
        ("gid_map", f"{inner} {outer_gid} 1"),
    ):
        _write(f"/proc/self/{name}", text)


def _write(path: str, text: str, folder: int | None = None) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
