"""The question to Linux whose one TCP socket is, by netlink (sock_diag(7)): some microseconds, however many sockets there are."""

from __future__ import annotations

import socket
import struct
from typing import Final

_SOCK_DIAG: Final = 4
"""NETLINK_SOCK_DIAG, for which Python has no name."""
_BY_FAMILY, _REQUEST, _ERROR = 20, 1, 2
"""SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, NLMSG_ERROR."""
_HEADER: Final = struct.Struct("=IHHII")
_ENDS: Final = struct.Struct("!HH16s16s")
_TAIL: Final = struct.Struct("=III")
"""Of a socket's id: the interface, and a cookie that is not asked for."""
_UID_AND_INODE: Final = struct.Struct("=II")
_AFTER_HEADER: Final = _HEADER.size + 4
_UID_AT: Final = _AFTER_HEADER + _ENDS.size + _TAIL.size + 12
_ALL_STATES: Final = 0xFFFFFFFF
_LISTENING: Final = 10
_TIMEOUT: Final = 1.0
Address = tuple[str, int]


def user_of(version: int, local: Address, remote: Address) -> int | None:
    """Return the user of the socket with these two ends, of IP version 4 or 6.

    None where there is no such socket that a process has, and where the kernel does not answer.
    """
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    hosts = (socket.inet_pton(family, host).ljust(16, b"\0") for host, _ in (local, remote))
    ends = _ENDS.pack(local[1], remote[1], *hosts)
    body = struct.pack("=BBxxI", family, socket.IPPROTO_TCP, _ALL_STATES) + ends
    body += _TAIL.pack(0, 0xFFFFFFFF, 0xFFFFFFFF)
    message = _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST, 1, 0) + body
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _SOCK_DIAG) as netlink:
            netlink.settimeout(_TIMEOUT)
            netlink.send(message)
            answer = netlink.recv(4096)
    except (AttributeError, OSError):
        # Another system, or a sandbox in which netlink is closed.
        return None
    return _user_in(answer, ends)


def _user_in(answer: bytes, ends: bytes) -> int | None:
    if len(answer) < _UID_AT + _UID_AND_INODE.size or _HEADER.unpack_from(answer)[1] == _ERROR:
        return None
    state = answer[_HEADER.size + 1]
    # Where no connection has these ends, the kernel tells of the socket that listens at the first one.
    if state == _LISTENING or answer[_AFTER_HEADER : _AFTER_HEADER + len(ends)] != ends:
        return None
    uid, inode = _UID_AND_INODE.unpack_from(answer, _UID_AT)
    # A connection that no process has any more is listed as root's.
    return uid if inode else None
