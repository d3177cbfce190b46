"""A harmless program beside a hostile one: it has things to steal, and says at its end whether they are as they were."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import signal
import socket
import ssl
import time
import uuid

from tests.attacks.hostile.attempts import APP, TMP, say, system

FILES = [f"{TMP}/victim", f"{APP}/victim", "/dev/shm/victim", "/var/tmp/victim-too"]
"""Those that it may not write are taken out: /dev/shm where it is the host's."""
KEY = 0x5EC2E7
PORT = 7000


def _serve() -> list[socket.socket]:
    tcp = socket.create_server(("127.0.0.1", PORT))
    try:
        abstract = socket.socket(socket.AF_UNIX)
    except PermissionError:
        return [tcp]  # without namespaces there are no Unix sockets
    abstract.bind("\0victim")
    abstract.listen()
    return [tcp, abstract]


def main() -> None:
    secret = os.environ["ENV_SECRET"]
    for path in tuple(FILES):
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write(secret)
        except PermissionError:
            FILES.remove(path)
    listeners = _serve()
    for name, arguments in (("shmget", (4096,)), ("semget", (1,)), ("msgget", ())):
        with contextlib.suppress(
            OSError
        ):  # where nothing but a watchdog holds its memory, there are none of these
            system(name, KEY, *arguments, 0o1666)
    shared = os.path.realpath(os.__file__)
    lock = os.open(shared, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda _number, _frame: stopped.append(1))
    say(
        {
            "ready": True,
            "random": [random.random(), str(uuid.uuid4()), ssl.RAND_bytes(8).hex(), random.getrandbits(64)],
        }
    )
    while not stopped:  # what a program does all day: look at files of its packages, and its own
        for path in (shared, f"{APP}/main.py", *FILES[:3]):
            os.close(os.open(path, os.O_RDONLY))
        time.sleep(0.01)
    intact = all(open(path, encoding="utf-8").read() == secret for path in FILES)  # noqa: SIM115
    quiet = not any(_asked(listener) for listener in listeners)
    say({"intact": intact, "quiet": quiet})


def _asked(listener: socket.socket) -> bool:
    listener.setblocking(False)
    try:
        listener.accept()
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    main()
