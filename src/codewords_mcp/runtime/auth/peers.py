"""The user of the process at the other end of a loopback connection.

The address that a browser is started with is in the process list, which other users of the machine
can read while it is valid. A browser also sends its session cookie to every port of a host,
including one where another user listens. On Linux the kernel knows the user of a loopback
connection, so that neither is of use to them.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from codewords_mcp.runtime.auth import socket_diag

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
    """Whether a peer on this machine is a process of another user, and not root's.

    A loopback connection without a listed user counts as another user's: its process may be hiding.
    Within WSL it does not, since Windows programs connect from outside of this kernel.
    """
    uid = uid_of(peer)
    if uid is None:
        return _is_loopback(peer) and _lists_every_process()
    # root reads everything anyway, and a browser started by sudo is the person's own.
    return uid not in {0, os.getuid()}


def uid_of(peer: Peer) -> int | None:
    """Return the user of the process at the other end of a local connection; None if unknown.

    A program chooses the family of its socket: a connection from 127.0.0.1 may be listed under
    IPv6.
    """
    try:
        readings = _readings(peer)
        for version, ends in readings:
            if (uid := socket_diag.user_of(version, ends.remote, ends.own)) is not None:
                return uid
        # Only where the kernel does not answer that question: a table has all connections of the machine,
        # and the kernel goes through all of its buckets for it.
        found = [uid for version, ends in readings for uid in users_in(_read_table(version), ends)]
    except (OSError, ValueError):
        return None

    if found:
        return found[0]

    return None


def users_in(table: str, peer: Peer) -> list[int]:
    """Return the users of the connections between these two ends in a kernel table: one, or none.

    Both ends are compared, since several connections may share one port. A half-closed connection
    counts; the remains of a closed one do not.
    """
    # The peer's own socket has the two ends the other way round, so its local address is our
    # remote one.
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
    # A socket of IPv6 that connects to 127.0.0.1 is in the other table, with mapped addresses.
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
    """Format an address as the kernel writes it: each 32-bit word in the machine's byte order."""
    packed = address.packed
    words = [packed[at : at + 4] for at in range(0, len(packed), 4)]
    return "".join(f"{socket.ntohl(int.from_bytes(word, 'big')):08X}" for word in words)
