"""Starts the program: forked by the supervisor, restricted by itself, then the environment's Python."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
from typing import Any, Final, NamedTuple, NoReturn

from ...namespaces.inside import channel, linux, seccomp, syscalls
from . import filter as second
from . import ruleset

LISTENER_FD: Final = 3
BOOT_FD: Final = 4
FILTERS: Final = 2
"""System call filters that a program has beyond its supervisor's: see `_restrict`."""
# Queued signals and timers, of all of this user's processes together. Other programs of the user
# may have more.
_PENDING_SIGNALS: Final = 4096
_SET_MODE_FILTER, _NEW_LISTENER = 1, 8
# Files of /proc that a process may read of itself; none that describes the host: its mounts, its
# network, other processes.
_OF_ITSELF: Final = (
    "auxv", "cmdline", "comm", "environ", "fd", "fdinfo", "io", "limits", "maps", "oom_score", "oom_score_adj", "sched",
    "schedstat", "smaps", "smaps_rollup", "stat", "statm", "status", "wchan",
)  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)


class StartedProgram(NamedTuple):
    """The program's pid, and the descriptor on which the filter asks."""

    pid: int
    questions: int


class NotStarted(OSError):
    """The program did not come to run; `step` is "isolation" or "exec"."""

    step = "isolation"


def start(spec: dict[str, Any], listener: int, boot: int) -> StartedProgram:
    """Fork the program; returns when its Python runs. Raises NotStarted."""
    ours, theirs = channel.pair()
    pid = os.fork()
    if pid == 0:
        _be_program(spec, listener, boot, theirs)
    # The other end must be the program's alone: its closing is the end of the loop below.
    theirs.close()
    with ours:
        questions = -1
        while (received := channel.receive(ours)) is not None:
            message, fds = received
            if "error" in message:
                raise _not_started(message)
            questions = fds[0]

    return StartedProgram(pid, questions)


def _not_started(message: dict[str, Any]) -> NotStarted:
    error = NotStarted(message["errno"] or 0, message["error"])
    error.step = message["step"]
    return error


def _be_program(spec: dict[str, Any], listener: int, boot: int, supervisor: socket.socket) -> NoReturn:
    step = "isolation"
    try:
        linux.die_with_parent()
        _settle(spec["app"])
        supervisor = socket.socket(fileno=_above(os.dup(supervisor.fileno())))
        _move_fds(listener, boot)
        _limit(**spec["limits"])
        _restrict(spec, supervisor)
        # Not before: it bounds also the descriptors that processes of this user have sent, other programs too, and one is
        # sent above.
        _set_limit(resource.RLIMIT_NOFILE, spec["limits"]["files"])
        step = "exec"
        arguments: list[str] = [*spec["argv"], str(LISTENER_FD), str(BOOT_FD), str(spec["port"])]
        os.execve(arguments[0], arguments, spec["variables"])  # noqa: S606
    except BaseException as error:  # noqa: BLE001
        # Nothing may return from here into the supervisor's code.
        if isinstance(error, OSError):
            number = error.errno
        else:
            number = None

        with contextlib.suppress(OSError):
            channel.send(supervisor, {"error": str(error), "errno": number, "step": step})

    os._exit(127)


def _settle(folder: str) -> None:
    os.setsid()
    # The supervisor must outlive the program to report how it ended.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("500")
    signal.set_wakeup_fd(-1)
    for number in (
        signal.SIGCHLD,
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGHUP,
        signal.SIGPIPE,
        signal.SIGXFSZ,
    ):
        signal.signal(number, signal.SIG_DFL)

    os.chdir(folder)
    os.umask(0o022)


def _move_fds(listener: int, boot: int) -> None:
    """The listener at 3 and the channel to the runtime at 4; nothing else survives exec but 0, 1, 2."""
    high_listener, high_boot = _above(os.dup(listener)), _above(os.dup(boot))
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.dup2(high_listener, LISTENER_FD)
    os.dup2(high_boot, BOOT_FD)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > BOOT_FD:
            with contextlib.suppress(OSError):
                # Closed by exec, not here: until then the supervisor can be told of a failure.
                os.set_inheritable(int(name), False)


def _above(fd: int) -> int:
    """The same file at a number that dup2 to 3 and 4 will not overwrite."""
    while fd <= BOOT_FD:
        fd = os.dup(fd)
    return fd


def _limit(*, files: int, disk: int, memory: int | None, processes: int) -> None:
    """Resource limits, but for that of open files."""
    # Not of processes: the kernel would count all of this user's, and none of root's. See `broker`.
    del files, processes
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: disk,
        resource.RLIMIT_MEMLOCK: 64 << 10,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_SIGPENDING: _PENDING_SIGNALS,
    }

    if memory is not None:
        limits[resource.RLIMIT_DATA] = memory
        limits[resource.RLIMIT_AS] = 2 * memory + (4 << 30)

    for which, value in limits.items():
        _set_limit(which, value)


def _set_limit(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def _restrict(spec: dict[str, Any], supervisor: socket.socket) -> None:
    rules = [(path, ruleset.READ) for path in spec["read"]]
    rules += [(path, ruleset.DEVICE) for path in spec["devices"]]
    rules += [(path, ruleset.OWN) for path in spec["own"]]
    rules += [(f"/proc/self/{name}", ruleset.READ | ruleset.WRITE_FILE) for name in _OF_ITSELF]
    abi: int = spec["abi"]
    # Landlock first: its system calls are not among those that the filters allow.
    ruleset.restrict(rules, spec["ports"], abi)
    linux.load_seccomp(seccomp.assemble())
    program = second.assemble(scoped=abi >= 6, counted=spec["counted"])
    # Sent by the program itself: only the process that loads a filter gets its descriptor.
    channel.send(supervisor, {"questions": True}, [_load_asking(program)])


class _Program(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _load_asking(program: bytes) -> int:
    """Install a filter whose questions come on the descriptor that is returned."""
    buffer = ctypes.create_string_buffer(program, len(program))
    described = _Program(len(program) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    fd: int = _libc.syscall(
        ctypes.c_long(syscalls.numbers()["seccomp"]),
        ctypes.c_uint(_SET_MODE_FILTER),
        ctypes.c_uint(_NEW_LISTENER),
        ctypes.byref(described),
    )
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}")

    return fd
