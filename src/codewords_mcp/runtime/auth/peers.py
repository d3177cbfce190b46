"""Whose process is at the other end of a loopback connection.

The address that a browser is started with stands in the process list, which other users of the machine can read while it
is still good. On Linux the kernel tells whose a loopback connection is, so that theirs is refused.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path

_TABLES = {4: Path("/proc/net/tcp"), 6: Path("/proc/net/tcp6")}
_UID = 7


def is_another_users(peer: tuple[str, int]) -> bool:
    """Whether a loopback peer is known to be a process of another user than ours, and not root's."""
    uid = uid_of(peer)
    return uid is not None and uid not in {0, os.getuid()}


def uid_of(peer: tuple[str, int]) -> int | None:
    """The user of the process at a loopback address and port; None where nobody can tell."""
    try:
        address = ipaddress.ip_address(peer[0])
        table = _TABLES[address.version].read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    if not address.is_loopback:
        return None
    local = f"{_hex(address)}:{peer[1]:04X}"
    for line in table.splitlines()[1:]:
        fields = line.split()
        if fields[1] == local:
            return int(fields[_UID])
    return None


def _hex(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """As the kernel writes it: each 32-bit word in the machine's byte order."""
    packed = address.packed
    words = [packed[at : at + 4] for at in range(0, len(packed), 4)]
    return "".join(f"{socket.ntohl(int.from_bytes(word, 'big')):08X}" for word in words)
