"""Limits of Landlock: probes whose outcome differs from that with namespaces, and the outcomes that are allowed.

Each entry is a known limit of isolation level C, and is on the page of the reference.
"""

from __future__ import annotations

import os
from typing import Any, Final

from tests.attacks.hostile.attempts import Attempt, Expected, refused, shows

LANDLOCK: Final = "landlock"
"""The way of starting a program in a sandbox without namespaces."""

_REFUSED: Final = refused("EACCES", "EPERM", "gaierror")
"""Landlock and the filter refuse access where a namespace has something empty, harmless or missing to show."""


def _numbers(value: list[int] | str) -> set[int]:
    """The numbers that a probe saw: a list, or the text of one."""
    return {int(value)} if isinstance(value, str) else set(value)


_USER: Final = shows(
    "the runtime's own user; as root, root without capabilities",
    lambda value: _numbers(value) <= {os.geteuid(), os.getegid()},
)
LIMITS: Final[dict[str, Expected]] = {
    "files.socket-name": shows("the path of its own sandbox, a folder that it cannot list", lambda _: True),
    "processes.adoption": shows("the supervisor, a process of the host", lambda pid: pid > 1),
    "processes.all-signals": shows(
        "numbers in use by other processes; none of them can be signalled", lambda found: found[0] == []
    ),
    "processes.group-signals": shows("the numbers of the supervisor's group and session", lambda _: True),
    "kernel.host-name": shows("the name of the host", bool),
    "privileges.identity": _USER,
    "privileges.set-user-id": _USER,
    "privileges.capabilities": shows(
        "no capability; the set that it could gain by an exec stays, and no exec gains any",
        lambda sets: not any(sets[:3] + sets[4:]),
    ),
    "egress.listener": refused("ECONNREFUSED"),
}
ROOT_LIMITS: Final[dict[str, Expected]] = {
    "privileges.setuid": shows("root stays root, without capabilities", lambda _: True),
    "privileges.setgid": shows("root stays root, without capabilities", lambda _: True),
}
"""Further limits where the runtime is root."""


def is_held(attempt: Attempt, record: dict[str, Any]) -> bool:
    """Whether an attempt in a sandbox of Landlock came to what is expected there."""
    limits = LIMITS | (ROOT_LIMITS if os.geteuid() == 0 else {})
    allowed = (attempt.expected, _REFUSED, *filter(None, [limits.get(attempt.id)]))
    return any(expected.meets(record) for expected in allowed)
