"""The sandbox's system call filter, assembled to classic BPF without libseccomp.

Two filters: the program's, and a wider one for a fork server, which has to make namespaces and mounts for its sandboxes.
Refused whole: what changes mounts, namespaces, the clock, the kernel, other processes or keys. Refused by argument: new
namespaces by clone, socket families beyond Unix, IPv4, IPv6 and route netlink, terminal injection, device nodes, the
limits of process 1.
Unknown to this file (newer kernels): ENOSYS.
"""

from __future__ import annotations

import errno
import platform
import struct
from typing import Final

from . import linux, syscalls

_LOAD, _JEQ, _JGE, _JGT, _JSET, _AND, _RETURN = 0x20, 0x15, 0x35, 0x25, 0x45, 0x54, 0x06
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF_0000, 0x0005_0000, 0x8000_0000
_NUMBER, _ARCH = 0, 4
_X32_BIT: Final = 0x4000_0000
_AUDIT_ARCH: Final = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
_TABLES: Final = {"x86_64": syscalls.X86_64, "aarch64": syscalls.AARCH64}

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
_SOCK_TYPE_MASK: Final = 0xF
_SOCK_RAW, _SOCK_PACKET = 3, 10
_INIT: Final = 1
_CLOSE_RANGE_UNSHARE: Final = 2
_IOCTLS: Final = (0x5412, 0x541C, 0x5423)
"""TIOCSTI, TIOCLINUX, TIOCSETD: typing into, or changing, the terminal of whoever looks."""
_S_IFMT, _S_IFCHR, _S_IFBLK = 0xF000, 0x2000, 0x6000

_NETLINK: Final = (0,)
"""NETLINK_ROUTE, which getaddrinfo needs."""
_SERVER_CALLS: Final = frozenset({"umount2", "setns"})
"""To uncover the packages, and for forks to enter their sandboxes."""

_Instruction = tuple[int, int, int, int]


def _argument(index: int) -> int:
    """Offset of the low half of an argument; both machines are little-endian. The kernel reads no more of these."""
    return 16 + 8 * index


def _refuse(code: int) -> _Instruction:
    return (_RETURN, 0, 0, _ERRNO | code)


def _on(number: int, body: list[_Instruction]) -> list[_Instruction]:
    """Run `body`, which must return, for one system call; else skip it."""
    return [(_JEQ, 0, len(body), number), *body]


def _one_of(
    offset: int, values: tuple[int, ...], then: _Instruction, otherwise: _Instruction
) -> list[_Instruction]:
    tests = [(_JEQ, len(values) - place, 0, value) for place, value in enumerate(values)]
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


def assemble(machine: str | None = None, *, server: bool = False, exact_memory: bool = True) -> bytes:
    """The program's filter, or a fork server's, for a machine (`platform.machine()`).

    Without `exact_memory` System V shared memory is refused: no process needs to have it, so no watchdog could count it.
    Raises OSError where its numbers are not known.
    """
    machine = machine or platform.machine()
    if machine not in _TABLES:
        raise OSError(errno.ENOSYS, f"no system call table for {machine} machines yet")
    table = _TABLES[machine]
    program: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_JEQ, 1, 0, _AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        program += [(_JGE, 0, 1, _X32_BIT), (_RETURN, 0, 0, _KILL_PROCESS)]
    program += [(_JGT, 0, 1, syscalls.HIGHEST_KNOWN), _refuse(errno.ENOSYS)]
    program += _on(
        table["clone3"], [_refuse(errno.ENOSYS)]
    )  # its flags lie in memory; glibc falls back to clone
    program += _on(table["clone"], _clone())
    program += _on(table["close_range"], _close_range())
    program += _on(table["socket"], _socket())
    program += _on(table["socketpair"], _one_of(_argument(0), (AF_UNIX,), _PASS, _refuse(errno.EAFNOSUPPORT)))
    program += _on(table["ioctl"], _one_of(_argument(1), _IOCTLS, _refuse(errno.EPERM), _PASS))
    if "mknod" in table:
        program += _on(table["mknod"], _make_node(1))
    program += _on(table["mknodat"], _make_node(2))
    # Process 1 is the program's own user, so nothing else would keep the program from taking its files or time away.
    program += _on(table["prlimit64"], _one_of(_argument(0), (_INIT,), _refuse(errno.EPERM), _PASS))
    if not exact_memory:
        program += _on(table["shmget"], [_refuse(errno.ENOSYS)])
    for name, number in sorted(table.items(), key=lambda item: item[1]):
        if name not in syscalls.FILTERED_BY_ARGUMENT and not (server and name in _SERVER_CALLS):
            program += _on(number, [_refuse(errno.EPERM)])
    program.append(_PASS)
    return b"".join(struct.pack("<HBBI", code, yes, no, value) for code, yes, no, value in program)
