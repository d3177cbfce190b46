"""Errors that say that something of this machine is used up, in words: they pass, and nothing is broken."""

from __future__ import annotations

import errno
from typing import Final

from codewords_mcp.errors import TooBusy
from codewords_mcp.runtime.sandboxes.host import descriptors

_PROCESSES: Final = "Raise `ulimit -u`, TasksMax= of the runtime's service, or pids.max of its control group."
_USED_UP: Final = {
    errno.EMFILE: ("open files of the runtime", descriptors.RAISE),
    errno.ENFILE: ("open files of this machine", "Raise fs.file-max."),
    errno.ETOOMANYREFS: ("open files that are sent between processes", descriptors.RAISE),
    errno.EAGAIN: ("processes", _PROCESSES),
    errno.ENOMEM: ("bytes of memory", "Give this machine, or the runtime's control group, more memory."),
}


def used_up(number: int | None) -> TooBusy | None:
    """The error of a start for which the system refused something by this errno; None if that is no shortage."""
    if number not in _USED_UP:
        return None
    subject, hint = _USED_UP[number]
    return TooBusy(
        f"This machine has no room for another sandbox: there are no more {subject}.",
        retry_after=5,
        limit="machine",
        hint=f"Try again when other runs have ended. {hint}",
    )
