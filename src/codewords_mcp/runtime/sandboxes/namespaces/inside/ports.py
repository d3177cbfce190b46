"""TCP ports of this network that are listened on.

The kernel is asked by sock_diag(7) for listening sockets only. /proc/net/tcp has the same, but reading it walks the
table of every connection of the machine, which takes 10 ms of processor time where memory is plenty: too much for
whoever asks again and again while a program starts.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from typing import Final

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h
_SOCK_DIAG: Final = 4
_REQUEST_DUMP: Final = 0x301
_BY_FAMILY: Final = 20
_ERROR, _DONE = 2, 3
_HEADER: Final = struct.Struct("=IHHII")
_QUESTION: Final = struct.Struct("=BBBxI48x")
_ANSWER: Final = struct.Struct("=BBxxH2x16s")
_LISTEN: Final = 10
_SECONDS: Final = 1.0
_V4_REACHABLE: Final = (b"\x7f\0\0\1", b"\0\0\0\0")
_V6_REACHABLE: Final = {
    bytes(16): "::1",
    bytes(15) + b"\1": "::1",
    bytes(10) + b"\xff\xff\x7f\0\0\1": "127.0.0.1",
    bytes(10) + b"\xff\xff\0\0\0\0": "127.0.0.1",
}


class ListeningPorts:
    """Made before the system call filter is loaded, which allows no socket of this kind."""

    def __init__(self) -> None:
        self._kernel: socket.socket | None = None
        with contextlib.suppress(OSError):
            self._kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _SOCK_DIAG)
            self._kernel.settimeout(_SECONDS)

    def listening(self) -> dict[int, str]:
        """Each port with a loopback address that reaches it."""
        found: dict[int, str] = {}
        for family in (socket.AF_INET6, socket.AF_INET):
            # A socket for both families is listed under IPv6 only. IPv4 comes last, so that its
            # address wins where a port listens on both.
            for port, address in self._ask(family):
                reached = _reached(family, address)
                if reached is not None:
                    found[port] = reached
        return found

    def close(self) -> None:
        """Let go of the kernel."""
        if self._kernel is not None:
            self._kernel.close()

    def _ask(self, family: int) -> Iterator[tuple[int, bytes]]:
        """Port and address of each listening socket. Nothing where the kernel does not tell."""
        if self._kernel is None:
            return

        question = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 1 << _LISTEN)
        header = _HEADER.pack(_HEADER.size + len(question), _BY_FAMILY, _REQUEST_DUMP, family, 0)
        with contextlib.suppress(OSError):
            # An answer that is late fails the poll, not the program: the next poll asks again.
            self._kernel.send(header + question)
            while True:
                data = self._kernel.recv(64 << 10)
                while data:
                    length, kind, _, sequence, _ = _HEADER.unpack_from(data)
                    if kind in (_ERROR, _DONE):
                        return

                    if sequence == family:  # else it belongs to a question that was given up
                        _, _, port, address = _ANSWER.unpack_from(data, _HEADER.size)
                        yield socket.ntohs(port), address

                    data = data[(length + 3) & ~3 :]


def _reached(family: int, address: bytes) -> str | None:
    if family == socket.AF_INET6:
        return _V6_REACHABLE.get(address)
    if address[:4] in _V4_REACHABLE:
        return "127.0.0.1"
    return None
