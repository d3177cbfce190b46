"""Changes all that it can reach, so that whoever starts after it might find it changed."""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import json
import os
import random
import signal
import socket
import sys
import time
from typing import Any

from tests.attacks.hostile.attempts import APP, TMP, say, system

_FOLDERS = (
    TMP, APP, "/tmp", "/dev/shm", "/var/tmp", "/env", "/env/bin", "/python", "/usr/local/lib", "/etc", "/.codewords", "/run", "/",
)  # fmt: skip


def _write(path: str) -> bool:
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write("import builtins\nbuiltins.poisoned = True\n")
        return True
    return False


def _plant() -> list[str]:
    packages = next(
        (path for path in sys.path if path.endswith("site-packages")), "/env/lib/python3.11/site-packages"
    )
    user = os.path.expanduser("~/.local/lib/python3.11/site-packages")
    paths = [f"{folder}/poisoned.py" for folder in _FOLDERS] + [
        f"{packages}/poisoned.pth", f"{packages}/sitecustomize.py", f"{packages}/__pycache__/typing_extensions.cpython-311.pyc",
        os.path.realpath(os.__file__), f"{os.path.dirname(os.path.realpath(os.__file__))}/__pycache__/os.cpython-311.pyc",
        f"{user}/usercustomize.py", "/etc/ld.so.preload", "/env/pyvenv.cfg",
    ]  # fmt: skip
    return [path for path in paths if _write(path)]


def _spoil_state() -> None:
    for module in (json, os, builtins, random):
        module.poisoned = True  # type: ignore[attr-defined]
    os.environ["POISONED"] = "1"
    random.seed(1)
    os.umask(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        system("shmget", 0x9015, 4096, 0o1666)
    with contextlib.suppress(OSError):
        os.nice(10)


def _shout() -> None:
    """Say everything to process 1 that it might obey, and to whoever forked it."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(4)) as boot:
        messages: tuple[dict[str, Any], ...] = (
            {"claimed": 22}, {"go": True}, {"signal": 9}, {"exited": 0, "cpu": 0, "peak": 0}, {"error": "x", "errno": 1, "step": "x"},
            {"standing": True, "listeners": []}, {"forked": 1}, {"refused": "x"}, {"ready": True, "modules": 0, "seconds": 0},
        )  # fmt: skip
        for message in messages:
            socket.send_fds(boot, [json.dumps(message).encode()], [1, 1, 1])
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD):
        for target in (1, os.getppid() or 1):
            with contextlib.suppress(OSError):
                os.kill(target, number if target != 1 else signal.SIGCHLD)


def _stay() -> None:
    """A child that nobody waits for, with a port and a socket."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            kept = [socket.create_server(("127.0.0.1", 7777))]
            with contextlib.suppress(PermissionError):  # without namespaces there are no Unix sockets
                kept.append(socket.socket(socket.AF_UNIX))
                kept[1].bind("\0poisoned")
                kept[1].listen()
            say({"stayed": True})
            time.sleep(600)
        os._exit(0)


if __name__ == "__main__":
    kept = [f"{os.environ['ENV_SECRET']} {number}" for number in range(1000)]
    written = _plant()
    _spoil_state()
    _shout()
    _stay()
    say({"written": written, "poisoned": bool(ctypes and kept)})
    time.sleep(600)
