"""Errors that say that something of this machine is used up, in words: they pass, and nothing is broken."""

from __future__ import annotations

import errno
from typing import Final

from codewords_mcp.errors import CodewordsError, TooBusy
from codewords_mcp.runtime.model.disk_errors import full_disk

RAISE_OPEN_FILES: Final = (
    "Raise the limit where the runtime is started: `ulimit -n 65536`, or LimitNOFILE= of its service."
)
_PROCESSES: Final = "Raise `ulimit -u`, TasksMax= of the runtime's service, or pids.max of its control group."
_USED_UP: Final = {
    errno.EMFILE: ("open files of the runtime", RAISE_OPEN_FILES),
    errno.ENFILE: ("open files of this machine", "Raise fs.file-max."),
    errno.ETOOMANYREFS: ("open files that are sent between processes", RAISE_OPEN_FILES),
    errno.EAGAIN: ("processes", _PROCESSES),
    errno.ENOMEM: ("bytes of memory", "Give this machine, or the runtime's control group, more memory."),
}
_NO_THREAD: Final = "can't start new thread"
"""CPython's words for EAGAIN of `pthread_create`."""


def shortage(error: BaseException, what: str = "request") -> CodewordsError | None:
    """The error of something (`what`) for which the disk or the machine had no more; None if that is no shortage."""
    if full := full_disk(error):
        return full
    if isinstance(error, MemoryError):
        return used_up(errno.ENOMEM, what)
    if isinstance(error, RuntimeError) and _NO_THREAD in str(error):
        return used_up(errno.EAGAIN, what)
    # That of a stream says EAGAIN too, where it does not block and nobody reads it.
    if isinstance(error, BlockingIOError) and hasattr(error, "characters_written"):
        return None
    return used_up(error.errno, what) if isinstance(error, OSError) else None


def used_up(number: int | None, what: str = "sandbox") -> TooBusy | None:
    """The error of a start that the system refused by this errno; None if that is no shortage."""
    if number not in _USED_UP:
        return None
    subject, hint = _USED_UP[number]
    return TooBusy(
        f"This machine has no room for another {what}: there are no more {subject}.",
        retry_after=5,
        limit="machine",
        hint=f"Try again when other runs have ended. {hint}",
    )
