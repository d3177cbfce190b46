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
_RELEASE = Path("/proc/sys/kernel/osrelease")
_LOCAL, _REMOTE, _UID, _INODE = 1, 2, 7, 9
_NO_INODE = "0"
"""Of a connection that no process has any more. The kernel lists it as root's."""
_MAPPED = "::ffff:"
Address = tuple[str, int]
_IP = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Peer:
    """The two ends of a connection to us: where it comes from, and which of our addresses it came to."""

    remote: Address
    own: Address


def is_another_users(peer: Peer) -> bool:
    """Whether a peer on this machine is a process of another user than ours, and not root's.

    A loopback connection that the kernel lists as nobody's counts as another user's: its process may be hiding. Within WSL it
    does not, since programs of Windows connect from outside of this kernel.
    """
    uid = uid_of(peer)
    if uid is None:
        return _is_loopback(peer) and _lists_every_process()
    return uid not in {0, os.getuid()}


def uid_of(peer: Peer) -> int | None:
    """The user of the process at the other end of a connection within this machine; None where nobody can tell.

    A program chooses the family of its socket: a connection from 127.0.0.1 may be listed among those of IPv6.
    """
    try:
        readings = _readings(peer)
        found = [uid for version, ends in readings for uid in users_in(_read_table(version), ends)]
    except (OSError, ValueError):
        return None

    if found:
        return found[0]

    return None


def users_in(table: str, peer: Peer) -> list[int]:
    """The users of the connections between these two ends in a table of the kernel's: one, or none.

    Both ends are compared, since one port may be the near end of several connections. A connection that its process has half
    closed counts; what is left of a closed one does not.
    """
    ends = [f"{_hex(ipaddress.ip_address(host))}:{port:04X}" for host, port in (peer.remote, peer.own)]
    lines = [line.split() for line in table.splitlines()[1:]]
    return [
        int(fields[_UID])
        for fields in lines
        if fields[_LOCAL : _REMOTE + 1] == ends and fields[_INODE] != _NO_INODE
    ]


def _readings(peer: Peer) -> list[tuple[int, Peer]]:
    """(IP version, the two ends as its table has them) of every table that may list the connection."""
    plain = Peer(*((_unmapped(host), port) for host, port in (peer.remote, peer.own)))
    if ipaddress.ip_address(plain.remote[0]).version == 6:
        return [(6, plain)]
    mapped = Peer(*((_MAPPED + host, port) for host, port in (plain.remote, plain.own)))
    return [(4, plain), (6, mapped)]


def _read_table(version: int) -> str:
    try:
        return _TABLES[version].read_text(encoding="ascii")
    except FileNotFoundError:
        if version == 6:  # a kernel without IPv6
            return ""
        raise


def _unmapped(host: str) -> str:
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
    else:
        mapped = None
    return str(mapped or address)


def _is_loopback(peer: Peer) -> bool:
    try:
        return ipaddress.ip_address(_unmapped(peer.remote[0])).is_loopback
    except ValueError:
        return False


def _lists_every_process() -> bool:
    """Whether every program that can connect from loopback is in the kernel's tables."""
    try:
        return _TABLES[4].exists() and "microsoft" not in _RELEASE.read_text(encoding="ascii").lower()
    except OSError:
        return False


def _hex(address: _IP) -> str:
    """As the kernel writes it: each 32-bit word in the machine's byte order."""
    packed = address.packed
    words = [packed[at : at + 4] for at in range(0, len(packed), 4)]
    return "".join(f"{socket.ntohl(int.from_bytes(word, 'big')):08X}" for word in words)
