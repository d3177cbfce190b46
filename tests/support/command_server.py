"""Commands without the start of a Python: a process that has imported them forks for each.

Such a command is a process like any other, with arguments, environment, folder and descriptors of its own. It begins within
milliseconds instead of a quarter of a second.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[2]
_MOST = 1 << 20
_PRELOADED = ("codewords_mcp.cli._boundary", "codewords_mcp.cli.app", "codewords_mcp.settings", "httpx")
_ENTRIES = {"codewords": "codewords_mcp.cli", "codewords-mcp": "codewords_mcp.__main__"}


class CommandServer:
    """A running server. It ends with the process that has it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                cwd=_PROJECT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
            )  # fmt: skip
        atexit.register(self._close)

    def run(
        self, words: Sequence[str], environment: Mapping[str, str], stdin: str, timeout: float
    ) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a command with everything piped."""
        pipes = [os.pipe() for _ in range(4)]
        (reads, feeds), *outputs = pipes
        theirs = [reads, *(writes for _, writes in outputs)]

        order = json.dumps([list(words), dict(environment), os.getcwd()]).encode()
        try:
            socket.send_fds(self._socket, [order], theirs)
        finally:
            for descriptor in theirs:
                os.close(descriptor)

        with ThreadPoolExecutor(4) as pool:
            pool.submit(_feed, feeds, stdin)
            out, err, code = [pool.submit(_read_all, source) for source, _ in outputs]
            return int(code.result(timeout)), out.result(timeout), err.result(timeout)

    def _close(self) -> None:
        self._socket.close()
        self._process.wait(120)


@functools.cache
def command_server() -> CommandServer:
    """The one of this process."""
    return CommandServer()


def _feed(descriptor: int, text: str) -> None:
    with open(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


def _read_all(descriptor: int) -> str:
    with open(descriptor, encoding="utf-8") as stream:
        return stream.read()


def main() -> None:
    """Entry point of the server; each command leaves it in a process of its own."""
    with socket.socket(fileno=int(sys.argv[1])) as orders:
        for name in (*_PRELOADED, *_ENTRIES.values()):
            importlib.import_module(name)
        gc.freeze()

        while True:
            order, descriptors, _, _ = socket.recv_fds(orders, _MOST, 4)
            if not order:
                return
            if os.fork() == 0:
                break
            for descriptor in descriptors:
                os.close(descriptor)
            _reap()

    _run_and_tell(order, descriptors)


def _reap() -> None:
    """Let go of those that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _run_and_tell(order: bytes, descriptors: list[int]) -> None:
    """Run a command in a child, and write its exit code to the last descriptor."""
    *streams, told = descriptors
    if pid := os.fork():
        for descriptor in streams:
            os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        os.write(told, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)

    os.close(told)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)

    words, environment, folder = json.loads(order)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()  # a new process reads TZ when it starts; this one had read the server's
    os.chdir(folder)
    sys.argv[:] = [str(Path(sys.executable).with_name(words[0])), *words[1:]]
    sys.exit(importlib.import_module(_ENTRIES[words[0]]).main())


if __name__ == "__main__":
    main()
