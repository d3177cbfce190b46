"""Leaves traps on disk for whoever measures, serves or removes the files of a sandbox."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import threading
import time

from tests.attacks.hostile.attempts import APP, TMP, fact, say


def links() -> None:
    """Links of both kinds to the host's canary, under every name that cleaning up might follow."""
    canary = fact("canary_folder")
    for folder in (TMP, APP):
        for name in (
            "a",
            "app",
            "tmp",
            "root",
            "sock",
            "lock",
            "cgroups",
            "removed-1",
            ".deep-0-0000000000000000",
        ):
            with contextlib.suppress(OSError):
                os.symlink(canary, f"{folder}/{name}")
        os.makedirs(f"{folder}/deep/" + "d/" * 45, exist_ok=True)
        os.symlink(canary, f"{folder}/deep/" + "d/" * 45 + "link")
        os.symlink("/proc/self/root" + canary, f"{folder}/proc-link")
        os.symlink("../" * 40 + canary.lstrip("/"), f"{folder}/up-link")
    os.unlink(f"{APP}/main.py")
    os.symlink(f"{canary}/kept", f"{APP}/main.py")


def measured() -> None:
    """Links to folders far larger than the disk limit: whoever follows them ends the program."""
    for number in range(50):
        os.symlink("/usr", f"{TMP}/usr{number}")
        os.symlink("/python", f"{APP}/python{number}")
        os.symlink(f"{TMP}/loop{(number + 1) % 50}", f"{TMP}/loop{number}")
    with contextlib.suppress(OSError):
        os.link(f"{TMP}/loop0", f"{TMP}/hard")


def swapping() -> None:
    """Folders that become links, and links that become folders, while somebody walks them."""
    canary = fact("canary_folder")

    def swap(number: int) -> None:
        base = f"{TMP}/swap{number}"
        while True:
            with contextlib.suppress(OSError):
                os.makedirs(f"{base}/in/in", exist_ok=True)
                os.rename(base, f"{base}-away")
                os.symlink(canary, base)
                time.sleep(0.0005)
                os.unlink(base)
                shutil.rmtree(f"{base}-away", ignore_errors=True)

    for number in range(4):
        threading.Thread(target=swap, args=(number,), daemon=True).start()


def odd() -> None:
    """Names and kinds that trip up whoever reads or removes them."""
    for name in (
        b"new\nline",
        b"\xff\xfe\xfd",
        b"-rf",
        b"--",
        b"*",
        b"$(reboot)",
        b"x" * 255,
        b" ",
        b"\x1b[2J",
        b"...",
    ):
        with contextlib.suppress(OSError):
            os.close(os.open(TMP.encode() + b"/" + name, os.O_CREAT | os.O_WRONLY))
            os.mkdir(APP.encode() + b"/" + name)
    os.mkfifo(f"{TMP}/fifo")
    os.unlink(f"{APP}/main.py")
    os.mkfifo(f"{APP}/main.py")
    with contextlib.suppress(PermissionError), socket.socket(socket.AF_UNIX) as one:
        one.bind(f"{TMP}/socket")
    for folder in (f"{TMP}/shut", f"{APP}/shut"):
        os.makedirs(f"{folder}/inner/inner")
        os.close(os.open(f"{folder}/inner/file", os.O_CREAT | os.O_WRONLY))
        os.chmod(f"{folder}/inner", 0)
        os.chmod(folder, 0)
    os.chmod(TMP, 0)
    os.chmod(APP, 0)


def outliving() -> None:
    """Processes that leave parent, session and group, bear no signal but SIGKILL, one of them stopped, one an adopter."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    for stopped in (False, True):
        if os.fork():
            continue
        os.setsid()
        if os.fork():
            os._exit(0)
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        os.closerange(0, 256)
        if stopped:
            os.execv("/bin/sh", ["sh", "-c", f"kill -STOP $$; sleep {fact('mark')}"])
        os.execv("/bin/sleep", ["sleep", fact("mark")])


def many() -> None:
    """Twenty thousand files, most of them names of one."""
    os.close(os.open(f"{TMP}/one", os.O_CREAT | os.O_WRONLY))
    for number in range(20_000):
        os.link(f"{TMP}/one", f"{TMP}/n{number}")


if __name__ == "__main__":
    traps = {
        "links": links,
        "measured": measured,
        "swapping": swapping,
        "odd": odd,
        "many": many,
        "outliving": outliving,
    }
    traps[fact("trap")]()
    say({"planted": True})
    time.sleep(600)
