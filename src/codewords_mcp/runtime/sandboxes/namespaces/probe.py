"""The self-test's program: tries what a sandbox must forbid and prints which acts were refused, as one JSON object.

Runs as /app/main.py in a sandbox, by the runtime's own Python; imports nothing of ours. Its last act is to take more
memory than it may: surviving that is printed too.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import signal
import socket
from collections.abc import Callable

_CLONE_NEWUSER = 0x1000_0000
_AF_PACKET, _AF_ALG, _AF_VSOCK = 17, 38, 40
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


def _connect(family: int, address: str | tuple[str, int]) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        client.connect(address)
        try:
            answer = client.recv(1)
        except TimeoutError:
            # Somebody is there and waits for us.
            return
    if not answer:
        # The egress accepts a connection before it judges it, and closes one that it refuses.
        raise ConnectionRefusedError(errno.ECONNREFUSED, "closed at once")


def _read_text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _powerless() -> bool:
    """No capability in any set, no new privileges, under a filter."""
    facts = dict(line.split(":", 1) for line in _read_text("/proc/self/status").splitlines())
    capabilities = all(
        int(facts[name], 16) == 0 for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    )
    return capabilities and facts["NoNewPrivs"].strip() == "1" and facts["Seccomp"].strip() == "2"


def _create(path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))


def _open_raw_socket(family: int) -> None:
    socket.socket(family, socket.SOCK_RAW).close()


def _read_only(folder: str) -> bool:
    return _refused(_create, f"{folder}/canary")


def _alone(host_pid: int) -> bool:
    """Only process 1 and this one are to be seen, and the runtime cannot be signalled."""
    seen = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    return seen == {1, os.getpid()} and (host_pid in seen or _refused(os.kill, host_pid, 0))


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
        # Each child is ended even where the limit failed to hold: they sleep for ever.
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    return False


def _acts(facts: dict[str, str]) -> dict[str, bool]:
    return {
        "the host's files are out of sight": _refused(_read_text, facts["file"]),
        "the host's password file is out of sight": _refused(os.stat, "/etc/shadow"),
        "the host's loopback is out of reach": _refused(
            _connect, socket.AF_INET, ("127.0.0.1", int(facts["port"]))
        ),
        "the host's abstract sockets are out of reach": _refused(
            _connect, socket.AF_UNIX, "\0" + facts["abstract"]
        ),
        # TEST-NET-1 (RFC 5737): no host has it, so a success could only be a proxy.
        "other networks are out of reach": _refused(_connect, socket.AF_INET, ("192.0.2.1", 80)),
        "the host's processes are out of sight": _alone(int(facts["pid"])),
        "the system is read-only": all(
            _read_only(folder) for folder in ("", "/usr", "/etc", "/env", "/proc/sys")
        ),
        "no privileges are left": os.getuid() == 1000 and _powerless() and _refused(os.setuid, 0),
        "no namespaces can be made": _refused(_call, "unshare", _CLONE_NEWUSER),
        "nothing can be mounted": _refused(_call, "mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "nothing can be traced": _refused(_call, "ptrace", 0, 0, 0, 0),
        "unusual sockets are refused": all(
            _refused(_open_raw_socket, family) for family in (_AF_PACKET, _AF_ALG, _AF_VSOCK, socket.AF_INET)
        ),
        "forking ends": _forking_ends(int(facts["processes"])),
    }


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
    print(json.dumps(_acts(facts)), flush=True)
    _take_memory(int(facts["memory"]))
    print(json.dumps({"survived": True}), flush=True)
