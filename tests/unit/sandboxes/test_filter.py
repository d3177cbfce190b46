"""The system call filter, asked what the kernel would ask it, for both machines."""

from __future__ import annotations

import errno
import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest
from tests.support.needs import require

from codewords_mcp.runtime.sandboxes.landlock.inside import filter as second
from codewords_mcp.runtime.sandboxes.namespaces.inside import linux, seccomp, syscalls

pytestmark = pytest.mark.requirement("sandbox:filter")
MACHINES: Final = ("x86_64", "aarch64")
HEADERS: Final = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": "/usr/include/asm-generic/unistd.h",
}
_ALLOW, _KILL, _ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
_NOT_CALLS: Final = {"syscalls", "arch_specific_syscall", "sync_file_range2"}
_WITH_ANOTHER_NAME: Final[dict[str, str]] = {"fstatat": "newfstatat"}


BY_ARGUMENTS: Final = {
    "clone", "close_range", "ioctl", "mknod", "mknodat", "prlimit64", "sched_setscheduler", "sched_setparam", "sched_setattr",
    "sched_setaffinity", "setpriority", "ioprio_set", "shmget", "semget", "msgget",
}  # fmt: skip
"""Calls that are judged by their arguments, and allowed with nothing but zeros."""


def asked(program: bytes, machine: str, number: int, *arguments: int) -> int:
    """What the filter answers to a call: the kernel's own steps (seccomp(2), networking/filter)."""
    call = (number, syscalls.AUDIT_ARCHITECTURES[machine], 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    data = struct.pack("<IIQ6Q", *call)
    steps = list(struct.iter_unpack("<HBBI", program))
    at = accumulator = 0
    tests: Mapping[int, Callable[[int, int], bool]] = {
        0x15: int.__eq__, 0x25: int.__gt__, 0x35: int.__ge__, 0x45: lambda one, two: bool(one & two),
    }  # fmt: skip
    while True:
        code, yes, no, value = steps[at]
        at += 1
        if code == 0x06:
            return int(value)
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x54:
            accumulator &= value
        elif code == 0x05:
            at += value
        else:
            at += yes if tests[code](accumulator, value) else no


def refusal(code: int) -> int:
    return _ERRNO | code


def _program_alone(machine: str) -> bytes:
    return second.assemble(scoped=False, counted=False, machine=machine)


def _program_scoped(machine: str) -> bytes:
    return second.assemble(scoped=True, counted=True, machine=machine)


def in_headers(machine: str) -> dict[str, int]:
    """Number by name in the kernel's own header; 32-bit machines' calls left out."""
    path = Path(HEADERS[machine])
    if not path.exists():
        require("kernel headers")
    lines = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text(encoding="utf-8"))
    return {
        _WITH_ANOTHER_NAME.get(name) or name: int(number)
        for name, number in lines
        if name not in _NOT_CALLS and not 403 <= int(number) <= 423
    }


@pytest.mark.parametrize("machine", MACHINES)
def test_each_call_has_the_number_that_the_kernels_headers_give_it(machine: str) -> None:
    theirs, ours = in_headers(machine), syscalls.numbers(machine)
    newest = min(max(theirs.values()), max(ours.values()))  # of headers older, or newer, than the table
    known = {name: number for name, number in theirs.items() if number <= newest}
    assert len(known) > 300
    assert known == {name: number for name, number in ours.items() if number <= newest}


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_on_the_list_is_allowed_and_nothing_else(machine: str) -> None:
    program = seccomp.assemble(machine)
    table = syscalls.numbers(machine)
    allowed = {name for name, number in table.items() if asked(program, machine, number) == _ALLOW}
    assert allowed == (syscalls.ALLOWED | BY_ARGUMENTS) & table.keys()
    refused = {asked(program, machine, table[name]) for name in table.keys() - allowed}
    assert refused == {refusal(errno.EPERM), refusal(errno.ENOSYS), refusal(errno.EAFNOSUPPORT)}


@pytest.mark.parametrize("machine", MACHINES)
def test_a_number_that_nobody_here_knows_is_answered_as_by_a_kernel_without_it(machine: str) -> None:
    program = seccomp.assemble(machine)
    unknown = set(range(1 << 12)) - set(syscalls.numbers(machine).values())
    assert {asked(program, machine, number) for number in unknown} == {refusal(errno.ENOSYS)}


@pytest.mark.parametrize("number", [0x4000_0000, 0x4000_0027, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_the_numbers_of_x32_end_the_program(number: int) -> None:
    assert asked(seccomp.assemble("x86_64"), "x86_64", number) == _KILL


@pytest.mark.parametrize("machine", MACHINES)
def test_a_call_of_another_machine_ends_the_program(machine: str) -> None:
    other = MACHINES[1 - MACHINES.index(machine)]
    assert asked(seccomp.assemble(machine), other, syscalls.numbers(machine)["getpid"]) == _KILL


_THREAD = linux.CLONE_THREAD | linux.CLONE_FILES


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("clone", (17,), _ALLOW),
        ("clone", (_THREAD,), _ALLOW),
        ("clone", (linux.CLONE_THREAD,), refusal(errno.EPERM)),
        ("clone", (linux.CLONE_PARENT | 17,), refusal(errno.EPERM)),
        *(("clone", (1 << bit | 17,), refusal(errno.EPERM)) for bit in (17, 25, 26, 27, 28, 29, 30)),
        ("clone3", (0, 88), refusal(errno.ENOSYS)),
        ("close_range", (3, 9, 0), _ALLOW),
        ("close_range", (3, 9, 2), refusal(errno.EPERM)),
        ("socket", (1, 2, 0), _ALLOW),
        ("socket", (2, 1, 6), _ALLOW),
        ("socket", (10, 0o4002, 0), _ALLOW),
        ("socket", (2, 3, 1), refusal(errno.EPERM)),
        ("socket", (10, 0o4003, 58), refusal(errno.EPERM)),
        ("socket", (16, 3, 0), _ALLOW),
        ("socket", (16, 3, 12), refusal(errno.EPROTONOSUPPORT)),
        *(("socket", (family, 1, 0), refusal(errno.EAFNOSUPPORT)) for family in (0, 17, 38, 40, 44, 0xFFFF)),
        ("socketpair", (1, 1, 0), _ALLOW),
        ("socketpair", (2, 1, 0), refusal(errno.EAFNOSUPPORT)),
        ("ioctl", (1, 0x5401), _ALLOW),
        *(("ioctl", (1, request), refusal(errno.EPERM)) for request in (0x5412, 0x541C, 0x5423)),
        ("mknodat", (0, 0, 0o10600), _ALLOW),
        ("mknodat", (0, 0, 0o60600), refusal(errno.EPERM)),
        ("mknodat", (0, 0, 0o20600), refusal(errno.EPERM)),
        ("prlimit64", (0,), _ALLOW),
        ("prlimit64", (1,), refusal(errno.EPERM)),
        ("sched_setscheduler", (0, 5), _ALLOW),
        ("sched_setscheduler", (1, 5), refusal(errno.EPERM)),
        ("sched_setaffinity", (1, 8), refusal(errno.EPERM)),
        ("setpriority", (0, 0, 19), _ALLOW),
        ("setpriority", (0, 1, 19), refusal(errno.EPERM)),
        ("setpriority", (2, 0, 19), refusal(errno.EPERM)),
        ("ioprio_set", (1, 0, 0), _ALLOW),
        ("ioprio_set", (1, 1, 0), refusal(errno.EPERM)),
        ("ioprio_set", (3, 0, 0), refusal(errno.EPERM)),
        ("umount2", (0,), refusal(errno.EPERM)),
        ("setns", (0,), refusal(errno.EPERM)),
    ],
)  # fmt: skip
def test_arguments_decide_where_they_have_to(
    machine: str, name: str, arguments: tuple[int, ...], answer: int
) -> None:
    number = syscalls.numbers(machine)[name]
    assert asked(seccomp.assemble(machine), machine, number, *arguments) == answer


@pytest.mark.parametrize("machine", MACHINES)
def test_a_fork_server_may_do_two_things_more(machine: str) -> None:
    table = syscalls.numbers(machine)
    own, servers = seccomp.assemble(machine), seccomp.assemble(machine, server=True)
    more = {
        name
        for name, number in table.items()
        if asked(own, machine, number) != asked(servers, machine, number)
    }
    assert more == {"setns", "clone3"}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", ["shmget", "semget", "msgget"])
def test_memory_of_the_kernel_that_nobody_could_count_is_refused(machine: str, name: str) -> None:
    number = syscalls.numbers(machine)[name]
    assert asked(seccomp.assemble(machine), machine, number) == _ALLOW
    uncounted = seccomp.assemble(machine, exact_memory=False)
    assert asked(uncounted, machine, number) == refusal(errno.ENOSYS)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("scoped", [True, False])
@pytest.mark.parametrize("command", [1024, 1026])  # F_SETLEASE, F_NOTIFY
def test_landlock_gives_no_lease_and_no_watch_on_shared_files(
    machine: str, scoped: bool, command: int
) -> None:
    program = second.assemble(scoped=scoped, counted=True, machine=machine)
    number = syscalls.numbers(machine)["fcntl"]
    assert asked(program, machine, number, 3, command) == refusal(errno.EPERM)
    assert asked(program, machine, number, 3, 3) == _ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "program",
    [seccomp.assemble, _program_alone],
)
def test_the_kernel_could_take_it_in(machine: str, program: Callable[[str], bytes]) -> None:
    steps = list(struct.iter_unpack("<HBBI", program(machine)))
    assert len(steps) < 4096
    for at, (code, yes, no, value) in enumerate(steps):
        if code == 0x05:
            assert at + 1 + value < len(steps)
        elif code & 0x07 == 0x05:
            assert at + 1 + max(yes, no) < len(steps)
    assert steps[-1][0] == 0x06


@pytest.mark.parametrize("assemble", [seccomp.assemble, _program_scoped])
def test_an_unknown_machine_has_no_filter(assemble: Callable[[str], bytes]) -> None:
    with pytest.raises(OSError, match="riscv64"):
        assemble("riscv64")
