"""The sandbox's system call filter, assembled to classic BPF without libseccomp.

Two filters: the program's, and a wider one for a fork server, which has to make namespaces and mounts for its sandboxes.
An allow-list (`syscalls.ALLOWED`). Judged by their arguments: new namespaces by clone, socket families beyond Unix, IPv4,
IPv6 and route netlink, terminal injection, device nodes, the limits and priorities of process 1. Every other call whose
number this package knows is refused (EPERM); any other number is answered as by a kernel that lacks it (ENOSYS).
"""

from __future__ import annotations

import errno
import platform
import struct
from itertools import groupby
from operator import itemgetter
from typing import Final

from . import linux, syscalls

_LOAD, _JUMP, _JEQ, _JGE, _JSET, _AND, _RETURN = 0x20, 0x05, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF_0000, 0x0005_0000, 0x8000_0000
_NUMBER, _ARCH = 0, 4
_X32_BIT: Final = 0x4000_0000
# Instructions that a conditional jump can skip.
_FARTHEST: Final = 255

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
_SOCK_TYPE_MASK: Final = 0xF
_SOCK_RAW, _SOCK_PACKET = 3, 10
_INIT: Final = 1
_CLOSE_RANGE_UNSHARE: Final = 2
# TIOCSTI, TIOCLINUX, TIOCSETD: typing into, or changing, the terminal of whoever looks.
_IOCTLS: Final = (0x5412, 0x541C, 0x5423)
_S_IFMT, _S_IFCHR, _S_IFBLK = 0xF000, 0x2000, 0x6000

# NETLINK_ROUTE, which getaddrinfo needs.
_NETLINK: Final = (0,)
# Calls that name a process first. Process 1 is the program's own user: nothing else would keep the
# program from taking its files or its time away, and a process 1 that gets no time ends late when
# it is told to.
_OF_A_PROCESS: Final = (
    "prlimit64",
    "sched_setscheduler",
    "sched_setparam",
    "sched_setattr",
    "sched_setaffinity",
)
# Calls that name a kind and one of it, and the kind that means all of a user's, process 1 with
# them.
_PRIORITIES: Final = {"setpriority": 2, "ioprio_set": 3}
# Calls that make memory which no process has mapped: without a cgroup it can't be counted.
_SYSTEM_V: Final = ("shmget", "semget", "msgget")
# For forks to enter their sandboxes and to begin in their cgroups.
_SERVER_CALLS: Final = frozenset({"setns", "clone3"})

_Instruction = tuple[int, int, int, int]


def _argument(index: int) -> int:
    """Offset of the low half of an argument; both machines are little-endian. The kernel reads no more of these."""
    return 16 + 8 * index


def _refuse(code: int) -> _Instruction:
    return (_RETURN, 0, 0, _ERRNO | code)


def _one_of(
    offset: int, values: tuple[int, ...], then: _Instruction, otherwise: _Instruction
) -> list[_Instruction]:
    # Jump distances count from the next instruction: each test jumps to `then`, after `otherwise`.
    tests = [(_JEQ, len(values) - index, 0, value) for index, value in enumerate(values)]
    return [(_LOAD, 0, 0, offset), *tests, otherwise, then]


_PASS: Final[_Instruction] = (_RETURN, 0, 0, _ALLOW)


def _clone() -> list[_Instruction]:
    flags = linux.ALL_NAMESPACES | linux.CLONE_NEWTIME
    # The program's parent is outside of the sandbox, where nobody would look for a brother of it.
    # A thread with open files of its own would hide them from whoever counts the process's.
    # CLONE_NEWTIME lies in the byte where clone (not clone3) keeps the exit signal: harmless there, so not tested.
    return [
        (_LOAD, 0, 0, _argument(0)),
        (_JSET, 0, 1, flags & ~linux.CLONE_NEWTIME | linux.CLONE_PARENT),
        _refuse(errno.EPERM),
        (_AND, 0, 0, linux.CLONE_THREAD | linux.CLONE_FILES),
        (_JEQ, 0, 1, linux.CLONE_THREAD),
        _refuse(errno.EPERM),
        _PASS,
    ]


def _close_range() -> list[_Instruction]:
    return [(_LOAD, 0, 0, _argument(2)), (_JSET, 0, 1, _CLOSE_RANGE_UNSHARE), _refuse(errno.EPERM), _PASS]


def _socket() -> list[_Instruction]:
    """Unix; IPv4 and IPv6 unless raw; netlink for the protocols of `_NETLINK`."""
    raw = [
        (_LOAD, 0, 0, _argument(1)),
        (_AND, 0, 0, _SOCK_TYPE_MASK),
        (_JEQ, 1, 0, _SOCK_RAW),
        (_JEQ, 0, 1, _SOCK_PACKET),
        _refuse(errno.EPERM),
        _PASS,
    ]
    # EPROTONOSUPPORT is the kernel's own answer where it lacks a netlink protocol.
    netlink = _one_of(_argument(2), _NETLINK, _PASS, _refuse(errno.EPROTONOSUPPORT))
    return [
        (_LOAD, 0, 0, _argument(0)),
        (_JEQ, 0, 1, AF_UNIX),
        _PASS,
        (_JEQ, 1, 0, AF_INET),
        (_JEQ, 0, len(raw), AF_INET6),
        *raw,
        (_JEQ, 0, len(netlink), AF_NETLINK),
        *netlink,
        _refuse(errno.EAFNOSUPPORT),
    ]


def _make_node(mode_argument: int) -> list[_Instruction]:
    return [
        (_LOAD, 0, 0, _argument(mode_argument)),
        (_AND, 0, 0, _S_IFMT),
        (_JEQ, 1, 0, _S_IFCHR),
        (_JEQ, 0, 1, _S_IFBLK),
        _refuse(errno.EPERM),
        _PASS,
    ]


def _priority(by_user: int) -> list[_Instruction]:
    return [
        (_LOAD, 0, 0, _argument(0)),
        (_JEQ, 2, 0, by_user),
        (_LOAD, 0, 0, _argument(1)),
        (_JEQ, 0, 1, _INIT),
        _refuse(errno.EPERM),
        _PASS,
    ]


def _judged(*, exact_memory: bool) -> dict[str, list[_Instruction]]:
    """The calls whose arguments decide."""
    return {
        "clone": _clone(),
        "clone3": [_refuse(errno.ENOSYS)],  # its flags lie in memory; glibc falls back to clone
        "close_range": _close_range(),
        "socket": _socket(),
        "socketpair": _one_of(_argument(0), (AF_UNIX,), _PASS, _refuse(errno.EAFNOSUPPORT)),
        "ioctl": _one_of(_argument(1), _IOCTLS, _refuse(errno.EPERM), _PASS),
        "mknod": _make_node(1),
        "mknodat": _make_node(2),
        **{name: _one_of(_argument(0), (_INIT,), _refuse(errno.EPERM), _PASS) for name in _OF_A_PROCESS},
        **{name: _priority(by_user) for name, by_user in _PRIORITIES.items()},
        **{name: [_PASS if exact_memory else _refuse(errno.ENOSYS)] for name in _SYSTEM_V},
    }


def _search(cases: list[tuple[int, list[_Instruction]]]) -> list[_Instruction]:
    """Find by halving the case that the number belongs to: each holds from its own number to the next one's."""
    if len(cases) == 1:
        return cases[0][1]
    middle = len(cases) // 2
    below, above = _search(cases[:middle]), _search(cases[middle:])
    # A conditional jump skips at most 255 instructions: a longer half takes an unconditional one.
    if len(below) <= _FARTHEST:
        return [(_JGE, len(below), 0, cases[middle][0]), *below, *above]
    return [(_JGE, 0, 1, cases[middle][0]), (_JUMP, 0, 0, len(below)), *below, *above]


def assemble(
    machine: str | None = None,
    *,
    server: bool = False,
    exact_memory: bool = True,
    only: frozenset[str] | None = None,
) -> bytes:
    """The program's filter, or a fork server's, for a machine (`platform.machine()`).

    Without `exact_memory` System V IPC is refused. `only`: of what a program may call, these calls.
    Raises OSError where the machine's numbers are not known.
    """
    machine = machine or platform.machine()
    table = syscalls.numbers(machine)
    if not table:
        raise OSError(errno.ENOSYS, f"no system call table for {machine} machines yet")

    judged = _judged(exact_memory=exact_memory)
    if server:
        # Of a call that both filters know the forks' one decides: the kernel takes the stricter answer.
        judged = {name: judgement for name, judgement in judged.items() if name not in _SERVER_CALLS}
        allowed = syscalls.ALLOWED | _SERVER_CALLS
    else:
        allowed = syscalls.ALLOWED
    if only is not None:
        judged = {name: judgement for name, judgement in judged.items() if name in only}
        allowed &= only

    passed: list[_Instruction] = [_PASS]
    refused, unknown = [_refuse(errno.EPERM)], [_refuse(errno.ENOSYS)]
    by_number = {
        number: judged.get(name) or (passed if name in allowed else refused) for name, number in table.items()
    }
    # One past the table: every number beyond the last known one is unknown too.
    every = ((number, by_number.get(number, unknown)) for number in range(max(by_number) + 2))
    # Neighbours with the same judgement are one case: the filter runs at every system call.
    cases: list[tuple[int, list[_Instruction]]] = [next(same) for _, same in groupby(every, itemgetter(1))]
    # x32 calls have the same architecture value: without this they would pass by other numbers.
    if machine == "x86_64":
        cases.append((_X32_BIT, [(_RETURN, 0, 0, _KILL_PROCESS)]))
    program = [
        # Another architecture's call numbers mean other calls: nothing can be judged, so it is
        # killed.
        (_LOAD, 0, 0, _ARCH),
        (_JEQ, 1, 0, syscalls.AUDIT_ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
        *_search(cases),
    ]
    return b"".join(struct.pack("<HBBI", code, yes, no, value) for code, yes, no, value in program)
