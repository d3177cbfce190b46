"""Bombs: programs that take one thing without end. Which one, the host says; each prints how far it came."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import mmap
import os
import resource
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

from tests.attacks.hostile.attempts import (
    fact,
    in_child,
    on_their_way,
    say,
    system,
    until_refused,
    wait_for_ever,
    without_leader,
)

MIB = 1 << 20
_CHUNK = bytes(MIB)
_SPREAD_BYTES = 600 * MIB
"""What bombs that no limit may stop take at most: well over the 256 MiB that they may have, harmless to the host."""
_F_SETPIPE_SZ = 1031
Bomb = Callable[[], object]
BOMBS: dict[str, Bomb] = {}


def bomb(act: Bomb) -> Bomb:
    BOMBS[act.__name__.replace("_", "-")] = act
    return act


@bomb
def forks() -> object:
    return until_refused(lambda: in_child(wait_for_ever))


@bomb
def hydra() -> object:
    """Every child forks on; whoever kills one finds two."""
    say({"going": True})
    while True:
        with contextlib.suppress(OSError):
            os.fork()


@bomb
def daemons() -> object:
    """Processes that leave their parents, session and group, and start anew as they die."""
    say({"going": True})
    while True:
        with contextlib.suppress(OSError):
            if os.fork() == 0:
                os.setsid()
                with contextlib.suppress(OSError):
                    if os.fork() == 0:
                        continue
                os._exit(0)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)


@bomb
def threads() -> object:
    go = threading.Event()
    found = until_refused(lambda: threading.Thread(target=go.wait, daemon=True).start())
    go.set()
    return found


@bomb
def spinning() -> object:
    """More processes than there are processors, computing."""

    def spin() -> None:
        while True:
            pass

    until_refused(lambda: in_child(spin), 16)
    say({"going": True})
    wait_for_ever()
    return None


@bomb
def descriptors() -> object:
    return until_refused(lambda: os.open("/dev/null", os.O_RDONLY))


@bomb
def heap() -> object:
    held: list[bytearray] = []
    say({"going": True})
    return until_refused(lambda: held.append(bytearray(b"x" * MIB)), 4096)


@bomb
def shared_map() -> object:
    held: list[mmap.mmap] = []

    def take() -> None:
        block = mmap.mmap(-1, MIB)
        block.write(_CHUNK)
        held.append(block)

    say({"going": True})
    return until_refused(take, 4096)


@bomb
def memory_files() -> object:
    def take() -> None:
        file = os.memfd_create("x")
        for _ in range(16):
            os.write(file, _CHUNK)

    say({"going": True})
    return until_refused(take, 128)


@bomb
def many_small() -> object:
    """Each child stays below the limit; together they do not."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    full: set[int] = set()

    def take() -> None:
        held = bytearray(b"x" * (48 * MIB))
        os.write(writing, b"%d\n" % os.getpid())
        if held:
            wait_for_ever()

    say({"going": True})
    children: list[int] = []
    until_refused(lambda: children.append(in_child(take)), 20)
    time.sleep(1.5)  # they fill what they can; who does not fit is ended
    with contextlib.suppress(BlockingIOError):
        full = {int(line) for line in os.read(reading, 65536).split()}
    alive = [pid for pid in children if pid in full and os.waitpid(pid, os.WNOHANG)[0] == 0]
    say({"held": len(alive) * 48 * MIB})
    wait_for_ever()
    return None


@bomb
def memory_leaderless() -> object:
    return without_leader(lambda: (time.sleep(0.1), say({"found": shared_map()})))


@bomb
def sysv_memory() -> object:
    """Shared memory that no process has attached, so that no process's memory is counted for it."""
    size, libc = 16 * MIB, ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p

    def take() -> None:
        segment = system("shmget", 0, size, 0o1600)
        address = libc.shmat(segment, None, 0)
        if address in (None, ctypes.c_void_p(-1).value):
            raise OSError(ctypes.get_errno(), "shmat")
        ctypes.memset(address, 1, size)
        libc.shmdt(ctypes.c_void_p(address))

    say({"going": True})
    return until_refused(take, _SPREAD_BYTES // size)


@bomb
def socket_buffers() -> object:
    """Bytes that wait in Unix sockets belong to no process."""
    say({"going": True})
    queued = 0

    def fill() -> None:
        nonlocal queued
        one, two = socket.socketpair()
        kept.extend((one, two))
        one.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                queued += one.send(_CHUNK[: 64 << 10])

    kept: list[socket.socket] = []
    while queued < _SPREAD_BYTES:
        stopped = until_refused(fill, 100)
        if not queued or stopped[1] == "nothing":
            continue
        if os.fork():  # the parent keeps what it has; the child goes on with descriptors of its own
            wait_for_ever()
        for one in kept:
            one.close()
        kept = []
    say({"held": queued})
    wait_for_ever()
    return None


@bomb
def tcp_buffers() -> object:
    """Bytes that wait in connections to itself, in many processes: the kernel has one sum of these for the whole machine."""
    say({"going": True})
    queued = 0
    while queued < _SPREAD_BYTES:
        kept, sent = _full_connections(40)
        queued += sent
        if (
            not sent or os.fork()
        ):  # the parent keeps what it has; the child goes on with descriptors of its own
            break
        for one in kept:
            one.close()
    else:
        say({"held": queued})
    wait_for_ever()
    return None


def _full_connections(count: int) -> tuple[list[socket.socket], int]:
    kept: list[socket.socket] = []
    sent = 0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for _ in range(count):
            one = socket.create_connection(listener.getsockname())
            kept += [one, listener.accept()[0]]
            one.setblocking(False)
            deadline = (
                time.monotonic() + 0.04
            )  # what the receiver has taken in makes room at the sender, a little later
            while time.monotonic() < deadline:
                with contextlib.suppress(BlockingIOError):
                    sent += one.send(_CHUNK)
    return kept, sent


@bomb
def semaphores() -> object:
    """Sets of as many System V semaphores as one may have: 4 MiB of the kernel's memory each, and of no process's."""
    return until_refused(lambda: system("semget", 0, 32_000, 0o600), _SPREAD_BYTES // (4 * MIB))


@bomb
def messages() -> object:
    """Bytes that wait in System V queues."""
    libc = ctypes.CDLL(None, use_errno=True)
    text = struct.pack("l", 1) + bytes(8000)

    def fill() -> None:
        queue = system("msgget", 0, 0o600)
        while libc.msgsnd(queue, text, 8000, os.O_NONBLOCK) == 0:
            pass

    return until_refused(fill, _SPREAD_BYTES // 16_000)


@bomb
def pipes() -> object:
    """Pipes as large as they may be, each full."""
    total = 0

    def fill() -> None:
        nonlocal total
        reading, writing = os.pipe()
        kept.append(reading)
        with contextlib.suppress(OSError):
            fcntl.fcntl(writing, _F_SETPIPE_SZ, MIB)
        os.set_blocking(writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                total += os.write(writing, _CHUNK)

    kept: list[int] = []
    until_refused(fill)
    say({"held": total // MIB})
    wait_for_ever()
    return None


@bomb
def memory_on_its_way() -> object:
    """The same with files in memory."""

    def files() -> Iterator[int]:
        for _ in range(_SPREAD_BYTES // (16 * MIB)):
            descriptor = os.memfd_create("x")
            for _ in range(16):
                os.write(descriptor, _CHUNK)
            yield descriptor

    say({"going": True})
    kept = on_their_way(files())
    say({"held": _SPREAD_BYTES, "by": len(kept)})
    wait_for_ever()
    return None


@bomb
def watches() -> object:
    """Instances of inotify are few, and counted by user."""
    libc = ctypes.CDLL(None, use_errno=True)
    made = 0
    while libc.inotify_init1(0) >= 0:
        made += 1
    say({"held": made})
    wait_for_ever()
    return None


@bomb
def signals() -> object:
    """Queued signals, which a user may have only so many of."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
    libc = ctypes.CDLL(None, use_errno=True)

    def queue() -> None:
        if libc.sigqueue(os.getpid(), int(signal.SIGRTMIN), None):
            raise OSError(ctypes.get_errno(), "sigqueue")

    most = resource.getrlimit(resource.RLIMIT_SIGPENDING)[0]
    found = until_refused(queue, most + 1000)
    say({"held": found[0]})
    wait_for_ever()
    return None


def main() -> None:
    name = fact("bomb")
    found = BOMBS[name]()
    say({"found": found})


if __name__ == "__main__":
    main()
