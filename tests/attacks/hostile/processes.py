"""Other processes: of the host, process 1 of the sandbox, and whoever started it."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import struct

from tests.attacks.hostile.attempts import (
    Group,
    fact,
    gives,
    in_child,
    read,
    refused,
    shows,
    system,
    until,
    write,
)

group = Group("processes", "Processes")
_HIDDEN = refused("EACCES", "EPERM")
_ITS_SECRETS = "Process 1 and whoever forked it know the runtime's channel."
_DENIED = refused("EPERM")
_PTRACE_ATTACH, _PTRACE_SEIZE = 16, 0x4206
_SCM_CREDENTIALS = 2
_SO_PEERPIDFD = 77


@group.attempt(
    "list",
    "List /proc",
    "Names and arguments of processes tell what runs on the machine.",
    gives([], "process 1 and its own processes"),
)
def _() -> object:
    own = {1, os.getpid(), os.getppid()}
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) not in own)


for _file in ("environ", "mem", "maps", "fd", "root", "exe", "syscall", "io"):
    _words = {"fd": "List", "root": "List", "exe": "Read the link"}.get(_file, "Read")
    group.add(
        f"init-{_file}",
        f"{_words} /proc/1/{_file}",
        _ITS_SECRETS,
        _HIDDEN,
        lambda file=_file: _of_init(file),
    )


def _of_init(file: str) -> object:
    path = f"/proc/1/{file}"
    if file in ("fd", "root"):
        return os.listdir(path)
    return os.readlink(path) if file == "exe" else read(path)


@group.attempt("init-oom", "Write /proc/1/oom_score_adj", "Process 1 must outlive the program.", _HIDDEN)
def _() -> object:
    return write("/proc/1/oom_score_adj", "1000")


@group.attempt("init-ptrace", "ptrace process 1", "Its memory and registers would be the program's.", _DENIED)
def _() -> object:
    return system("ptrace", _PTRACE_SEIZE, 1, 0, 0)


@group.attempt(
    "child-ptrace",
    "ptrace a child",
    "A tracer changes a system call after the filter has judged it.",
    _DENIED,
)
def _() -> object:
    pid = os.fork()
    if pid == 0:
        signal.pause()
    try:
        return system("ptrace", _PTRACE_ATTACH, pid, 0, 0)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@group.attempt("vm-readv", "process_vm_readv process 1", _ITS_SECRETS, _DENIED)
def _() -> object:
    return system("process_vm_readv", 1, None, 0, None, 0, 0)


@group.attempt("vm-writev", "process_vm_writev process 1", "Its code could be changed.", _DENIED)
def _() -> object:
    return system("process_vm_writev", 1, None, 0, None, 0, 0)


@group.attempt(
    "pidfd-getfd",
    "Take a descriptor of process 1 by pidfd_getfd",
    "It holds the runtime's channel.",
    refused("EPERM", "ESRCH"),
)
def _() -> object:
    return system("pidfd_getfd", system("pidfd_open", 1, 0), 0, 0)


@group.attempt(
    "kcmp", "kcmp with process 1", "It tells the order of kernel addresses.", refused("EPERM", "ENOSYS")
)
def _() -> object:
    return system("kcmp", os.getpid(), 1, 0, 0, 0)


@group.attempt("madvise", "process_madvise process 1", "It could push its memory out.", _DENIED)
def _() -> object:
    return system("process_madvise", system("pidfd_open", 1, 0), None, 0, 21, 0)


@group.attempt(
    "init-prlimit",
    "Change the resource limits of process 1",
    "With no files left it could not tell how the program ended.",
    _DENIED,
)
def _() -> object:
    return str(resource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0)))


for _name, _tries, _act in (
    ("priority", "Give process 1 the lowest priority", lambda: os.setpriority(os.PRIO_PROCESS, 1, 19)),
    ("priority-by-user", "Give all of its user's processes the lowest priority, process 1 with them", lambda: os.setpriority(os.PRIO_USER, 0, 19)),
    ("idle", "Let process 1 run only when nobody else wants to", lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0))),
    ("affinity", "Keep process 1 on one processor", lambda: os.sched_setaffinity(1, [0])),
    ("io-priority", "Give process 1 the lowest priority on the disk", lambda: system("ioprio_set", 1, 1, 3 << 13)),
):  # fmt: skip
    group.add(
        f"init-{_name}",
        _tries,
        "A process 1 that gets no time ends late when it is told to, beside programs that compute.",
        _DENIED,
        _act,
    )


@group.attempt(
    "init-command",
    "Read the command line of process 1",
    "It is a copy of a process of the host, started by the host's paths.",
    shows("a name that tells nothing", lambda command: command == "codewords-sandbox"),
)
def _() -> object:
    return read("/proc/1/cmdline").rstrip("\0")


@group.attempt(
    "init-writes",
    "Write to every file of process 1 in /proc",
    "Some of them change what it is, or what it may.",
    gives([], "none can be written"),
)
def _() -> object:
    written: list[str] = []
    for name in [*os.listdir("/proc/1"), "attr/current", "task/1/comm"]:
        try:
            write(f"/proc/1/{name}", "0")
        except OSError:
            continue
        written.append(name)
    return written


@group.attempt(
    "peer-pidfd",
    "Ask the kernel for a handle of who is at the other end of its sockets (SO_PEERPIDFD); signal it, open its namespaces",
    "One end of them is the runtime's, and a handle needs no number.",
    gives([], "a handle at most, with which nothing can be done but to process 1"),
)
def _() -> object:
    done: list[str] = []
    libc = ctypes.CDLL(None, use_errno=True)
    for number in (3, 4):
        with socket.socket(fileno=os.dup(number)) as one:
            try:
                (handle,) = struct.unpack("i", one.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD, 4))
            except OSError:
                continue
            inside = "NSpid:\t1\n" in read(f"/proc/self/fdinfo/{handle}")
            done += [
                f"{number}: namespace {kind}"
                for kind in range(1, 11)
                if libc.ioctl(handle, 0xFF00 | kind, 0) >= 0
            ]
            if not inside and libc.syscall(424, handle, 0, None, 0) == 0:
                done.append(f"{number}: signal")
            os.close(handle)
    return done


@group.attempt(
    "adoption",
    "Fork twice and see who adopts the orphan",
    "What the fork server adopts is out of the sandbox.",
    gives(1, "process 1 of the sandbox"),
)
def _() -> object:
    reading, writing = os.pipe()
    first = in_child(lambda: os._exit(0) if os.fork() else os.write(writing, str(_adopter()).encode()))
    os.waitpid(first, 0)
    return int(os.read(reading, 16))


def _adopter() -> int:
    parent = os.getppid()
    until(lambda: os.getppid() != parent or parent == 1)
    return os.getppid()


@group.attempt(
    "init-signals",
    "Send SIGKILL, SIGSTOP, SIGSEGV and SIGINT to process 1",
    "Without it nobody ends what the program left running.",
    shows("it lives on", lambda state: state in {"S", "R"}),
)
def _() -> object:
    for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV, signal.SIGINT):
        try:
            os.kill(1, number)
        except PermissionError:
            continue
    until(lambda: False, 0.05)
    return read("/proc/1/stat").rpartition(") ")[2][:1]


@group.attempt(
    "init-pidfd",
    "SIGKILL to process 1 by pidfd, and to its thread",
    "The same, by other calls.",
    shows("it lives on", lambda alive: alive is True),
)
def _() -> object:
    for act in (
        lambda: system("pidfd_send_signal", system("pidfd_open", 1, 0), int(signal.SIGKILL), None, 0),
        lambda: system("tgkill", 1, 1, int(signal.SIGKILL)),
    ):
        try:
            act()
        except OSError:
            continue
    until(lambda: False, 0.05)
    return os.path.exists("/proc/1/stat")


@group.attempt(
    "parent-signal",
    "Signal the runtime, by its number on the host",
    "It could be ended, or made to dump its memory.",
    refused("ESRCH"),
)
def _() -> object:
    return os.kill(fact("runtime_pid"), signal.SIGTERM)


@group.attempt(
    "all-signals",
    "Signal every number up to 100,000",
    "Whoever can be named can be ended.",
    gives([[], []], "only itself and process 1 can be named"),
)
def _() -> object:
    own = {1, os.getpid(), os.getppid()}
    found: list[int] = []
    signalled: list[int] = []
    for pid in range(2, 100_000):
        try:
            os.kill(pid, 0)
            signalled.append(pid)
        except ProcessLookupError:
            continue
        except PermissionError:
            pass
        found.append(pid)
    return [[pid for pid in signalled if pid != os.getpid()], [pid for pid in found if pid not in own]]


@group.attempt(
    "group-signals",
    "Name its parent's process group and session",
    "Groups reach across processes.",
    shows("none that has a number here but process 1's and its own", lambda numbers: set(numbers) <= {0, 1}),
)
def _() -> object:
    named = [os.getpgid(os.getppid()), os.getsid(os.getppid())]  # a parent outside is 0, which names oneself
    return [0 if number == os.getpid() else number for number in named]


@group.attempt(
    "forged-credentials",
    "Send another's process and user number over a Unix socket (SCM_CREDENTIALS)",
    "Servers decide by them who asks.",
    refused("EPERM", "EINVAL", "ESRCH"),
)
def _() -> object:
    one, two = socket.socketpair()
    forged = struct.pack("iii", 1, 0, 0)
    with one, two:
        return one.sendmsg([b"x"], [(socket.SOL_SOCKET, _SCM_CREDENTIALS, forged)])


@group.attempt(
    "priority", "Raise its own priority to -20", "The host's programs would wait for it.", refused()
)
def _() -> object:
    return os.setpriority(os.PRIO_PROCESS, 0, -20)


@group.attempt("realtime", "Become a real-time process", "It would not be interrupted any more.", _DENIED)
def _() -> object:
    return os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


@group.attempt(
    "io-realtime", "Take real-time priority on the disk", "Everybody else's reads would wait.", _DENIED
)
def _() -> object:
    return system("ioprio_set", 1, 0, (1 << 13) | 0)


@group.attempt(
    "lock-memory",
    "Lock 64 MiB of memory",
    "Locked memory cannot be taken back.",
    refused("EPERM", "ENOMEM", "EAGAIN"),
)
def _() -> object:
    libc = ctypes.CDLL(None, use_errno=True)
    block = ctypes.create_string_buffer(64 << 20)
    if libc.mlock(block, ctypes.c_size_t(64 << 20)):
        raise OSError(ctypes.get_errno(), "mlock")
    return True


@group.attempt(
    "core-dump",
    "Die of SIGSEGV with a core dump",
    "The kernel hands it to a program of the host.",
    shows("no core is dumped", lambda dumped: dumped is False),
)
def _() -> object:
    pid = os.fork()
    if pid == 0:
        os.kill(os.getpid(), signal.SIGSEGV)
    _, how = os.waitpid(pid, 0)
    return os.WCOREDUMP(how)


if __name__ == "__main__":
    group.run()
