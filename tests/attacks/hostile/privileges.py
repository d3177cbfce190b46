"""Becoming somebody else, and getting rights back."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import shutil
import struct
import subprocess

from tests.attacks.hostile.attempts import (
    APP,
    Group,
    gives,
    in_child,
    read,
    refused,
    shows,
    status,
    system,
    write,
)

group = Group("privileges", "Privileges")
_ROOT = "Root of the sandbox is the first step to root of the machine."
_EPERM = refused("EPERM")
_PR_SET_PTRACER, _PTRACE_SEIZE = 0x59616D61, 0x4206
_NO_IDS = refused("EPERM", "EINVAL")


@group.attempt(
    "capabilities",
    "Look which capabilities it has, could have, or could pass on",
    _ROOT,
    gives([0, 0, 0, 0, 0], "none"),
)
def _() -> object:
    return [int(status(name), 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")]


@group.attempt(
    "no-new-privileges",
    "Look whether programs may gain rights when they start",
    "Set-user-id programs live on it.",
    gives("1", "they may not"),
)
def _() -> object:
    return status("NoNewPrivs")


@group.attempt(
    "filter",
    "Look whether a system call filter is on",
    "Without one the kernel is wide.",
    gives("2", "it is"),
)
def _() -> object:
    return status("Seccomp")


@group.attempt(
    "identity",
    "Look who it is",
    _ROOT,
    gives([1000, 1000, 1000, 1000], "user and group 1000 of its own namespace"),
)
def _() -> object:
    return [os.getuid(), os.geteuid(), os.getgid(), os.getegid()]


@group.attempt(
    "groups",
    "Look at its supplementary groups",
    "A group of the runtime's opens its files: docker, disk, adm.",
    shows(
        "none that exists here",
        lambda groups: set(groups) <= {1000, 65534},
    ),
)
def _() -> object:
    return os.getgroups()


@group.attempt("setuid", "setuid(0)", _ROOT, _NO_IDS)
def _() -> object:
    return os.setuid(0)


@group.attempt("setresuid", "setresuid(1001)", "Another user's files.", _NO_IDS)
def _() -> object:
    return os.setresuid(1001, 1001, 1001)


@group.attempt("setgid", "setgid(0)", _ROOT, _NO_IDS)
def _() -> object:
    return os.setgid(0)


@group.attempt("setgroups", "setgroups([0])", _ROOT, _EPERM)
def _() -> object:
    return os.setgroups([0])


@group.attempt("capset", "capset(everything)", _ROOT, _EPERM)
def _() -> object:
    header = struct.pack("Ii", 0x20080522, 0)
    return system("capset", header, struct.pack("6I", *[0xFFFFFFFF] * 6))


@group.attempt("ambient", "Raise an ambient capability", _ROOT, _EPERM)
def _() -> object:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(47, ctypes.c_ulong(2), ctypes.c_ulong(21), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), "prctl")
    return True


@group.attempt("securebits", "Set securebits", _ROOT, _EPERM)
def _() -> object:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(28, ctypes.c_ulong(0), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    return True


@group.attempt(
    "uid-map", "Rewrite /proc/self/uid_map", "It says whom user 0 means.", refused("EPERM", "EACCES")
)
def _() -> object:
    return write("/proc/self/uid_map", "0 0 1")


@group.attempt("gid-map", "Rewrite /proc/self/gid_map", "The same for groups.", refused("EPERM", "EACCES"))
def _() -> object:
    return write("/proc/self/gid_map", "0 0 1")


@group.attempt(
    "setgroups-file", "Allow setgroups again", "Negative rights are lost by it.", refused("EPERM", "EACCES")
)
def _() -> object:
    return write("/proc/self/setgroups", "allow")


@group.attempt("chown", "Give its own file to root", "With set-user-id on it, it would run as root.", _NO_IDS)
def _() -> object:
    write(f"{APP}/owned")
    return os.chown(f"{APP}/owned", 0, 0)


@group.attempt(
    "set-user-id",
    "Run a set-user-id copy of a shell",
    _ROOT,
    gives("1000", "it runs as user 1000"),
)
def _() -> object:
    shutil.copy("/bin/sh", f"{APP}/sh")
    os.chmod(f"{APP}/sh", 0o6755)
    done = subprocess.run(
        [f"{APP}/sh", "-p", "-c", "id -u"], capture_output=True, encoding="utf-8", check=False
    )
    return done.stdout.strip()


@group.attempt(
    "su",
    "Run the host's su, sudo, mount, newuidmap and pkexec",
    _ROOT,
    gives([], "none of them makes it root"),
)
def _() -> object:
    won: list[str] = []
    for command in (
        ["su", "-c", "id -u"],
        ["sudo", "-n", "id", "-u"],
        ["pkexec", "id", "-u"],
        ["mount", "--bind", "/", "/tmp"],
    ):
        if shutil.which(command[0]) is None:
            continue
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=5, check=False
        )
        if done.stdout.strip() == "0" or (command[0] == "mount" and done.returncode == 0):
            won.append(command[0])
    return won


@group.attempt(
    "file-capability",
    "Give a file capabilities",
    "Running it would give them back.",
    refused("EPERM", "EOPNOTSUPP", "ENOTSUP"),
)
def _() -> object:
    write(f"{APP}/capable")
    value = struct.pack("<IIIII", 0x02000001, 0xFFFFFFFF, 0, 0xFFFFFFFF, 0)
    return os.setxattr(f"{APP}/capable", "security.capability", value)


@group.attempt(
    "trusted-attribute",
    "Write a trusted. attribute",
    "Overlays obey them.",
    refused("EPERM", "EOPNOTSUPP", "ENOTSUP"),
)
def _() -> object:
    write(f"{APP}/attribute")
    return os.setxattr(f"{APP}/attribute", "trusted.overlay.opaque", b"y")


@group.attempt(
    "raise-files",
    "Raise its limit of open files",
    "Limits that can be raised are none.",
    refused("ValueError", "EPERM"),
)
def _() -> object:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return resource.setrlimit(resource.RLIMIT_NOFILE, (hard + 1, hard + 1))


@group.attempt(
    "raise-processes",
    "Raise its limit of processes",
    "Limits that can be raised are none.",
    refused("ValueError", "EPERM"),
)
def _() -> object:
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    return resource.setrlimit(resource.RLIMIT_NPROC, (hard + 1, hard + 1))


@group.attempt(
    "oom-score",
    "Make itself the last one to be killed for want of memory",
    "Something of the host would go first.",
    refused("EACCES", "EPERM"),
)
def _() -> object:
    return write("/proc/self/oom_score_adj", "-1000")


@group.attempt(
    "cgroup",
    "Find its cgroup, or the cgroup file system",
    "Limits could be lifted there, and release_agent is root of the host.",
    gives([], "nothing but its own root"),
)
def _() -> object:
    lines = [line.rpartition(":")[2] for line in read("/proc/self/cgroup").splitlines()]
    mounted = [line for line in read("/proc/self/mountinfo", 1 << 20).splitlines() if " cgroup" in line]
    return [path for path in lines if path not in ("/", "")] + mounted


@group.attempt(
    "tracer",
    "Let anybody trace it (PR_SET_PTRACER), and have a child try",
    "Where only permission was missing, it is there now.",
    gives("EPERM", "refused: EPERM"),
)
def _() -> object:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PTRACER, ctypes.c_ulong(2**64 - 1), 0, 0, 0)
    reading, writing = os.pipe()
    parent = os.getpid()

    def trace() -> None:
        try:
            system("ptrace", _PTRACE_SEIZE, parent, 0, 0)
            os.write(writing, b"traced")
        except OSError as error:
            os.write(writing, errno.errorcode[error.errno or 0].encode())

    os.waitpid(in_child(trace), 0)
    return os.read(reading, 100).decode()


if __name__ == "__main__":
    group.run()
