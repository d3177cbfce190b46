"""The self-test's program: tries what a confined sandbox must forbid, and what it must allow, and prints both as JSON.

Runs as the run's main.py, by the runtime's own Python, on Linux; imports nothing of ours. Its last act is to take
more memory than it may: surviving that is printed too.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable

_CLONE_NEWUSER = 0x1000_0000
_AF_PACKET, _AF_ALG, _AF_VSOCK = 17, 38, 40
# Folders that nobody needs to list.
_UNLISTED = ("/", "/etc")
_MPTCP, _MSG_FASTOPEN = 262, 0x2000_0000
_LIBC = ctypes.CDLL(None, use_errno=True)


def _refused(act: Callable[..., object], *arguments: object) -> bool:
    try:
        act(*arguments)
    except OSError:
        return True
    return False


def _call(name: str, *arguments: object) -> None:
    """A C library call that reports failure by -1."""
    if getattr(_LIBC, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)


def _connect(family: int, address: str | tuple[str, int], protocol: int = 0) -> None:
    with socket.socket(family, socket.SOCK_STREAM, protocol) as client:
        client.settimeout(1)
        with contextlib.suppress(TimeoutError):
            client.connect(address)


def _connect_by_sending(address: tuple[str, int]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        try:
            client.sendto(b"x", _MSG_FASTOPEN, address)
        except BlockingIOError:
            return


def _send(family: int, address: str | tuple[str, int]) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", address)


def _reconnect_pair(address: str) -> None:
    left, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with left:
        left.connect(address)


def _open(path: str, flags: int) -> None:
    os.close(os.open(path, flags, 0o600))


def _open_raw_socket(family: int) -> None:
    socket.socket(family, socket.SOCK_RAW).close()


def _unchanged(path: str, attribute: str, act: Callable[..., object], *arguments: object) -> bool:
    """The file is as before; the act itself may pretend that it worked."""
    before = getattr(os.stat(path), attribute)
    _refused(act, *arguments)
    return getattr(os.stat(path), attribute) == before


def _files(facts: dict[str, str]) -> dict[str, bool]:
    file, folder = facts["file"], facts["folder"]
    systems = ("/usr", "/etc", "/tmp", "/var/tmp", "/dev/shm", sys.base_prefix, folder)
    return {
        "the host's files cannot be read": _refused(_open, file, os.O_RDONLY),
        "the host's password file cannot be read": _refused(_open, "/etc/passwd", os.O_RDONLY),
        "the host's folders cannot be listed": all(_refused(os.listdir, top) for top in (*_UNLISTED, folder)),
        "the host's files cannot be written": _refused(_open, file, os.O_WRONLY),
        "the host's files cannot be emptied": _refused(os.truncate, file, 0),
        "the host's files cannot be removed or renamed": _refused(os.unlink, file)
        and _refused(os.rename, file, "stolen")
        and _refused(os.link, file, "linked"),
        "the host's files keep their modes": _unchanged(file, "st_mode", os.chmod, file, 0),
        "the host's files keep their times": _unchanged(file, "st_mtime_ns", os.utime, file, (1, 1)),
        "nothing can be made outside": all(
            _refused(_open, f"{top}/codewords-canary", os.O_CREAT | os.O_WRONLY) for top in systems
        ),
    }  # fmt: skip


def _network(facts: dict[str, str]) -> dict[str, bool]:
    here = ("127.0.0.1", int(facts["port"]))
    # TEST-NET-1 (RFC 5737): no host has an address in it.
    elsewhere = "192.0.2.1"
    return {
        "the host's loopback is out of reach": _refused(_connect, socket.AF_INET, here)
        and _refused(_connect, socket.AF_INET6, ("::ffff:127.0.0.1", here[1])),
        "other networks are out of reach": _refused(_connect, socket.AF_INET, (elsewhere, 80)),
        "no datagrams can be sent": _refused(_send, socket.AF_INET, (elsewhere, 53)),
        "the host's sockets in files are out of reach": _refused(_connect, socket.AF_UNIX, facts["named"]),
        "the host's abstract sockets are out of reach": _refused(_connect, socket.AF_UNIX, "\0" + facts["abstract"])
        and _refused(_reconnect_pair, "\0" + facts["abstract"]),
        "no way around by other protocols": _refused(_connect, socket.AF_INET, here, _MPTCP)
        and _refused(_connect_by_sending, here),
        "unusual sockets are refused": all(
            _refused(_open_raw_socket, family) for family in (_AF_PACKET, _AF_ALG, _AF_VSOCK, socket.AF_INET)
        ),
    }  # fmt: skip


def _hidden(victim: str) -> bool:
    """Variables and arguments of another process of the same user."""
    return all(
        _refused(_open, f"/proc/{victim}/{name}", os.O_RDONLY) for name in ("environ", "cmdline", "mem")
    )


def _processes(facts: dict[str, str]) -> dict[str, bool]:
    victim, runtime = int(facts["victim"]), int(facts["runtime"])
    prlimit = getattr(resource, "prlimit")  # noqa: B009  # Linux only
    return {
        "other processes cannot be read": _hidden(facts["victim"]),
        "other processes cannot be signalled": all(
            _refused(os.kill, pid, 0) for pid in (victim, runtime, os.getppid())
        ),
        "nothing can be traced": _refused(_call, "ptrace", 16, victim, 0, 0),
        "other processes keep their limits": _refused(prlimit, victim, resource.RLIMIT_NOFILE, (9, 9)),
        "other processes keep their priority": _refused(os.setpriority, os.PRIO_PROCESS, victim, 19),
        "no namespaces can be made": _refused(_call, "unshare", _CLONE_NEWUSER),
        "nothing can be mounted": _refused(_call, "mount", b"none", b".", b"tmpfs", 0, None),
        "no memory is shared with the host": _refused(_call, "shmget", 4242, 4096, 0o1666),
        "no privileges are left": _powerless(),
        "forking ends": _forking_ends(int(facts["processes"])),
    }  # fmt: skip


def _powerless() -> bool:
    """No capability in effect or to be had, no new privileges, under a filter."""
    with open("/proc/self/status", encoding="utf-8") as file:
        facts = dict(line.split(":", 1) for line in file)
    capabilities = all(int(facts[name], 16) == 0 for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"))
    return capabilities and facts["NoNewPrivs"].strip() == "1" and facts["Seccomp"].strip() == "2"


def _forking_ends(limit: int) -> bool:
    children: list[int] = []
    try:
        for _ in range(2 * limit):
            pid = os.fork()
            if pid == 0:
                signal.pause()
            children.append(pid)
    except OSError:
        return True
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    return False


def _needs() -> dict[str, bool]:
    """The acts that a workflow must be able to do."""
    uri = os.environ["CODEWORDS_RUNTIME_URI"].removeprefix("http://")
    host, _, port = uri.partition(":")
    return {
        "the runtime is in reach": _works(_greet_runtime, host, int(port)),
        "its own files can be written": _works(_open, "mine", os.O_CREAT | os.O_WRONLY),
        "temporary files can be made": _works(_make_temporary_file),
        "other programs can be started": _works(_start_program),
        "random numbers are there": _works(os.urandom, 8) and _works(_open, "/dev/urandom", os.O_RDONLY),
    }


def _works(act: Callable[..., object], *arguments: object) -> bool:
    try:
        act(*arguments)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _greet_runtime(host: str, port: int) -> None:
    with socket.create_connection((host, port), 5) as client:
        if client.recv(99) != b"runtime":
            raise ConnectionRefusedError


def _make_temporary_file() -> None:
    tempfile.TemporaryFile().close()


def _start_program() -> None:
    subprocess.run([sys.executable, "-c", ""], check=True, timeout=10)


def _take_memory(limit: int) -> None:
    """Twice the limit, touched. Not MemoryError: a limit on address space is not what is proved here."""
    taken: list[bytearray] = []
    with contextlib.suppress(MemoryError):
        while len(taken) << 20 < 2 * limit:
            taken.append(bytearray(1 << 20))
            # One byte a page is enough for the kernel to count it.
            taken[-1][::4096] = b"x" * 256


if __name__ == "__main__":
    facts: dict[str, str] = json.loads(os.environ["PROBE"])
    print(json.dumps({"needs": _needs()}), flush=True)
    for acts in (_files, _network, _processes):
        print(json.dumps({"acts": acts(facts)}), flush=True)
    _take_memory(int(facts["memory"]))
    print(json.dumps({"survived": True}), flush=True)
