"""What hostile programs are made of: attempts, each with its words and what has to come of it.

The tests import these modules for the words; a sandbox gets their source (`..bundle`) and runs the attempts, one JSON
record a line on stdout: the attempt's id when it begins, and how it ended. Standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import json
import os
import platform
import re
import select
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

APP: Final = os.environ.get("HOME", "/app")
"""The program's own folder: /app where the sandbox has a root of its own."""
TMP: Final = tempfile.gettempdir()
"""Its folder for temporary files, likewise."""
HUNG_SECONDS: Final = 8
"""An attempt that is not through by then counts as hung."""
X86: Final = platform.machine() == "x86_64"
_libc = ctypes.CDLL(None, use_errno=True)

# What calls are named below, from the kernel's tables for x86_64 and aarch64. From 424 on both have the same numbers.
_CALLS: Final[dict[str, tuple[int, int]]] = {
    "mknod": (133, -1), "iopl": (172, -1), "ioperm": (173, -1), "modify_ldt": (154, -1), "mount": (165, 40),
    "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "swapon": (167, 224), "reboot": (169, 142),
    "setdomainname": (171, 162), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "unshare": (272, 97), "setns": (308, 268), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272), "move_pages": (279, 239),
    "mbind": (237, 235), "migrate_pages": (256, 238), "quotactl": (179, 60), "acct": (163, 89),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    "syslog": (103, 116), "vhangup": (153, 58), "personality": (135, 92), "fanotify_init": (300, 262),
    "vmsplice": (278, 75), "clone": (56, 220), "linkat": (265, 37), "capset": (126, 91), "setuid": (105, 146),
    "setxattr": (188, 5), "shmget": (29, 194), "shmat": (30, 196), "shmdt": (67, 197), "shmctl": (31, 195),
    "semget": (64, 190), "msgget": (68, 186), "lookup_dcookie": (212, 18), "ioprio_set": (251, 30), "tgkill": (234, 131),
    "exit": (60, 93), "io_setup": (206, 0), "sync": (162, 81), "syncfs": (306, 267), "remap_file_pages": (216, 234),
    "sched_setscheduler": (144, 119), "sched_setaffinity": (203, 122), "seccomp": (317, 277), "ioctl": (16, 29),
} | {
    name: (number, number) for name, number in {
        "pidfd_send_signal": 424, "io_uring_setup": 425, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsmount": 432,
        "fspick": 433, "pidfd_open": 434, "clone3": 435, "openat2": 437, "pidfd_getfd": 438, "process_madvise": 440,
        "mount_setattr": 442, "quotactl_fd": 443, "memfd_secret": 447, "cachestat": 451, "statmount": 457, "listmount": 458,
        "process_mrelease": 448, "lsm_set_self_attr": 460, "lsm_list_modules": 461,
    }.items()
}  # fmt: skip


@dataclass(frozen=True)
class Expected:
    """What has to come of an attempt: `words` for people, `meets` for the record that it left."""

    words: str
    meets: Callable[[dict[str, Any]], bool]


def refused(*names: str) -> Expected:
    """The kernel says no, with one of these errors; with any, where none is named."""
    words = f"refused: {' or '.join(names)}" if names else "refused"
    return Expected(words, lambda seen: seen["state"] == "refused" and (not names or seen["error"] in names))


def killed(*signals: str) -> Expected:
    """The kernel ends the process that tried."""
    return Expected(
        f"the process is ended ({', '.join(signals)})",
        lambda seen: seen["state"] == "killed" and seen["error"] in signals,
    )


def gives(value: Any, words: str) -> Expected:
    """It may be tried, and gives just this."""
    return Expected(words, lambda seen: seen["state"] == "did" and seen["value"] == value)


def shows(words: str, holds: Callable[[Any], bool]) -> Expected:
    """It may be tried, and what it gives is harmless."""
    return Expected(words, lambda seen: seen["state"] == "did" and holds(seen["value"]))


def either(*several: Expected) -> Expected:
    """One of these."""
    return Expected(
        ", or ".join(one.words for one in several), lambda seen: any(one.meets(seen) for one in several)
    )


NOT_THERE: Final = refused("ENOENT", "EACCES", "ENOTDIR")
UNCHANGED: Final = refused("EROFS", "EACCES", "EPERM", "ENOENT")


@dataclass(frozen=True)
class Attempt:
    """One hostile act."""

    id: str
    tries: str
    matters: str
    expected: Expected
    act: Callable[[], object]
    apart: bool


class Group:
    """Attempts that one sandbox makes, one after the other."""

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self.title = title
        self.attempts: list[Attempt] = []

    def attempt(
        self, name: str, tries: str, matters: str, expected: Expected, *, apart: bool = False
    ) -> Callable[[Callable[[], object]], Callable[[], object]]:
        """Register an act. `apart`: in a process of its own, since the kernel may end it."""

        def register(act: Callable[[], object]) -> Callable[[], object]:
            self.add(name, tries, matters, expected, act, apart=apart)
            return act

        return register

    def add(
        self,
        name: str,
        tries: str,
        matters: str,
        expected: Expected,
        act: Callable[[], object],
        *,
        apart: bool = False,
    ) -> None:
        """Register an act that needs no name."""
        self.attempts.append(Attempt(f"{self.name}.{name}", tries, matters, expected, act, apart))

    def run(self) -> None:
        """In the sandbox: make every attempt and print how it ended."""
        signal.signal(signal.SIGALRM, _hung)
        for attempt in self.attempts:
            say({"began": attempt.id})
            say({"id": attempt.id} | (_apart(attempt.act) if attempt.apart else _tried(attempt.act)))
        say({"through": True})


def say(record: dict[str, Any]) -> None:
    """One line of the report."""
    os.write(1, json.dumps(record).encode() + b"\n")


def fact(name: str) -> Any:
    """Something that the host told this program."""
    return json.loads(os.environ["FACTS"])[name]


def runtime_port() -> int:
    """The port of 127.0.0.1 where the runtime listens for this program."""
    return urlsplit(os.environ.get("CODEWORDS_RUNTIME_URI", "")).port or 8765


def proxy_port() -> int:
    """The port of 127.0.0.1 where the egress proxy listens for this program."""
    return urlsplit(os.environ.get("HTTP_PROXY", "")).port or 3128


def system(name: str, *arguments: Any) -> int:
    """A system call by name. Raises OSError; ENOSYS where this machine has no such call."""
    number = _CALLS[name][0 if X86 else 1]
    if number < 0:
        raise OSError(errno.ENOSYS, name)
    return syscall(number, *arguments)


def syscall(number: int, *arguments: Any) -> int:
    """A system call by number. Raises OSError."""
    call = _libc.syscall
    call.restype = ctypes.c_long
    result = call(ctypes.c_long(number), *(_wide(argument) for argument in arguments))
    if result == -1:
        raise OSError(ctypes.get_errno(), str(number))
    return int(result)


def _wide(argument: Any) -> Any:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def read(path: str, most: int = 4096) -> str:
    """The beginning of a file."""
    with open(path, "rb") as file:
        return file.read(most).decode("utf-8", "replace")


def write(path: str, text: str = "x") -> None:
    """Overwrite a file."""
    with open(path, "wb", buffering=0) as file:
        file.write(text.encode())


def status(field: str) -> str:
    """A field of /proc/self/status."""
    lines = (line.split(":", 1) for line in read("/proc/self/status", 65536).splitlines())
    return next(value.strip() for name, value in lines if name == field)


def in_memory(pattern: bytes) -> list[str]:
    """What matches in the memory that this process can write."""
    found: set[bytes] = set()
    with (
        open("/proc/self/maps", encoding="utf-8") as maps,
        open("/proc/self/mem", "rb", buffering=0) as memory,
    ):
        for line in maps:
            span, rights = line.split()[:2]
            if not rights.startswith("rw"):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            memory.seek(start)
            try:
                found |= set(re.findall(pattern, memory.read(end - start)))
            except OSError:
                continue
    return sorted(one.decode() for one in found)


def in_child(act: Callable[[], object]) -> int:
    """Fork; the child does it and ends. Its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
        finally:
            os._exit(0)
    return pid


def until(done: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not (so := done()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return so


class _HungError(Exception):
    pass


def _hung(_number: int, _frame: object) -> None:
    raise _HungError


def _tried(act: Callable[[], object]) -> dict[str, Any]:
    signal.setitimer(signal.ITIMER_REAL, HUNG_SECONDS)
    try:
        value = act()
    except _HungError:
        return {"state": "hung", "error": f"not through after {HUNG_SECONDS} s", "value": None}
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0) or type(error).__name__
        return {"state": "refused", "error": name, "value": None}
    except (MemoryError, RuntimeError, ValueError) as error:
        return {"state": "refused", "error": type(error).__name__, "value": None}
    except Exception as error:  # noqa: BLE001  # told, as what it is
        return {"state": "broken", "error": f"{type(error).__name__}: {error}", "value": None}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return {"state": "did", "error": "", "value": value}


def _apart(act: Callable[[], object]) -> dict[str, Any]:
    reading, writing = os.pipe()
    pid = in_child(lambda: _report(writing, act))
    os.close(writing)
    told = b""
    deadline = time.monotonic() + HUNG_SECONDS + 2
    while select.select([reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
        chunk = os.read(reading, 65536)
        if not chunk:
            break
        told += chunk
    os.close(reading)
    # What clones a process has two that tell; the first one counts.
    with_end = json.loads(told.splitlines()[0]) if told.endswith(b"\n") else None
    if with_end is None:
        os.kill(pid, signal.SIGKILL) if not told else None
    _, how = os.waitpid(pid, 0)
    if with_end is not None:
        return with_end
    name = signal.Signals(os.WTERMSIG(how)).name if os.WIFSIGNALED(how) else f"exit {how >> 8}"
    return {"state": "killed", "error": name, "value": None}


def _report(writing: int, act: Callable[[], object]) -> None:
    os.write(writing, json.dumps(_tried(act)).encode() + b"\n")


def numbered(prefix: str) -> Callable[[], str]:
    """Gives `prefix`0, `prefix`1 …"""
    counter = itertools.count()
    return lambda: f"{prefix}{next(counter)}"


def until_refused(act: Callable[[], object], most: int = 1 << 20) -> list[Any]:
    """How often it could be done, and what stopped it."""
    for count in range(most):
        try:
            act()
        except (OSError, RuntimeError, MemoryError) as error:
            number = error.errno if isinstance(error, OSError) else None
            return [count, errno.errorcode.get(number or 0, type(error).__name__)]
    return [most, "nothing"]


def wait_for_ever() -> None:
    while True:
        signal.pause()


def without_leader(work: Callable[[], object]) -> object:
    """Do it in a thread, after the first one has ended: /proc shows the process as empty then."""
    thread = threading.Thread(target=work)
    thread.start()
    system("exit", 0)
    return None


def on_their_way(files: Iterator[int]) -> list[socket.socket]:
    """Send descriptors into a socket that nobody reads: no process has them any more, and they stay open."""
    kept: list[socket.socket] = []
    for descriptor in files:
        one, two = socket.socketpair()
        socket.send_fds(one, [b"x"], [descriptor])
        os.close(descriptor)
        kept += [one, two]
    return kept


if __name__ == "__main__":
    sys.exit("a part of the hostile programs, none itself")
