"""Linux system calls that the standard library lacks, through ctypes. Each raises OSError that names the step."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from typing import Final, NamedTuple

CLONE_FILES: Final = 0x0000_0400
CLONE_PARENT: Final = 0x0000_8000
CLONE_THREAD: Final = 0x0001_0000
CLONE_NEWNS: Final = 0x0002_0000
CLONE_NEWCGROUP: Final = 0x0200_0000
CLONE_NEWUTS: Final = 0x0400_0000
CLONE_NEWIPC: Final = 0x0800_0000
CLONE_NEWUSER: Final = 0x1000_0000
CLONE_NEWPID: Final = 0x2000_0000
CLONE_NEWNET: Final = 0x4000_0000
CLONE_NEWTIME: Final = 0x0000_0080
ALL_NAMESPACES: Final = (
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET
)

MS_RDONLY: Final = 0x1
MS_NOSUID: Final = 0x2
MS_NODEV: Final = 0x4
MS_NOEXEC: Final = 0x8
MS_REMOUNT: Final = 0x20
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 0x4_0000
MNT_DETACH: Final = 0x2

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_SECCOMP: Final = 22
PR_CAPBSET_DROP: Final = 24
PR_SET_SECUREBITS: Final = 28
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_RAISE: Final = 2
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
CAP_SYS_CHROOT: Final = 18
CAP_SYS_ADMIN: Final = 21
# NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE, each with its lock, and the lock of KEEP_CAPS
# (capabilities(7)).
_SECUREBITS_ALL_LOCKED: Final = 0xEF
_CAPABILITY_VERSION_3: Final = 0x2008_0522
_MADV_POPULATE_WRITE: Final = 23
_MADV_COLLAPSE: Final = 25
_SYS_PIDFD_GETFD: Final = 438
_SYS_MOUNT_SETATTR: Final = 442
_AT_FDCWD: Final = -100
_AT_RECURSIVE: Final = 0x8000
_SYS_PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}

_libc = ctypes.CDLL(None, use_errno=True)
_prctl = _libc.prctl
_prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
_madvise = _libc.madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_mount = _libc.mount
_mount.argtypes = (*[ctypes.c_char_p] * 3, ctypes.c_ulong, ctypes.c_char_p)
# A function of its own each: `_libc.syscall` is one and the same.
_mount_setattr = _libc["syscall"]
_mount_setattr.argtypes = (
    ctypes.c_long,
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_uint,
    ctypes.c_char_p,
    ctypes.c_size_t,
)


def _check(result: int, step: str) -> None:
    if result != 0:
        raise _error(step)


def _error(step: str) -> OSError:
    """The error of the last call."""
    number = ctypes.get_errno()
    return OSError(number, f"{step}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces that `flags` name for fresh ones."""
    _check(_libc.unshare(flags), f"unshare {flags:#x}")


def setns(fd: int, kind: int) -> None:
    """Enter the namespace that `fd` refers to; for pid namespaces, children do."""
    _check(_libc.setns(fd, kind), f"setns {kind:#x}")


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    """mount(2)."""
    result = _mount(
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        flags,
        data.encode() if data else None,
    )
    if result != 0:
        raise _error(f"mount {kind or 'bind'} on {target}")


def bind(source: str, target: str, flags: int = MS_NOSUID | MS_NODEV) -> None:
    """Bind a file or tree at `target` with the MS_ flags RDONLY, NOSUID, NODEV, NOEXEC on all of it.

    Submounts come along: in a user namespace the kernel refuses to bind a tree without them.
    """
    mount(source, target, None, MS_BIND | MS_REC)
    # mount_setattr is missing before Linux 5.12. The old way changes only the topmost mount.
    if not _set_attributes(target, flags):
        mount("none", target, None, MS_BIND | MS_REMOUNT | flags | _locked_flags(target))


def _set_attributes(target: str, flags: int) -> bool:
    """mount_setattr(2) on the tree; its MOUNT_ATTR_ bits equal the MS_ ones. False before Linux 5.12."""
    attributes = struct.pack("=QQQQ", flags, 0, 0, 0)
    result = _mount_setattr(
        _SYS_MOUNT_SETATTR, _AT_FDCWD, target.encode(), _AT_RECURSIVE, attributes, len(attributes)
    )
    if result == 0:
        return True
    if ctypes.get_errno() == errno.ENOSYS:
        return False

    raise _error(f"mount_setattr on {target}")


def _locked_flags(target: str) -> int:
    """In a user namespace a remount has to ask again for the flags that the source already has."""
    have = os.statvfs(target).f_flag
    flags = have & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for seen, flag in ((0x400, 0x400), (0x800, 0x800), (0x1000, 0x20_0000)):  # noatime, nodiratime, relatime
        flags |= flag if have & seen else 0
    return flags


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """pidfd_getfd(2): another process's file, as one of this one's. Takes the right to trace it."""
    taken = _libc.syscall(
        ctypes.c_long(_SYS_PIDFD_GETFD), ctypes.c_int(pidfd), ctypes.c_int(fd), ctypes.c_uint(0)
    )
    if taken < 0:
        _check(taken, "pidfd_getfd")
    return int(taken)


def populate(start: int, length: int) -> bool:
    """Have memory as if it had been written to: pages of its own. False where that fails, as before Linux 5.14."""
    return _madvise(start, length, _MADV_POPULATE_WRITE) == 0


def collapse(start: int, length: int) -> bool:
    """Have memory in huge pages. False where that fails, as before Linux 6.1."""
    return _madvise(start, length, _MADV_COLLAPSE) == 0


class MemoryArea(NamedTuple):
    """Addresses; `end` is the first after it."""

    start: int
    end: int


def private_areas() -> list[MemoryArea]:
    """This process's memory that is private and writable: of which a fork gets a copy. Raises OSError."""
    areas: list[MemoryArea] = []
    with open("/proc/self/maps", encoding="utf-8") as maps:
        for line in maps:
            span, rights, *_ = line.split()
            if rights == "rw-p":
                start, end = (int(address, 16) for address in span.split("-"))
                areas.append(MemoryArea(start, end))
    return areas


def unmount(target: str) -> None:
    """Detach a mount, also a busy one."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    """pivot_root(2)."""
    number = _SYS_PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"pivot_root: no support for {platform.machine()} machines yet")
    _check(_libc.syscall(ctypes.c_long(number), new.encode(), old.encode()), "pivot_root")


def enter_groups(groups: list[int]) -> None:
    """Put this process, which has one thread, into control groups (`host.cgroups.Group.entrances`)."""
    # The runtime opened these files: the kernel checks the rights of the opener, not the writer.
    for group in groups:
        # 0 is the writing process: it doesn't know its number in the host's pid namespace.
        os.write(group, b"0")


def prctl(option: int, argument: int = 0) -> None:
    """prctl(2) with one argument."""
    _check(_prctl(option, argument, 0, 0, 0), f"prctl {option}")


def die_with_parent() -> None:
    """SIGKILL for this process when the thread that made it ends. Cleared by setuid: call again after it."""
    prctl(PR_SET_PDEATHSIG, 9)


def name_command(title: str) -> None:
    """Overwrite this process's command line in /proc, where the programs of its pid namespace can read the host's paths."""
    with open("/proc/self/stat", "rb") as file:
        # The command name in brackets may contain spaces and brackets itself: split after the last
        # one.
        fields = file.read().rpartition(b")")[2].split()
    # arg_start and arg_end of proc(5), counted without the two fields before the name's end.
    start, end = int(fields[45]), int(fields[46])
    # In place: the kernel shows this memory. A title that is too long is cut, a short one padded.
    if start < end:
        ctypes.memmove(start, title.encode().ljust(end - start, b"\0"), end - start)


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def keep_capabilities(capabilities: tuple[int, ...]) -> None:
    """Have these over exec, as whichever user, and never any other. Takes CAP_SETPCAP."""
    mask = sum(1 << capability for capability in capabilities)
    words = (mask & 0xFFFF_FFFF, mask >> 32)
    data = (_CapData * 2)(*(_CapData(word, word, word) for word in words))
    # The bounding set first: to drop from it takes CAP_SETPCAP, which capset gives up.
    _drop_from_bounding_set(capabilities)
    _check(_libc.capset(ctypes.byref(_CapHeader(_CAPABILITY_VERSION_3, 0)), data), "capset")
    for capability in capabilities:
        raised = _prctl(PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0)
        _check(raised, f"ambient capability {capability}")


def _drop_from_bounding_set(capabilities: tuple[int, ...] = ()) -> None:
    for capability in range(64):
        if capability in capabilities:
            continue
        if _prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break  # past the kernel's last capability


def drop_capabilities() -> None:
    """Give up every capability for good: bounding, ambient, permitted, effective, inheritable."""
    _drop_from_bounding_set()
    # Locked, so that no exec of a set-uid program and no setuid call gives a capability back.
    prctl(PR_SET_SECUREBITS, _SECUREBITS_ALL_LOCKED)
    clear_capabilities()


def clear_capabilities() -> None:
    """Give up the capabilities of this process: ambient, permitted, effective, inheritable."""
    prctl(PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = _CapHeader(_CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(ctypes.byref(header), (_CapData * 2)()), "capset")


class _SockFprog(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def load_seccomp(program: bytes) -> None:
    """Install a BPF filter for this process and all it starts. Needs no_new_privs."""
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = _SockFprog(len(program) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    _check(_prctl(PR_SET_SECCOMP, 2, ctypes.addressof(fprog), 0, 0), "seccomp")
