"""The proof, from outside, that a process is locked down: by what the kernel says of it, and not by what it says itself."""

from __future__ import annotations

import os
from typing import Final

_CAPABILITIES: Final = ("CapInh", "CapPrm", "CapEff", "CapAmb")
# A caller that could give up its bounding set has done so (`linux.drop_capabilities`).
_SAME: Final = ("Uid", "Gid", "Groups", "CapBnd")
_FILTERED: Final = "2"


def faults(pid: int, *, filters: int) -> list[str]:
    """The fields of `/proc/<pid>/status` that are not as they must be; none of a process that is locked down.

    It must be the caller's user, and have `filters` system call filters more than the caller. Raises OSError where it is gone.
    """
    own, found = _status("self"), _status(str(pid))
    expected = {name: own[name] for name in _SAME}
    expected |= {"NoNewPrivs": "1", "Seccomp": _FILTERED} | dict.fromkeys(_CAPABILITIES, "0" * 16)
    # The kernel counts them from Linux 5.9 on.
    if "Seccomp_filters" in own:
        expected["Seccomp_filters"] = str(int(own["Seccomp_filters"]) + filters)
    return [name for name, value in expected.items() if found.get(name) != value]


def others() -> list[int]:
    """The threads of the caller's pid namespace, but for those of its process 1, which the caller is. Raises OSError."""
    processes = [name for name in os.listdir("/proc") if name.isdigit() and name != "1"]
    return [int(thread) for process in processes for thread in os.listdir(f"/proc/{process}/task")]


def _status(process: str) -> dict[str, str]:
    fd = os.open(f"/proc/{process}/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        lines = os.read(fd, 16 << 10).decode(errors="replace").splitlines()
    finally:
        os.close(fd)
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
