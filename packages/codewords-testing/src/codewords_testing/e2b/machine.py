"""One machine, seen from outside: a process tree with a root, processes and a network of its own, on this host.

It keeps machines apart well enough for tests. It is no boundary: it shows them every file of the host that the user may
read, and as root its processes are root. Run in it what you would run beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import codewords_mcp
from codewords_mcp.runtime.sandboxes.namespaces.inside import channel
from codewords_testing.e2b.errors import MachineFailed

_LAUNCH: Final = str(Path(__file__).parent / "inside" / "launch.py")
# The folder whose `sandboxes` package the machine's process 1 imports.
_RUNTIME: Final = str(Path(codewords_mcp.__file__).parent / "runtime")
_UP_SECONDS: Final = 20.0


@dataclass(slots=True)
class Process:
    """A process of a machine. `stdin` is None where it has none; `output` are the ends to read."""

    pid: int
    stdin: int | None
    output: tuple[int, int]
    ended: asyncio.Future[int]
    """Its exit code; a signal's number, negative."""


@dataclass(slots=True)
class MachineNetwork:
    """Sockets that receive a machine's redirected TCP connections and its DNS questions."""

    tcp: socket.socket
    dns: socket.socket


@dataclass(slots=True)
class Layers:
    """The folders of a machine's root that differ from the host's, newest first."""

    below: tuple[Path, ...] = ()


class Machine:
    """Make it with `boot`, end it with `destroy`. For one event loop."""

    def __init__(self, folder: Path, layers: Layers) -> None:
        self.folder = folder
        self.layers = layers
        self.network: MachineNetwork | None = None
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._processes: dict[int, Process] = {}
        # Exit codes of processes whose start has not been reported yet.
        self._early: dict[int, int] = {}
        self._up: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._channel: socket.socket | None = None
        self._launcher: subprocess.Popen[bytes] | None = None
        self.ended = asyncio.Event()
        self.on_end: Callable[[Path], None] | None = None
        """See `Options`."""

    @classmethod
    async def boot(cls, folder: Path, layers: Layers, *, network: bool, show: Sequence[Path] = ()) -> Machine:
        """`show` are folders of the host that are seen although they are below /tmp or /run.

        Raises MachineFailed where this host cannot make one.
        """
        machine = cls(folder, layers)
        try:
            async with asyncio.timeout(_UP_SECONDS):
                await machine._boot(show, network=network)
        except BaseException as error:
            # A cancelled boot too must leave nothing behind.
            await machine.destroy()
            if isinstance(error, TimeoutError | OSError):
                raise MachineFailed(f"a machine did not come up: {error}") from error
            raise

        return machine

    async def _boot(self, show: Sequence[Path], *, network: bool) -> None:
        for name, mode in (
            ("root", 0o755),
            ("upper", 0o755),
            ("work", 0o755),
            ("run", 0o755),
            ("tmp", 0o1777),
        ):
            (self.folder / name).mkdir(parents=True)
            (self.folder / name).chmod(mode)

        description = {
            "parent": os.getpid(),
            "root": str(self.folder / "root"),
            "state": str(self.folder),
            "layers": [str(layer) for layer in self.layers.below],
            "show": [str(folder) for folder in show],
            "network": network,
        }
        ours = self._launch(description)
        ours.setblocking(False)
        self._channel = ours
        asyncio.get_running_loop().add_reader(ours.fileno(), self._on_readable)
        listeners = await self._up

        if listeners:
            tcp, dns = (socket.socket(fileno=fd) for fd in listeners)
            self.network = MachineNetwork(tcp, dns)

    def _launch(self, description: dict[str, Any]) -> socket.socket:
        """Start its process; the channel to it."""
        ours, theirs = channel.pair()
        spec = _memory_file(description)

        try:
            # In a session of its own: Ctrl-C must reach this process, which ends its machines
            # itself.
            self._launcher = subprocess.Popen(
                [sys.executable, "-I", "-S", _LAUNCH, str(theirs.fileno()), str(spec), _RUNTIME],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), spec),
                start_new_session=True,
            )
        finally:
            theirs.close()
            os.close(spec)

        return ours

    async def run(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: str, *, stdin: bool = False
    ) -> Process:
        """Start a process in a session of its own. Raises MachineFailed, OSError (what execve says)."""
        number = next(self._ids)
        # A process that starts meanwhile must not inherit these, or the pipe would stay open.
        ends = [os.pipe2(os.O_CLOEXEC) for _ in range(2)]

        if stdin:
            into = os.pipe2(os.O_CLOEXEC)
        else:
            into = (os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), -1)

        spec = _memory_file({"argv": list(argv), "env": dict(env), "cwd": cwd})
        child_fds = [spec, into[0], ends[0][1], ends[1][1]]
        parent_fds = [ends[0][0], ends[1][0], *([into[1]] if stdin else [])]
        try:
            pid = await self._ask(number, {"run": number}, child_fds)
            if pid is None:
                raise MachineFailed("the machine started no process")
        except BaseException:
            for fd in parent_fds:
                os.close(fd)
            raise
        finally:
            # The machine has its own copies.
            for fd in child_fds:
                os.close(fd)

        process = Process(
            pid,
            into[1] if stdin else None,
            (parent_fds[0], parent_fds[1]),
            asyncio.get_running_loop().create_future(),
        )
        self._processes[pid] = process
        if pid in self._early:
            self._exited(pid, self._early.pop(pid))
        return process

    async def dial(self, port: int) -> socket.socket | None:
        """A connection to a port of the machine's loopback; None where nobody listens. Raises MachineFailed."""
        number = next(self._ids)
        fd = await self._ask(number, {"dial": number, "port": port})
        if fd is None:
            return None
        return socket.socket(fileno=fd)

    def signal(self, pid: int, number: signal.Signals) -> None:
        """To one process; that it is gone is no error."""
        self._send({"signal": int(number), "pid": pid})

    def freeze(self) -> None:
        """Stop every process, as a pause does."""
        self._send({"freeze": True})

    def thaw(self) -> None:
        """Let every process go on."""
        self._send({"thaw": True})

    async def destroy(self) -> None:
        """End everything and remove its folder. Idempotent."""
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._channel.close()
            self._channel = None

        launcher, self._launcher = self._launcher, None
        if launcher is not None:
            with contextlib.suppress(ProcessLookupError):
                # Its child, process 1, dies with it, and with that one all others.
                launcher.kill()
            await asyncio.to_thread(launcher.wait)

        self._fail(MachineFailed("the machine is gone"))
        if self.network is not None:
            for end in (self.network.tcp, self.network.dns):
                end.close()

        if self.on_end is not None and (self.folder / "upper").exists():
            await asyncio.to_thread(self.on_end, self.folder / "upper")
        await asyncio.to_thread(_remove, self.folder)

    async def keep(self, folder: Path) -> Layers:
        """Copy what this machine has changed, as a layer for others. Raises MachineFailed."""
        # `cp -a` copies devices and attributes too, by which overlayfs marks what was removed.
        done = await asyncio.to_thread(
            subprocess.run,
            ["cp", "-a", "--", str(self.folder / "upper"), str(folder)],
            check=False,
            capture_output=True,
        )
        if done.returncode:
            raise MachineFailed(
                f"the machine's disk could not be copied: {done.stderr.decode(errors='replace')}"
            )

        return Layers((folder, *self.layers.below))

    async def _ask(self, number: int, message: dict[str, Any], fds: list[int] | None = None) -> int | None:
        if self.ended.is_set() or self._channel is None:
            raise MachineFailed("the machine is gone")
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        self._send(message, fds)
        try:
            return await answer
        finally:
            self._answers.pop(number, None)

    def _send(self, message: dict[str, Any], fds: list[int] | None = None) -> None:
        if self._channel is not None:
            with contextlib.suppress(OSError):
                channel.send(self._channel, message, fds)

    def _on_readable(self) -> None:
        assert self._channel is not None  # noqa: S101  # the reader goes with it
        while True:
            try:
                received = channel.receive(self._channel)
            except BlockingIOError:
                return
            except OSError:
                received = None

            if received is None:
                asyncio.get_running_loop().remove_reader(self._channel.fileno())
                self._fail(MachineFailed("the machine ended by itself"))
                return

            self._on_message(*received)

    def _on_message(self, message: dict[str, Any], fds: list[int]) -> None:
        if "up" in message:
            self._up.set_result(fds)
        elif "broken" in message:
            self._fail(MachineFailed(message["broken"]))
        elif "started" in message:
            self._answer(message["started"], message["pid"])
        elif "failed" in message:
            self._answer(message["failed"], OSError(message.get("errno"), message["error"]))
        elif "dialled" in message:
            # Whoever asked may have left.
            if not self._answer(message["dialled"], fds[0]):
                os.close(fds[0])
        elif "refused" in message:
            self._answer(message["refused"], None)
        elif "exited" in message:
            self._exited(message["exited"], message["status"])

    def _answer(self, number: int, value: Any) -> bool:
        answer = self._answers.get(number)
        if answer is None or answer.done():
            return False
        if isinstance(value, BaseException):
            answer.set_exception(value)
        else:
            answer.set_result(value)
        return True

    def _exited(self, pid: int, status: int) -> None:
        process = self._processes.pop(pid, None)
        if process is None:
            # It ended before its start was reported.
            self._early[pid] = status
        elif not process.ended.done():
            process.ended.set_result(status)

    def _fail(self, error: MachineFailed) -> None:
        """Nothing more will come of this machine."""
        self.ended.set()
        for future in (self._up, *self._answers.values()):
            if not future.done():
                future.set_exception(error)
                # Nobody may wait for it, and asyncio would warn.
                future.exception()
        for pid in list(self._processes):
            self._exited(pid, -int(signal.SIGKILL))


def _memory_file(value: dict[str, Any]) -> int:
    fd = os.memfd_create("spec", os.MFD_CLOEXEC)
    view = memoryview(json.dumps(value).encode())
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _remove(folder: Path) -> None:
    # overlayfs leaves a folder that even its owner may not enter.
    if os.geteuid() != 0:
        for top, names, _ in os.walk(folder):
            for path in (Path(top, name) for name in names):
                if not path.is_symlink():
                    path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
