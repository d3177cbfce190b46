"""The user behind a connection on loopback, which every user of a machine can make. Linux says whose it is."""

from __future__ import annotations

import os
import platform
import socket
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED: Final = "01"
_LOOKS: Final = 3
_LOCAL, _REMOTE, _STATE, _UID = 1, 2, 3, 7
"""Columns of these tables: proc(5)."""


def is_own_user(peer: Sequence[Any] | None, own: Sequence[Any] | None) -> bool:
    """Whether a process of this user or of root made the connection from `peer` to `own`: pairs of address and port.

    Where the system does not say (macOS, WSL, whose Windows has other tables), every user of the machine is let in. A connection
    that its maker has closed has no user any more, and is refused.
    """
    if not _TABLES[0].exists() or "microsoft" in platform.release().lower():
        return True
    if not peer or not own:
        return False
    ends = (_spelled(peer), _spelled(own))
    # A table that changes while it is read may lack an entry that stood in it all the time.
    for _ in range(_LOOKS):
        found = {uid for local, remote, uid in _established() if (local, remote) == ends}
        if found:
            return found <= {0, os.geteuid()}
    return False


def _established() -> Iterator[tuple[str, str, int]]:
    for table in _TABLES:
        if table.exists():
            for line in table.read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[_STATE] == _ESTABLISHED:
                    yield _short(fields[_LOCAL]), _short(fields[_REMOTE]), int(fields[_UID])


def _spelled(end: Sequence[Any]) -> str:
    """An IPv4 address and port as the tables have them: the address in the byte order of the machine, in hex."""
    (number,) = struct.unpack("=I", socket.inet_aton(str(end[0])))
    return f"{number:08X}:{int(end[1]):04X}"


def _short(end: str) -> str:
    """The same for an IPv4 address in a table of IPv6, where it is the last of four words."""
    address, _, port = end.rpartition(":")
    return f"{address[-8:]}:{port}"
