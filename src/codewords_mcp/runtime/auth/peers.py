"""Whose process is at the other end of a loopback connection.

The address that a browser is started with stands in the process list, which other users of the machine can read while it
is still good; and a browser sends the cookie of its session to every port of a host, also to one on which another user listens.
On Linux the kernel tells whose a loopback connection is, so that neither is worth anything to them.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass
from pathlib import Path

_TABLES = {4: Path("/proc/net/tcp"), 6: Path("/proc/net/tcp6")}
_LOCAL, _REMOTE, _STATE, _UID = 1, 2, 3, 7
_ESTABLISHED = "01"
Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Peer:
    """The two ends of a connection to us: where it comes from, and which of our addresses it came to."""

    remote: Address
    own: Address


def is_another_users(peer: Peer) -> bool:
    """Whether a loopback peer is known to be a process of another user than ours, and not root's."""
    uid = uid_of(peer)
    return uid is not None and uid not in {0, os.getuid()}


def uid_of(peer: Peer) -> int | None:
    """The user of the process at the other end of a connection within this machine; None where nobody can tell.

    Both ends are compared: one port may be the near end of several connections, a closed one of which counts as root's.
    """
    try:
        address = ipaddress.ip_address(peer.remote[0])
        table = _TABLES[address.version].read_text(encoding="ascii")
        found = users_in(table, peer)
    except (OSError, ValueError):
        return None
    return found[0] if found else None


def users_in(table: str, peer: Peer) -> list[int]:
    """The users of the open connections between these two ends in a table of the kernel's: one, or none."""
    ends = [f"{_hex(ipaddress.ip_address(host))}:{port:04X}" for host, port in (peer.remote, peer.own)]
    lines = [line.split() for line in table.splitlines()[1:]]
    return [
        int(fields[_UID])
        for fields in lines
        if fields[_LOCAL : _REMOTE + 1] == ends and fields[_STATE] == _ESTABLISHED
    ]


def _hex(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """As the kernel writes it: each 32-bit word in the machine's byte order."""
    packed = address.packed
    words = [packed[at : at + 4] for at in range(0, len(packed), 4)]
    return "".join(f"{socket.ntohl(int.from_bytes(word, 'big')):08X}" for word in words)
