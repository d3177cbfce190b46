"""The user that listens on a loopback port of this machine, as the kernel reports it.

The port of a program without a network of its own stands in the process list while the program starts. Another user who
listens there first would be sent what the run was asked, and would answer in its place.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LOCAL, _STATE, _UID = 1, 3, 7
_LISTENS: Final = "0A"


def is_another_users_port(port: int) -> bool:
    """Whether a process of another user listens on this port, at any address. False where nobody can tell."""
    return any(uid != os.getuid() for uid in _users_listening(port))


def _users_listening(port: int) -> set[int]:
    users: set[int] = set()
    for table in _TABLES:
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            # Addresses are hexadecimal, host and port; any address of the machine counts.
            if fields[_STATE] == _LISTENS and int(fields[_LOCAL].rpartition(":")[2], 16) == port:
                users.add(int(fields[_UID]))
    return users
