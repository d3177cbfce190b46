"""The command of a worker process that runs hostile input for the runtime, such as SQL, and may reach its own files only."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from codewords_mcp.runtime.sandboxes.namespaces.inside import seccomp, syscalls

_ENTRY: Final = Path(__file__).with_name("confined.py")
_CALLS: Final = """
    access brk clock_getres clock_gettime clock_nanosleep close exit exit_group faccessat faccessat2 fallocate fchmod fchown
    fcntl fdatasync fstat fstatfs fsync ftruncate futex getcwd getegid geteuid getgid getitimer getpid getrandom getrlimit
    getrusage gettid gettimeofday getuid ioctl lseek lstat madvise mmap mprotect mremap munmap nanosleep newfstatat open
    openat poll ppoll pread64 preadv prlimit64 pselect6 pwrite64 pwritev read readlink readlinkat readv restart_syscall
    rt_sigaction rt_sigprocmask rt_sigreturn sched_yield select setitimer setrlimit sigaltstack stat statfs statx sysinfo
    time times uname unlink unlinkat write writev
"""
"""System calls of SQLite and of a Python that only reads stdin and writes stdout: no process, thread, socket or exec."""


def confined_command(script: Path, own: Sequence[Path], read: Sequence[Path] = ()) -> list[str]:
    """The command that runs `main` of a script, which imports the standard library only.

    It may write to the files and folders of `own` and see those of `read`. Where the kernel lacks Landlock or this machine's
    calls are not known, what is left of the confinement holds.
    """
    paths = {"own": list(map(str, own)), "read": list(map(str, read))}
    return [sys.executable, "-I", "-S", str(_ENTRY), str(script), json.dumps(paths), _program()]


@cache
def _program() -> str:
    """The system call filter in base64; "" where none can be made."""
    if sys.platform != "linux" or not syscalls.numbers():
        return ""
    return base64.b64encode(seccomp.assemble(only=frozenset(_CALLS.split()))).decode()
