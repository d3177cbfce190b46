"""Commands without the start of a Python: a process that has imported them forks for each.

Such a command is a process like any other, with arguments, environment, folder and descriptors of its own. It begins within
milliseconds instead of a quarter of a second, and a runtime instead of a whole one.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.processes import SHARED_SERVERS

_PROJECT = Path(__file__).resolve().parents[2]
_MOST = 1 << 20
_BEGIN_SECONDS = 120.0
_COMMANDS = (
    "codewords_mcp.cli._boundary", "codewords_mcp.cli.app", "codewords_mcp.settings", "encodings.idna", "httpcore2", "httpx2",
    "rich.columns", "rich.markdown", "truststore", "typer._adapters", "typer.rich_utils",
)  # fmt: skip
"""The imports of commands. A module that is missing here is imported again by every one of hundreds of them."""
_RUNTIME = (
    "codewords_mcp.cli.serve", "codewords_mcp.cli._lifecycle", "codewords_mcp.cli.mcp_app", "codewords_mcp.runtime.egress.dns",
    "codewords_mcp.runtime.sandboxes.namespaces.driver", "codewords_mcp.tools._drafts", "codewords_mcp.tools._schedules",
    "codewords_mcp.runtime.egress.intercept.authority", "codewords_mcp.runtime.web.judged_transport",
    "cryptography.hazmat.primitives.ciphers.aead", "dns.message", "packaging.requirements", "ruff", "uv",
)  # fmt: skip
"""The imports of a runtime until it has started, deployed and run a workflow."""
_ENTRIES = {"codewords": "codewords_mcp.cli", "codewords-mcp": "codewords_mcp.__main__"}


class ForkedCommand:
    """A command that goes on: as much of `subprocess.Popen` as tests need."""

    def __init__(self, reports: int) -> None:
        self._reports = reports
        self._read = b""
        self.returncode: int | None = None
        while b"\n" not in self._read:
            assert self._receive(_BEGIN_SECONDS), "the command did not begin"
        number, _, self._read = self._read.partition(b"\n")
        self.pid = int(number)

    def fileno(self) -> int:
        """A descriptor that is readable once it has ended. Not after its exit code was taken."""
        return self._reports

    def poll(self) -> int | None:
        """Its exit code, as Popen has it; None while it lives."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code. Raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            rest = None if deadline is None else max(0, deadline - time.monotonic())
            if not self._receive(rest):
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and is not reported yet
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _receive(self, timeout: float | None) -> bool:
        """Take in what is reported of it, to the end; False where nothing was in time."""
        if not select.select([self._reports], [], [], timeout)[0]:
            return False
        data = os.read(self._reports, 64)
        self._read += data
        if not data:
            os.close(self._reports)
            self.returncode = int(self._read)
        return True


class CommandServer:
    """A running server. It ends with the process that has it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                cwd=_PROJECT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
            )  # fmt: skip
        SHARED_SERVERS.add(self._process.pid)
        atexit.register(self._close)

    def start(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        streams: tuple[int, int, int],
        folder: str | None = None,
    ) -> ForkedCommand:
        """A command with these descriptors as its stdin, stdout and stderr; a terminal becomes its own.

        It begins in `folder`, or in this process's.
        """
        reports, reporting = os.pipe()
        order = json.dumps([list(words), dict(environment), folder or os.getcwd()]).encode()
        try:
            socket.send_fds(self._socket, [order], [*streams, reporting])
        finally:
            os.close(reporting)
        return ForkedCommand(reports)

    def run(
        self, words: Sequence[str], environment: Mapping[str, str], stdin: str, timeout: float
    ) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a command with everything piped."""
        (reads, feeds), (out, writes), (err, complains) = (os.pipe() for _ in range(3))
        theirs = (reads, writes, complains)
        try:
            command = self.start(words, environment, theirs)
        finally:
            for descriptor in theirs:
                os.close(descriptor)

        with ThreadPoolExecutor(3) as pool:
            pool.submit(_feed, feeds, stdin)
            printed = [pool.submit(_read_all, source) for source in (out, err)]
            return command.wait(timeout), printed[0].result(timeout), printed[1].result(timeout)

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
        _preload(*_COMMANDS, *_ENTRIES.values())
        _build_parsers()

        while True:
            order, descriptors, _, _ = socket.recv_fds(orders, _MOST, 4)
            if not order:
                return
            words, environment, folder = json.loads(order)
            if words[1:2] == ["serve"]:
                _preload(*_RUNTIME)
            if os.fork() == 0:
                break
            for descriptor in descriptors:
                os.close(descriptor)
            _reap()

    _run_and_report(words, environment, folder, descriptors)


def _preload(*names: str) -> None:
    """Import what every fork needs. None of it may start a thread, which a fork would not have."""
    for name in names:
        importlib.import_module(name)
    gc.freeze()
    assert len(os.listdir("/proc/self/task")) == 1


def _build_parsers() -> None:
    """Read the signatures of all commands before the first fork."""
    from codewords_mcp.cli._boundary import command_tree
    from codewords_mcp.cli.app import codewords, codewords_mcp

    for app in (codewords, codewords_mcp):
        command_tree(app)
    gc.freeze()


def _reap() -> None:
    """Let go of those that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _run_and_report(
    words: list[str], environment: dict[str, str], folder: str, descriptors: list[int]
) -> None:
    """Run a command in a child, and write its process id and its exit code to the last descriptor."""
    *streams, reporting = descriptors
    if pid := os.fork():
        for descriptor in streams:
            os.close(descriptor)
        with contextlib.suppress(BrokenPipeError):  # nobody asks any more
            os.write(reporting, f"{pid}\n".encode())
            _, status = os.waitpid(pid, 0)
            os.write(reporting, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)

    os.close(reporting)
    if os.isatty(streams[0]):
        os.login_tty(os.dup(streams[0]))
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    for descriptor in streams:
        os.close(descriptor)

    os.environ.clear()
    os.environ.update(environment)
    time.tzset()  # a new process reads TZ when it starts; this one had read the server's
    os.chdir(folder)
    sys.argv[:] = [str(Path(sys.executable).with_name(words[0])), *words[1:]]
    sys.exit(importlib.import_module(_ENTRIES[words[0]]).main())


if __name__ == "__main__":
    main()
