"""The second system call filter of this tier, for what Landlock leaves open. It is stacked on `namespaces.inside.seccomp`.

Landlock knows neither UDP, nor addresses, nor Unix sockets by path, nor what a same-user process may do to another by its
number, nor changes to a file's mode, owner, times and attributes. Here each of them is refused, or answered by the supervisor.

Refused: every socket but TCP; connections made by sending; System V IPC, message queues and inotify; limits, priorities
and places of other processes; hiding from the watchdog. Answered with success and without effect: changes of mode and
times, which programs make in passing (`shutil.copy`). Asked of the supervisor: connect, bind, listen; where Landlock does not
scope signals, also those; where no cgroup counts processes, also the making of them.
"""

from __future__ import annotations

import errno
import platform
import struct
from typing import Final

from ...namespaces.inside import syscalls

_LOAD, _JEQ, _JSET, _AND, _RETURN = 0x20, 0x15, 0x45, 0x54, 0x06
_ALLOW, _ERRNO, _NOTIFY, _KILL = 0x7FFF_0000, 0x0005_0000, 0x7FC0_0000, 0x8000_0000
_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_TYPE_MASK, _STREAM, _SEQPACKET = 0xF, 1, 5
_MSG_FASTOPEN: Final = 0x2000_0000
_PR_SET_DUMPABLE: Final = 4
# F_SETOWN, F_SETOWN_EX: have the kernel send a signal to somebody.
_SET_OWNER: Final = (8, 15)
# F_SETLEASE, F_NOTIFY: make others wait for a file of this user's, or watch a folder.
_LEASES: Final = (1024, 1026)
# FIOSETOWN, SIOCSPGRP: as above. FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR: attributes of files that can
# only be read.
_IOCTLS: Final = (0x8901, 0x8902, 0x4008_6602, 0x401C_5820)

Instruction = tuple[int, int, int, int]

_WITHOUT_EFFECT: Final = (
    "chmod", "fchmod", "fchmodat", "fchmodat2", "utime", "utimes", "futimesat", "utimensat",
)  # fmt: skip
_REFUSED: Final = (
    "chown", "fchown", "lchown", "fchownat", "shmget", "shmat", "shmctl", "shmdt", "semget", "semop", "semctl", "semtimedop",
    "msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink", "inotify_init", "inotify_add_watch", "inotify_init1",
)  # fmt: skip
_UNSUPPORTED: Final = (
    "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr", "setxattrat", "removexattrat",
)  # fmt: skip
# Calls that name a process, and the argument by which they do.
_OF_ITSELF_ONLY: Final = {
    "prlimit64": 0, "sched_setscheduler": 0, "sched_setparam": 0, "sched_setaffinity": 0, "sched_setattr": 0,
    "setpriority": 1, "ioprio_set": 1,
}  # fmt: skip
NETWORK: Final = ("connect", "bind", "listen")
SIGNALS: Final = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
FORKS: Final = ("clone", "fork", "vfork")


def _argument(index: int) -> int:
    return 16 + 8 * index


def _give(value: int) -> Instruction:
    return (_RETURN, 0, 0, value)


def _refuse(code: int) -> Instruction:
    return _give(_ERRNO | code)


_PASS: Final = _give(_ALLOW)
_ASK: Final = _give(_NOTIFY)


def _is_one_of(
    argument: int, values: tuple[int, ...], then: Instruction, otherwise: Instruction
) -> list[Instruction]:
    tests = [(_JEQ, len(values) - index, 0, value) for index, value in enumerate(values)]
    return [(_LOAD, 0, 0, _argument(argument)), *tests, otherwise, then]


def _socket() -> list[Instruction]:
    """TCP, by its own name: MPTCP, SCTP and SMC are streams too, and Landlock does not look at them."""
    return [
        (_LOAD, 0, 0, _argument(0)),
        (_JEQ, 2, 0, _AF_INET),
        (_JEQ, 1, 0, _AF_INET6),
        _refuse(errno.EACCES),
        (_LOAD, 0, 0, _argument(1)),
        (_AND, 0, 0, _TYPE_MASK),
        (_JEQ, 1, 0, _STREAM),
        _refuse(errno.EACCES),
        *_is_one_of(2, (0, 6), _PASS, _refuse(errno.EPROTONOSUPPORT)),
    ]


def _socketpair() -> list[Instruction]:
    """Streams and packets stay connected to each other for ever; datagrams could be sent elsewhere."""
    return [
        (_LOAD, 0, 0, _argument(0)),
        (_JEQ, 1, 0, _AF_UNIX),
        _refuse(errno.EAFNOSUPPORT),
        (_LOAD, 0, 0, _argument(1)),
        (_AND, 0, 0, _TYPE_MASK),
        (_JEQ, 2, 0, _STREAM),
        (_JEQ, 1, 0, _SEQPACKET),
        _refuse(errno.EACCES),
        _PASS,
    ]


def _send(flags: int) -> list[Instruction]:
    return [(_LOAD, 0, 0, _argument(flags)), (_JSET, 0, 1, _MSG_FASTOPEN), _refuse(errno.EOPNOTSUPP), _PASS]


def _of_itself(argument: int) -> list[Instruction]:
    return _is_one_of(argument, (0,), _PASS, _refuse(errno.EPERM))


def _rules(*, scoped: bool, counted: bool) -> dict[str, list[Instruction]]:
    rules: dict[str, list[Instruction]] = {"socket": _socket(), "socketpair": _socketpair()}
    rules |= {"sendto": _send(3), "sendmsg": _send(2), "sendmmsg": _send(3)}
    rules |= {name: _of_itself(argument) for name, argument in _OF_ITSELF_ONLY.items()}
    rules |= {name: [_ASK] for name in NETWORK}
    rules |= {name: [_refuse(0)] for name in _WITHOUT_EFFECT}
    rules |= {name: [_refuse(errno.EPERM)] for name in _REFUSED}
    rules |= {name: [_refuse(errno.EOPNOTSUPP)] for name in _UNSUPPORTED}
    rules["prctl"] = _is_one_of(0, (_PR_SET_DUMPABLE,), _refuse(errno.EPERM), _PASS)
    rules["fcntl"] = _is_one_of(1, _LEASES, _refuse(errno.EPERM), _PASS)
    rules["ioctl"] = _is_one_of(1, _IOCTLS, _refuse(errno.EPERM), _PASS)

    # Before Linux 6.12 Landlock does not keep signals within the sandbox.
    if not scoped:
        rules |= {name: [_ASK] for name in SIGNALS}
        rules["pidfd_send_signal"] = [_refuse(errno.EPERM)]
        rules["fcntl"] = _is_one_of(1, (*_LEASES, *_SET_OWNER), _refuse(errno.EPERM), _PASS)

    # Without a control group the supervisor counts the processes, so it has to be asked for each.
    if not counted:
        rules |= {name: [_ASK] for name in FORKS}
    return rules


def assemble(*, scoped: bool, counted: bool, machine: str | None = None) -> bytes:
    """The filter. `scoped`: Landlock holds signals back. `counted`: a cgroup counts processes.

    Raises OSError for a machine whose numbers are not known.
    """
    machine = machine or platform.machine()
    table = syscalls.numbers(machine)
    if not table:
        raise OSError(errno.ENOSYS, f"no system call table for {machine} machines yet")

    program: list[Instruction] = [
        (_LOAD, 0, 0, 4),
        # Another architecture's numbers mean other calls.
        (_JEQ, 1, 0, syscalls.AUDIT_ARCHITECTURES[machine]),
        _give(_KILL),
        (_LOAD, 0, 0, 0),
    ]
    for name, body in _rules(scoped=scoped, counted=counted).items():
        if name in table:
            program += [(_JEQ, 0, len(body), table[name]), *body]

    program.append(_PASS)
    return b"".join(struct.pack("<HBBI", code, yes, no, value) for code, yes, no, value in program)
