"""Floods: programs that fill what is not memory: disks, logs, connections. See `bombs`."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator

from tests.attacks.hostile.attempts import (
    APP,
    TMP,
    fact,
    numbered,
    on_their_way,
    proxy_port,
    runtime_port,
    say,
    until_refused,
    wait_for_ever,
    without_leader,
)

MIB = 1 << 20
_CHUNK = bytes(MIB)
Bomb = Callable[[], object]
BOMBS: dict[str, Bomb] = {}


def bomb(act: Bomb) -> Bomb:
    BOMBS[act.__name__.replace("_", "-")] = act
    return act


@bomb
def disk_leaderless() -> object:
    return without_leader(lambda: (time.sleep(0.1), disk_unlinked()))


def _filler(prefix: str) -> Callable[[], object]:
    """Writes a file of one MiB each time."""
    name = numbered(prefix)

    def fill() -> None:
        with open(name(), "wb", buffering=0) as file:
            if file.write(_CHUNK) < MIB:
                raise OSError(errno.ENOSPC, "short")

    return fill


@bomb
def disk() -> object:
    say({"going": True})
    found = until_refused(_filler(f"{APP}/big"), 1024)
    wait_for_ever()
    return found


@bomb
def disk_allocated() -> object:
    say({"going": True})
    name = numbered(f"{TMP}/a")

    def take() -> None:
        descriptor = os.open(name(), os.O_CREAT | os.O_WRONLY)
        os.posix_fallocate(descriptor, 0, 32 * MIB)
        os.close(descriptor)

    found = until_refused(take, 8)
    wait_for_ever()
    return found


@bomb
def disk_unlinked() -> object:
    say({"going": True})

    def take() -> None:
        descriptor = os.open(f"{TMP}/gone", os.O_CREAT | os.O_WRONLY | os.O_EXCL)
        os.unlink(f"{TMP}/gone")
        for _ in range(32):
            os.write(descriptor, _CHUNK)

    found = until_refused(take, 8)
    wait_for_ever()
    return found


@bomb
def disk_mapped() -> object:
    """Files without a name and without a descriptor: only mapped."""
    say({"going": True})
    kept: list[mmap.mmap] = []

    def take() -> None:
        descriptor = os.open(f"{TMP}/gone", os.O_CREAT | os.O_RDWR | os.O_EXCL)
        os.unlink(f"{TMP}/gone")
        for _ in range(32):
            os.write(descriptor, _CHUNK)
        kept.append(mmap.mmap(descriptor, 32 * MIB))
        os.close(descriptor)

    found = until_refused(take, 8)
    wait_for_ever()
    return found


@bomb
def disk_on_its_way() -> object:
    """Files without a name whose descriptors wait in a socket."""

    def files() -> Iterator[int]:
        for _ in range(8):
            descriptor = os.open(f"{TMP}/gone", os.O_CREAT | os.O_WRONLY | os.O_EXCL)
            os.unlink(f"{TMP}/gone")
            for _ in range(32):
                os.write(descriptor, _CHUNK)
            yield descriptor

    say({"going": True})
    kept = on_their_way(files())
    say({"held": 256 * MIB, "by": len(kept)})
    wait_for_ever()
    return None


@bomb
def one_huge_file() -> object:
    descriptor = os.open(f"{APP}/sparse", os.O_CREAT | os.O_WRONLY)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    return until_refused(lambda: os.ftruncate(descriptor, 1 << 44), 1)


@bomb
def inodes() -> object:
    say({"going": True})
    name = numbered(f"{TMP}/f")
    return until_refused(lambda: os.close(os.open(name(), os.O_CREAT | os.O_WRONLY)), 10_000_000)


@bomb
def nested() -> object:
    say({"going": True})
    for _ in range(6000):
        os.mkdir("d")
        os.chdir("d")
    wait_for_ever()
    return None


@bomb
def tmpfs() -> object:
    return until_refused(_filler("/dev/shm/big"), 1024)


@bomb
def tmpfs_inodes() -> object:
    name = numbered("/dev/shm/f")
    return until_refused(lambda: os.close(os.open(name(), os.O_CREAT | os.O_WRONLY)), 100_000)


@bomb
def root_tmpfs() -> object:
    """The small file systems that its root is made of."""
    name = numbered("/run/f")
    return until_refused(lambda: os.mkdir(name()), 100_000)


@bomb
def log() -> object:
    for _ in range(64):
        os.write(1, b"\n" + b"x" * (MIB - 1))
    return "64 MiB"


@bomb
def log_line() -> object:
    for _ in range(64):
        os.write(1, b"x" * MIB)
    os.write(1, b"\n")
    return "64 MiB"


@bomb
def log_letters() -> object:
    for _ in range(100_000):
        os.write(2, b"x")
    return "100,000 letters"


@bomb
def ports() -> object:
    """A listener that comes and goes, since process 1 looks for those."""
    say({"going": True})
    end = time.monotonic() + 2
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_server(("0.0.0.0", 0)):
            time.sleep(0.005)
    return "gone by"


@bomb
def channel() -> object:
    """Nonsense for process 1: not JSON, too long, too deep, with descriptors, and a great deal of it."""
    boot = socket.socket(fileno=os.dup(4))
    messages = [
        b"\0" * 70_000, b"[" * 60_000, b'{"serving":' + b"[" * 50_000, b'{"imported": {}}', b'{"claimed": -1}',
        b'{"claimed": true}', b'{"x": ' + b"9" * 5000 + b"}", b'{"serving": 1e999}', b'"text"', b"\xff\xfe",
    ]  # fmt: skip
    for message in messages + [b'{"imported": 1}'] * 2000:
        with contextlib.suppress(OSError):
            socket.send_fds(boot, [message], [1, 2, 1, 2, 1, 2, 1, 2, 1, 2])
    time.sleep(0.3)
    return ["alive", os.path.exists("/proc/1/stat")]


@bomb
def connections() -> object:
    """To the runtime and to its proxy, as many as it can open, from many processes, all kept."""
    opened = [0, 0]
    ports = (runtime_port(), proxy_port())
    kept: list[socket.socket] = []

    def connect(which: int) -> None:
        one = socket.socket()
        one.settimeout(0.2)
        kept.append(one)
        with contextlib.suppress(TimeoutError, ConnectionError):
            one.connect(("127.0.0.1", ports[which]))
            opened[which] += 1

    for _ in range(4):
        if os.fork() == 0:
            break
    for which in (0, 1):
        until_refused(lambda which=which: connect(which), 100)
    for one in kept[::2]:
        with contextlib.suppress(OSError):
            one.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
    say({"held": sum(opened)})
    wait_for_ever()
    return None


@bomb
def lookups() -> object:
    """Names without end, and packets that are no lookups."""
    try:
        asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    except PermissionError:
        return "no datagrams"
    asked.settimeout(2)
    asked.connect(("127.0.0.1", 53))
    codes: dict[int, int] = {}
    for number in range(9000):
        label = f"n{number}".encode()
        query = (
            struct.pack("!6H", number, 0x100, 1, 0, 0, 0)
            + bytes([len(label)])
            + label
            + b"\7example\0\0\1\0\1"
        )
        asked.send(query)
        with contextlib.suppress(TimeoutError):
            code = asked.recv(512)[3] & 15
            codes[code] = codes.get(code, 0) + 1
    for number in range(300):
        asked.send(os.urandom(number % 40) + b"\xc0\x0c" * (number % 9))
    return codes


def main() -> None:
    name = fact("bomb")
    found = BOMBS[name]()
    say({"found": found})


if __name__ == "__main__":
    main()
