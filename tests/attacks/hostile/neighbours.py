"""Another sandbox on the same machine, with the same packages, started from the same fork server."""

from __future__ import annotations

import ctypes
import fcntl
import os
import random
import select
import socket
import ssl
import uuid

from tests.attacks.hostile.attempts import (
    APP,
    TMP,
    Group,
    fact,
    gives,
    in_memory,
    refused,
    shows,
    system,
    write,
)

group = Group("neighbours", "Other sandboxes")
_THEIRS = "Another workflow's files are another person's data."
_NONE = gives([], "nothing of it")
_KEY = 0x5EC2E7
_IN_OPEN = 0x20
_F_SETLEASE = 1024


@group.attempt("tmp", "List /tmp and /var/tmp", _THEIRS, _NONE)
def _() -> object:
    return os.listdir("/tmp") + os.listdir("/var/tmp")


@group.attempt("app", "List /app", _THEIRS, gives(["main.py"], "its own program alone"))
def _() -> object:
    return os.listdir(APP)


@group.attempt("shm", "List /dev/shm", _THEIRS, _NONE)
def _() -> object:
    return os.listdir("/dev/shm")


@group.attempt(
    "tcp", "Connect to the other's port", "Programs trust their own loopback.", refused("ECONNREFUSED")
)
def _() -> object:
    with socket.create_connection(("127.0.0.1", 7000), timeout=2):
        return "connected"


@group.attempt(
    "same-port",
    "Listen on the port that the other listens on",
    "It could answer in its place, or keep it from starting.",
    gives("mine", "each has its own ports"),
)
def _() -> object:
    with socket.create_server(("127.0.0.1", 7000)):
        return "mine"


@group.attempt(
    "abstract",
    "Connect to the other's abstract socket",
    "Abstract sockets have no file that a root hides.",
    refused("ECONNREFUSED"),
)
def _() -> object:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect("\0victim")


@group.attempt(
    "shared-memory",
    "Attach the other's SysV shared memory",
    "Memory by a number that can be guessed.",
    refused("ENOENT", "ENOSYS"),
)
def _() -> object:
    return system("shmget", _KEY, 0, 0)


@group.attempt("semaphores", "Find the other's SysV semaphores", "The same.", refused("ENOENT", "ENOSYS"))
def _() -> object:
    return system("semget", _KEY, 0, 0)


@group.attempt("messages", "Find the other's SysV message queue", "The same.", refused("ENOENT", "ENOSYS"))
def _() -> object:
    return system("msgget", _KEY, 0)


@group.attempt(
    "posix-queue",
    "Make a POSIX message queue",
    "Queues hold memory that no process has.",
    refused("ENOENT", "EMFILE", "ENOSYS", "EACCES", "ENOSPC"),
)
def _() -> object:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mq_open(b"/victim", os.O_CREAT | os.O_RDWR, 0o600, None) < 0:
        raise OSError(ctypes.get_errno(), "mq_open")
    return "made"


@group.attempt(
    "memory",
    "Search its own memory for the other's secret",
    "What was forked from the same server shares its pages.",
    gives([], "it is not there"),
)
def _() -> object:
    return in_memory(rb"vic[t]im-[0-9a-f]{32}")  # does not match itself


@group.attempt(
    "random",
    "Draw the same random numbers as the other",
    "Tokens and keys are made of them.",
    shows("other ones", lambda same: same == []),
)
def _() -> object:
    drawn = [random.random(), str(uuid.uuid4()), ssl.RAND_bytes(8).hex(), random.getrandbits(64)]
    return [one for one in drawn if one in fact("random")]


@group.attempt(
    "hidden-messages",
    "Tell the other something by a lock on a file of the environment",
    "Two workflows that must not talk could.",
    shows(
        "a known limit: by files that both can only read, those who both want to can signal",
        lambda told: told in ("locked", "free"),
    ),
)
def _() -> object:
    descriptor = os.open(os.path.realpath(os.__file__), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "locked"
    finally:
        os.close(descriptor)
    return "free"


def _heard(path: str) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    events = libc.inotify_init1(os.O_NONBLOCK)
    if events < 0:
        raise OSError(ctypes.get_errno(), "inotify")
    libc.inotify_add_watch(events, path.encode(), _IN_OPEN)
    try:
        return bool(select.select([events], [], [], 0.3)[0])
    finally:
        os.close(events)


@group.attempt(
    "watching",
    "Watch what the other opens in /app, /tmp and /dev/shm, by the same names (inotify)",
    "It tells what another workflow does, and when.",
    gives([], "nothing is heard"),
)
def _() -> object:
    write(f"{TMP}/victim")
    return [path for path in (f"{APP}/main.py", f"{TMP}/victim", "/dev/shm") if _heard(path)]


@group.attempt(
    "watching-packages",
    "Watch which file of the environment the other opens",
    "It tells that somebody imports something, though not who.",
    shows("a known limit: an opened file of a shared package is heard", lambda heard: heard in (True, False)),
)
def _() -> object:
    return _heard(os.path.realpath(os.__file__))


@group.attempt(
    "lease",
    "Take a lease on a file of the environment",
    "Whoever opens it for writing, as a repair on the host would, waits 45 seconds.",
    refused("EACCES", "EAGAIN"),
)
def _() -> object:
    descriptor = os.open(os.path.realpath(os.__file__), os.O_RDONLY)
    try:
        return fcntl.fcntl(descriptor, _F_SETLEASE, fcntl.F_RDLCK)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    group.run()
