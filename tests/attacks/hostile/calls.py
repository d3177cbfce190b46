"""System calls that a program has no business with."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import pty
import signal
import socket
import struct
import tempfile

from tests.attacks.hostile.attempts import (
    APP,
    TMP,
    X86,
    Group,
    either,
    gives,
    killed,
    refused,
    shows,
    syscall,
    system,
)

group = Group("calls", "System calls")
_AT_FDCWD = -100
_EPERM = refused("EPERM")
_ABSENT = refused("EPERM", "ENOSYS")
_MOUNTS = "Whoever mounts decides what programs of the sandbox, or of the host, find."
_NAMESPACES = (
    "In a user namespace of its own a program has every capability, and with them the kernel's oldest bugs."
)
_KERNEL = "It changes, or reads, the kernel itself."
_BUGS = "A part of the kernel with a long list of privilege escalations."
_CLOCK = "Time is everybody's."
_KEYS = "Keyrings are shared between processes of a user, and their code was exploited more than once."
_NEW_USER, _NEW_NS, _NEW_NET, _NEW_PID, _NEW_TIME = 0x10000000, 0x20000, 0x40000000, 0x20000000, 0x80
_THREAD = 0x10000 | 0x800 | 0x100  # CLONE_THREAD, CLONE_SIGHAND, CLONE_VM
_PARENT = 0x8000
_TIOCSTI, _TIOCLINUX, _TIOCSETD = 0x5412, 0x541C, 0x5423


_TABLE = (
    ("mount", "Mount a tmpfs on /tmp", _MOUNTS, _EPERM, (b"none", TMP.encode(), b"tmpfs", 0, None)),
    ("mount-proc", "Mount a fresh /proc", _MOUNTS, _EPERM, (b"proc", TMP.encode(), b"proc", 0, None)),
    ("remount", "Remount /usr writable", _MOUNTS, _EPERM, (b"none", b"/usr", None, 0x1020, None)),
    ("bind-mount", "Bind / onto /tmp", _MOUNTS, _EPERM, (b"/", TMP.encode(), None, 0x5000, None)),
    ("umount2", "Unmount what hides /proc/sys", "What is restricted lies below it.", _EPERM, (b"/proc/sys", 2)),
    ("fsopen", "fsopen(tmpfs)", _MOUNTS, _EPERM, (b"tmpfs", 0)),
    ("fsmount", "fsmount()", _MOUNTS, _EPERM, (-1, 0, 0)),
    ("fspick", "fspick(/)", _MOUNTS, _EPERM, (_AT_FDCWD, b"/", 0)),
    ("open_tree", "open_tree(/)", _MOUNTS, _EPERM, (_AT_FDCWD, b"/", 1)),
    ("move_mount", "move_mount()", _MOUNTS, _EPERM, (-1, b"", -1, b"", 0)),
    ("mount_setattr", "mount_setattr(/): writable", _MOUNTS, _EPERM, (_AT_FDCWD, b"/", 0, None, 0)),
    ("statmount", "statmount()", "It names mounts of the host that /proc does not.", _ABSENT, (None, None, 0, 0)),
    ("listmount", "listmount()", "The same.", _ABSENT, (None, None, 0, 0)),
    ("pivot_root", "pivot_root(/app)", "A root of its own choosing.", _EPERM, (APP.encode(), APP.encode())),
    ("chroot", "chroot(/tmp)", "Set-user-id programs believe the files of their root.", _EPERM, (TMP.encode(),)),
    ("unshare", "unshare(user)", _NAMESPACES, _EPERM, (_NEW_USER,)),
    ("unshare-mount", "unshare(mount)", _NAMESPACES, _EPERM, (_NEW_NS,)),
    ("unshare-net", "unshare(network)", _NAMESPACES, _EPERM, (_NEW_NET,)),
    ("unshare-time", "unshare(time)", _NAMESPACES, _EPERM, (_NEW_TIME,)),
    ("clone", "clone(user)", _NAMESPACES, _EPERM, (_NEW_USER | 17, None, None, None, None)),
    ("clone-pid", "clone(pid)", _NAMESPACES, _EPERM, (_NEW_PID | 17, None, None, None, None)),
    ("clone-parent", "clone() of a process that its own parent has", "Outside of the sandbox nobody would count it.", _EPERM, (_PARENT | 17, None, None, None, None)),
    ("clone3", "clone3(): its flags lie where the filter cannot look", _NAMESPACES, refused("ENOSYS"), (None, 88)),
    ("bpf", "bpf(load a program)", _BUGS, _EPERM, (5, None, 0)),
    ("perf_event_open", "perf_event_open()", _BUGS, _EPERM, (None, 0, -1, -1, 0)),
    ("userfaultfd", "userfaultfd()", "It holds the kernel up in the middle of a copy: half of many exploits.", _EPERM, (0,)),
    ("io_uring_setup", "io_uring_setup()", "Its requests pass the filter by, and its bugs are many.", _EPERM, (8, None)),
    ("add_key", "add_key(user)", _KEYS, _EPERM, (b"user", b"x", b"y", 1, -3)),
    ("request_key", "request_key()", _KEYS, _EPERM, (b"user", b"x", None, -3)),
    ("keyctl", "keyctl(join a session)", _KEYS, _EPERM, (1, None, 0, 0, 0)),
    ("init_module", "init_module()", _KERNEL, _EPERM, (None, 0, None)),
    ("finit_module", "finit_module()", _KERNEL, _EPERM, (0, b"", 0)),
    ("delete_module", "delete_module()", _KERNEL, _EPERM, (b"nf_tables", 0)),
    ("kexec_load", "kexec_load()", _KERNEL, _EPERM, (0, 0, None, 0)),
    ("kexec_file_load", "kexec_file_load()", _KERNEL, refused("EPERM"), (0, 0, 0, None, 0)),
    ("reboot", "reboot()", "The machine is not the program's.", _EPERM, (0, 0, 0, None)),
    ("swapon", "swapon(/app/x)", _KERNEL, _EPERM, (b"/app/x", 0)),
    ("syslog", "Read the kernel's log", "It tells addresses of the kernel, and what the host does.", _EPERM, (3, None, 0)),
    ("settimeofday", "settimeofday()", _CLOCK, _EPERM, (None, None)),
    ("clock_settime", "clock_settime()", _CLOCK, _EPERM, (0, None)),
    ("clock_adjtime", "clock_adjtime()", _CLOCK, _EPERM, (0, None)),
    ("adjtimex", "adjtimex()", _CLOCK, _EPERM, (None,)),
    ("personality", "personality(no address randomisation)", "Exploits want known addresses.", _EPERM, (0x0040000,)),
    ("quotactl", "quotactl()", "Quotas are the host's.", _EPERM, (0, None, 0, None)),
    ("acct", "acct(/app/x)", "It makes the kernel write into a file of the program's choice.", _EPERM, (b"/app/x",)),
    ("vhangup", "vhangup()", "It hangs up terminals.", _EPERM, ()),
    ("iopl", "iopl(3)", "It is direct access to the hardware.", _ABSENT, (3,)),
    ("ioperm", "ioperm()", "The same.", _ABSENT, (0x80, 1, 1)),
    ("modify_ldt", "modify_ldt()", _BUGS, _ABSENT, (0, None, 0)),
    ("fanotify_init", "fanotify_init()", "It watches, and holds up, everybody's files.", _EPERM, (0, 0)),
    ("memfd_secret", "memfd_secret()", "Memory that not even the watchdog could measure.", _ABSENT, (0,)),
    ("vmsplice", "vmsplice()", _BUGS, _EPERM, (0, None, 0, 0)),
    ("move_pages", "move_pages() of process 1", "It tells where others' pages lie.", _EPERM, (1, 0, None, None, None, 0)),
    ("mbind", "mbind()", "Memory policy of the machine.", _EPERM, (None, 0, 0, None, 0, 0)),
    ("sync", "sync()", "Everybody's writes would have to be finished first.", _EPERM, ()),
    ("syncfs", "syncfs() of its folder's disk", "The same, for the disk that it shares.", _EPERM, (1,)),
    ("cachestat", "cachestat()", "It tells which pages of shared files others have read.", _EPERM, (1, None, None, 0)),
    ("process_mrelease", "process_mrelease()", "It takes a process's memory while it dies.", _EPERM, (-1, 0)),
    ("remap_file_pages", "remap_file_pages()", _BUGS, _EPERM, (None, 4096, 0, 0, 0)),
    ("lsm_set_self_attr", "lsm_set_self_attr()", "It changes what the machine's security modules hold of it.", _EPERM, (100, None, 0, 0)),
    ("lookup_dcookie", "lookup_dcookie()", "It names files of the host.", _ABSENT, (0, None, 0)),
)  # fmt: skip

_MEANS = {
    "mount-proc": "mount", "remount": "mount", "bind-mount": "mount", "unshare-mount": "unshare", "unshare-net": "unshare",
    "unshare-time": "unshare", "clone-pid": "clone", "clone-parent": "clone",
}  # fmt: skip

for _name, _tries, _matters, _expected, _arguments in _TABLE:
    group.add(
        _name.replace("_", "-"),
        _tries,
        _matters,
        _expected,
        lambda name=_name, arguments=_arguments: system(_MEANS.get(name, name), *arguments),
        apart=True,
    )


@group.attempt(
    "private-files",
    "A thread with open files of its own",
    "What it keeps open could not be counted.",
    _EPERM,
    apart=True,
)
def _() -> object:
    return system("clone", _THREAD, None, None, None, None)


@group.attempt(
    "unshare-files",
    "close_range() that gives a thread open files of its own",
    "The same, later.",
    _EPERM,
    apart=True,
)
def _() -> object:
    return syscall(436, 1 << 20, 1 << 20, 2)


@group.attempt(
    "io-setup",
    "Take 60,000 of the machine's requests for asynchronous files (io_setup)",
    "There are 65,536 for all of its programs, and databases start with some.",
    _EPERM,
    apart=True,
)
def _() -> object:
    return system("io_setup", 60_000, ctypes.byref(ctypes.c_ulong()))


@group.attempt(
    "own-filter",
    "Load a system call filter of its own that allows everything, then unshare(user)",
    "A later filter that overruled an earlier one would be the way out of it.",
    _EPERM,
    apart=True,
)
def _() -> object:
    everything = ctypes.create_string_buffer(struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF0000))
    described = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", 1, ctypes.addressof(everything)))
    system("seccomp", 1, 0, described)
    return system("unshare", _NEW_USER)


@group.attempt(
    "upper-half",
    "Type into a terminal, with a bit set above the 32 that the kernel reads",
    "A filter that compares all 64 bits of what the kernel cuts to 32 sees another call (CVE-2019-7303).",
    _EPERM,
)
def _() -> object:
    return system("ioctl", 1, _TIOCSTI | 1 << 32, b"x")


@group.attempt(
    "numbers",
    "Make every call that has no name, up to 4,096",
    "What nobody has looked at must not be open.",
    gives([], "none is there"),
)
def _() -> object:
    errors: list[int] = []
    for number in range(470, 4096):
        try:
            syscall(number, -1, -1, -1, -1, -1, -1)
        except OSError as error:
            if error.errno == errno.ENOSYS:
                continue
        errors.append(number)
    return errors


@group.attempt("setns", "setns() to the namespaces of process 1", _NAMESPACES, refused("EPERM", "EACCES"))
def _() -> object:
    return system("setns", os.open("/proc/1/ns/net", os.O_RDONLY), 0)


@group.attempt("setns-own", "setns() to its own network namespace", _NAMESPACES, _EPERM)
def _() -> object:
    return system("setns", os.open("/proc/self/ns/net", os.O_RDONLY), 0)


@group.attempt("mknod-disk", "mknod() of the first disk", "A device node is the device.", _EPERM)
def _() -> object:
    return os.mknod(f"{APP}/disk", 0o60600, os.makedev(8, 0))


@group.attempt("mknod-memory", "mknod() of /dev/mem", "A device node is the device.", _EPERM)
def _() -> object:
    return os.mknod(f"{APP}/mem", 0o20600, os.makedev(1, 1))


@group.attempt("mknod-overlay", "mknod() of 0:0", "To an overlay it is a deleted file.", _EPERM)
def _() -> object:
    return os.mknod(f"{APP}/whiteout", 0o20600, os.makedev(0, 0))


@group.attempt(
    "newer",
    "A system call newer than the filter",
    "What nobody has looked at must not be open.",
    refused("ENOSYS"),
)
def _() -> object:
    return syscall(499)


@group.attempt(
    "other-abi",
    "A system call by the 32-bit numbers of x86 (x32)",
    "Other numbers pass a filter that only knows its own.",
    either(killed("SIGSYS"), refused("ENOSYS")),
    apart=True,
)
def _() -> object:
    return syscall(0x40000000 | 39) if X86 else syscall(0x40000000)


@group.attempt(
    "legacy-interrupt",
    "A system call by int 0x80",
    "The same, by the gate of the 1990s.",
    either(killed("SIGSYS", "SIGSEGV", "SIGILL"), refused("ENOSYS")),
    apart=True,
)
def _() -> object:
    code = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3" if X86 else b"\x00\x00\x00\x00"
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return ctypes.CFUNCTYPE(ctypes.c_int)(address)()


@group.attempt(
    "terminal-input",
    "Type into a terminal (TIOCSTI)",
    "The words would be the next command of whoever looks.",
    _EPERM,
)
def _() -> object:
    return fcntl.ioctl(1, _TIOCSTI, b"x")


@group.attempt("terminal-console", "TIOCLINUX", "It pastes into consoles.", _EPERM)
def _() -> object:
    return fcntl.ioctl(1, _TIOCLINUX, b"\3")


@group.attempt(
    "line-discipline",
    "TIOCSETD",
    "Loading line disciplines has been a way to root.",
    _EPERM,
)
def _() -> object:
    return fcntl.ioctl(1, _TIOCSETD, b"\2\0\0\0")


@group.attempt(
    "pty",
    "Open a pseudo-terminal of the host",
    "The host's devpts lists its people's terminals.",
    refused(),
)
def _() -> object:
    return pty.openpty()


@group.attempt("sethostname", "sethostname(), setdomainname()", "Names are the machine's.", _EPERM)
def _() -> object:
    return socket.sethostname("owned")


@group.attempt(
    "immutable",
    "Make its own file immutable (chattr +i)",
    "Nobody could clean it up.",
    refused("EPERM", "ENOTTY", "EOPNOTSUPP"),
)
def _() -> object:
    with tempfile.TemporaryFile(dir=TMP) as file:
        return fcntl.ioctl(file, 0x40086602, (0x10).to_bytes(8, "little"))


@group.attempt(
    "timers",
    "Make 200,000 POSIX timers",
    "Each holds kernel memory that no limit of processes counts.",
    refused("EAGAIN", "EINVAL", "ENOMEM"),
)
def _() -> object:
    libc = ctypes.CDLL(None, use_errno=True)
    timer = ctypes.c_void_p()
    for _ in range(200_000):
        if libc.timer_create(1, None, ctypes.byref(timer)):
            raise OSError(ctypes.get_errno(), "timer_create")
    return "200,000 timers"


@group.attempt(
    "threads-still-start",
    "Start a thread, a child and a program all the same",
    "A filter that breaks ordinary programs is taken off.",
    shows("they run", lambda ran: ran is True),
)
def _() -> object:
    import subprocess
    import threading

    ran: list[int] = []
    thread = threading.Thread(target=lambda: ran.append(1))
    thread.start()
    thread.join()
    return (
        ran == [1] and subprocess.run(["/usr/bin/env", "true"], check=False).returncode == 0 and bool(signal)
    )


if __name__ == "__main__":
    group.run()
