"""Data queued in a program's sockets: bytes, and files that no process has open meanwhile, which hold their bytes too.

/proc says how many descriptors a socket holds, and neither which nor how many bytes. So the socket is borrowed from its
process (pidfd_getfd) and asked, or looked into without taking anything out (MSG_PEEK). Where that is not allowed, nothing
is found.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import socket
import stat
import struct
import sys
import termios
from collections.abc import Iterator
from typing import Final

from codewords_mcp.runtime.sandboxes.namespaces.inside import linux

_SO_PEEK_OFF: Final = 42
_SO_MEMINFO: Final = 55
_BUFFER: Final = 256 << 10
# Descriptors that a message can carry (SCM_MAX_FD).
_MAX_FDS: Final = 253
_MAX_MESSAGES: Final = 1024
# Sockets in sockets; the kernel allows as many (MAX_RECURSION_LEVEL).
_MAX_NESTED: Final = 4


def waiting(pid: int, number: int) -> list[os.stat_result]:
    """Files that wait in the socket which a process has open at `number`."""
    # Asked first: most sockets carry no file, and to borrow one costs more.
    if not _holds_any(f"/proc/{pid}/fdinfo/{number}"):
        return []
    return [info for borrowed in _borrow(pid, [number]) for info in _inside(borrowed, _MAX_NESTED)]


def queued(sockets: dict[int, list[int]]) -> int:
    """Bytes that wait in sockets, given by the process that has them open.

    The larger of what senders are charged and what receivers can read.
    """
    charged = readable = 0
    for pid, numbers in sockets.items():
        for borrowed in _borrow(pid, numbers):
            # The family does not matter here, and would have to be asked for.
            connection = _as_socket(borrowed, socket.AF_UNIX)
            if connection is None:
                continue

            with connection, contextlib.suppress(OSError):
                received, _, sent, _, _, unsent = struct.unpack_from(
                    "6I", connection.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64)
                )
                # TCP counts unsent bytes apart.
                charged += received + max(sent, unsent)
                waiting_bytes = fcntl.ioctl(connection, termios.FIONREAD, bytes(4))
                readable += int.from_bytes(waiting_bytes, sys.byteorder)

    # Sent bytes count for the sender while that lives, and can be read by the receiver: no sum of
    # both.
    return max(charged, readable)


def _borrow(pid: int, numbers: list[int]) -> Iterator[int]:
    """The same sockets as this process's own, each to be closed."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return

    try:
        for number in numbers:
            with contextlib.suppress(OSError):
                yield linux.pidfd_getfd(pidfd, number)
    finally:
        os.close(pidfd)


def _as_socket(descriptor: int, family: int = -1) -> socket.socket | None:
    """Take over a borrowed descriptor as a socket.

    None, with the descriptor closed, where it is none: the program may have opened another file under its number
    between the look at /proc and the borrowing.
    """
    try:
        return socket.socket(family, fileno=descriptor)
    except OSError:
        os.close(descriptor)
        return None


def _holds_any(fdinfo: str) -> bool:
    # A program may have thousands: this is quicker than a file object.
    try:
        fd = os.open(fdinfo, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False

    try:
        _, there, count = os.read(fd, 4096).partition(b"scm_fds:")
    except OSError:
        return False
    finally:
        os.close(fd)

    return bool(there) and count.split(None, 1)[0] != b"0"


def _inside(descriptor: int, depth: int) -> list[os.stat_result]:
    """The files queued in a socket of this process. Closes it."""
    found: list[os.stat_result] = []
    for inner in _peek(descriptor):
        info = os.fstat(inner)
        found.append(info)
        # Sockets in sockets hold files too; their nesting is bounded as the kernel bounds it.
        if stat.S_ISSOCK(info.st_mode) and depth and _holds_any(f"/proc/self/fdinfo/{inner}"):
            found += _inside(inner, depth - 1)
        else:
            os.close(inner)
    return found


def _peek(descriptor: int) -> list[int]:
    """Copies of the descriptors that wait in a socket, which is closed."""
    found = array.array("i")
    connection = _as_socket(descriptor)
    if connection is None:
        return []

    with connection, contextlib.suppress(OSError):
        # The peek offset moves on with each peek; otherwise each would see the first message again.
        connection.setsockopt(socket.SOL_SOCKET, _SO_PEEK_OFF, 0)
        try:
            for _ in range(_MAX_MESSAGES):
                data, control, _, _ = connection.recvmsg(
                    _BUFFER, socket.CMSG_SPACE(_MAX_FDS * 4), socket.MSG_PEEK | socket.MSG_DONTWAIT
                )
                for level, kind, sent in control:
                    if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                        # The kernel may cut a list in the middle of a number.
                        found.frombytes(sent[: len(sent) - len(sent) % 4])

                if not data:
                    break
        finally:
            # Put back: a peek of the program's own would start where ours ended.
            connection.setsockopt(socket.SOL_SOCKET, _SO_PEEK_OFF, -1)

    return found.tolist()
