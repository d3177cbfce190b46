"""The development driver: the workflow's Python as an ordinary process, without any isolation.

For machines that have none, and only where a person sets CODEWORDS_SANDBOX=process: the program sees and may change
whatever this user may. Limits are not held. The protocol is the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from codewords_mcp.cancellation import ignore_result
from codewords_mcp.disk_errors import full_disk
from codewords_mcp.errors import CodewordsError, SandboxFailed, StorageFailed
from codewords_mcp.runtime.sandboxes import authorities, explain
from codewords_mcp.runtime.sandboxes.base import (
    Capability,
    EnvironmentRef,
    Exit,
    ExitReason,
    Network,
    NetworkHandle,
    OutputChunk,
    SandboxSockets,
    SandboxSpec,
    Tier,
    Usage,
)
from codewords_mcp.runtime.sandboxes.host import paths
from codewords_mcp.runtime.sandboxes.host.listeners import is_another_users_port
from codewords_mcp.runtime.sandboxes.host.output import ProgramOutput
from codewords_mcp.runtime.sandboxes.host.proxy_variables import proxy_variables
from codewords_mcp.runtime.sandboxes.namespaces.inside import channel

_BOOT: Final = str(Path(__file__).parent / "namespaces" / "inside" / "boot.py")
_PORT_POLL: Final = 0.1
_CHUNK: Final = 64 << 10
# Seconds that a program's last words have, once it has ended.
_LAST_WORDS: Final = 1.0
# Programs at once: a thread waits for each.
_MOST: Final = 256

logger = structlog.get_logger(__name__)


class ProcessSandbox:
    """Implements `Sandbox` over one process group."""

    def __init__(
        self,
        spec: SandboxSpec,
        instance: paths.DriverFolder,
        network: Network | None,
        threads: ThreadPoolExecutor,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.id = spec.id
        self._spec = spec
        self._instance = instance
        self._folders = instance.next_folders()
        self._network = network
        self._threads = threads
        self._output = ProgramOutput()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._ready.add_done_callback(ignore_result)
        self._ended: asyncio.Future[Exit] = loop.create_future()
        self._began = time.monotonic()
        self._wall: float | None = None
        self._served = False
        self._reason: ExitReason | None = None
        self._stopping = False
        self._handle: NetworkHandle | None = None
        self._way_out: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._bridge: asyncio.Server | None = None
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._process: subprocess.Popen[bytes] | None = None
        self._boot: socket.socket | None = None

    @property
    def socket_path(self) -> str:
        """See `Sandbox`."""
        return self._folders.socket

    async def start(self) -> None:
        """Start the program. Raises SandboxFailed."""
        try:
            self._folders.make(None)
            (self._folders.app / "main.py").write_text(self._spec.code, encoding="utf-8", newline="")
            if self._spec.authority:
                bundle = authorities.bundle(self._spec.authority)
                (self._folders.app / authorities.FILE).write_bytes(bundle)

            self._listener.bind(self._folders.socket)
            self._listener.listen(512)
            self._port, uri = await self._ports()
            # Killed while it was attached to the network.
            if self._reason is not None:
                raise SandboxFailed("The process was ended before its program listened.")

            self._process = self._spawn(uri)
        except OSError as error:
            await self._give_up()
            failure = SandboxFailed(f"The environment's Python did not start: {error.strerror}.")
            raise full_disk(error) or failure from error
        except BaseException:
            # Cancelled, or killed: no caller has the sandbox.
            await asyncio.shield(self._give_up())
            raise

        self._output.start()
        loop = asyncio.get_running_loop()
        boot = self._boot
        assert boot is not None  # noqa: S101  # made with the process
        loop.add_reader(boot.fileno(), self._on_boot)
        _keep(self._tasks, self._watch_port())
        _keep(self._tasks, self._await_end())
        limit = self._spec.limits.start_timeout
        timer = loop.call_later(limit, self._not_ready, explain.no_port(self._port, limit))
        self._ready.add_done_callback(partial(_cancel_timer, timer))

    def on_end(self, then: Callable[[], object]) -> None:
        """Call `then` when the process is gone."""

        def ended(_: object) -> None:
            then()

        self._ended.add_done_callback(ended)

    async def _give_up(self) -> None:
        """Nothing runs: let go of what was made."""
        self._output.finish()
        self._listener.close()
        if self._boot is not None:
            self._boot.close()
        if self._handle is not None:
            await self._handle.close()
        self._discard()
        if not self._ended.done():
            self._ended.set_result(Exit("killed"))
        self._not_ready(SandboxFailed("The process was ended before its program listened."))

    async def _ports(self) -> tuple[int, str | None]:
        """A free port for the program, and the address at which it finds the runtime."""
        # Free when it was asked for, and free again when the program binds it: nothing better is to
        # be had.
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port: int = probe.getsockname()[1]
        if self._network is None:
            return port, None

        runtime = socket.create_server(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{runtime.getsockname()[1]}"
        # Placeholders become values on the way out only: a program that has some needs the proxy.
        if self._spec.authority:
            connect = socket.create_server(("127.0.0.1", 0))
        else:
            connect = None

        if connect is not None:
            self._way_out = proxy_variables(connect.getsockname()[1])
        else:
            self._way_out = {}

        self._handle = await self._network.attach(self.id, SandboxSockets(runtime, connect))
        return port, uri

    def _spawn(self, uri: str | None) -> subprocess.Popen[bytes]:
        environment = self._spec.environment
        python = environment.base_prefix / "bin" / f"python{environment.python_version}"
        site = environment.path / "lib" / f"python{environment.python_version}" / "site-packages"

        if uri:
            runtime = {"CODEWORDS_RUNTIME_URI": uri, "RUNTIME_URI": uri}
        else:
            runtime = {}

        variables = {
            "PATH": f"{environment.path}/bin:/usr/bin:/bin",
            "LD_LIBRARY_PATH": str(environment.base_prefix / "lib"),
            "LANG": "C.UTF-8",
            "FORWARDED_ALLOW_IPS": "*",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **self._way_out,
            # The workflow's variables may not replace what the driver needs below them.
            **self._spec.env,
            **authorities.variables(self._spec.authority, str(self._folders.app / authorities.FILE)),
            **runtime,
            "PYTHONPATH": str(site),
            "HOME": str(self._folders.app),
            "TMPDIR": str(self._folders.tmp),
            "PORT": str(self._port),
        }
        outputs = self._output.open()
        mine, boot = channel.pair()
        mine.setblocking(False)
        self._boot = mine
        fds = (self._listener.fileno(), boot.fileno())

        try:
            return subprocess.Popen(
                [python, _BOOT, str(self._folders.app / "main.py"), *map(str, fds), str(self._port)],
                stdin=subprocess.DEVNULL,
                stdout=outputs[0],
                stderr=outputs[1],
                pass_fds=fds,
                cwd=self._folders.app,
                env=variables,
                # A group of its own, so that its descendants can be killed with it.
                start_new_session=True,
            )
        finally:
            boot.close()
            for fd in outputs:
                os.close(fd)

    async def wait_ready(self) -> None:
        """See `Sandbox`."""
        await asyncio.shield(self._ready)

    def output(self) -> AsyncIterator[OutputChunk]:
        """See `Sandbox`."""
        return self._output.chunks()

    async def wait(self) -> Exit:
        """See `Sandbox`."""
        return await asyncio.shield(self._ended)

    async def stop(self, grace: float) -> Exit:
        """See `Sandbox`."""
        self._stopping = True
        if not self._ended.done():
            self._signal(signal.SIGTERM)
            await asyncio.wait({self._ended}, timeout=grace)
        return await self.kill()

    async def kill(self, reason: ExitReason = "killed") -> Exit:
        """See `Sandbox`; reaches what stayed in the program's process group."""
        if not self._ended.done():
            self._reason = self._reason or reason
            self._signal(signal.SIGKILL)
        return await self.wait()

    def failure(self) -> CodewordsError | None:
        """See `Sandbox`."""
        if not self._ended.done() or (
            self._stopping and self._ended.result().reason in ("exited", "signaled")
        ):
            return None
        return explain.ended(self._ended.result(), self._spec.limits, served=self._served)

    async def usage(self) -> Usage:
        """See `Sandbox`; wall time only."""
        return Usage(self._wall if self._wall is not None else time.monotonic() - self._began)

    def _signal(self, number: signal.Signals) -> None:
        # It starts: `start` sees the reason, and gives up.
        if self._process is None:
            return
        # macOS and hardened kernels refuse signals to a group that is gone.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _discard(self) -> None:
        try:
            self._instance.discard(self._folders)
        except OSError as error:
            logger.warning("sandbox folder not removed", sandbox=self.id, error=str(error))

    def _on_boot(self) -> None:
        boot = self._boot
        assert boot is not None  # noqa: S101  # its reader calls this
        try:
            received = channel.receive(boot)
        except BlockingIOError:
            return
        except OSError:
            received = None

        if received is None:
            asyncio.get_running_loop().remove_reader(boot.fileno())
            return

        message, fds = received
        # The program is not trusted to send none.
        for fd in fds:
            os.close(fd)
        if "serving" in message:
            if isinstance(message["serving"], int):
                self._output.write_platform_line(explain.served_elsewhere(self._port, message["serving"]))
            self._now_ready()

    async def _watch_port(self) -> None:
        """For servers that bind the port themselves: carry connections there from the Unix socket."""
        while not self._ready.done():
            await asyncio.sleep(_PORT_POLL)
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.close()
                # Another user may have taken the port. The program may still serve on the socket
                # that it was passed.
                if is_another_users_port(self._port):
                    continue

                self._bridge = await asyncio.start_unix_server(self._accept, sock=self._listener)
                self._now_ready()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _keep(self._connections, self._carry(reader, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._port)
            # Asked for each connection: a port can change hands after the program's server has
            # ended.
            if is_another_users_port(self._port):
                await _close(inner_writer)
                # As where nobody listens.
                raise ConnectionRefusedError
        except OSError:
            await _close(writer)
            return

        asking = asyncio.create_task(_pour(reader, inner_writer))
        try:
            with contextlib.suppress(OSError):
                await _pour(inner_reader, writer)
            await _close(writer)
        finally:
            # The program has ended the connection: nobody hears what is still said.
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            for end in (writer, inner_writer):
                end.transport.abort()

    def _now_ready(self) -> None:
        self._served = True
        if not self._ready.done():
            self._ready.set_result(None)

    def _not_ready(self, error: CodewordsError) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)

    async def _await_end(self) -> None:
        loop = asyncio.get_running_loop()
        process, boot = self._process, self._boot
        assert process is not None and boot is not None  # noqa: S101, PT018  # it was started
        status = await loop.run_in_executor(self._threads, process.wait)
        # What the program left in its group.
        self._signal(signal.SIGKILL)
        self._wall = time.monotonic() - self._began
        self._output.finish()
        loop.remove_reader(boot.fileno())
        boot.close()
        if self._bridge is not None:
            self._bridge.close()
        # The program is gone: its last data is on its way to the caller.
        if self._connections:
            _, slow = await asyncio.wait(self._connections, timeout=_LAST_WORDS)
            for task in slow:
                task.cancel()

        self._listener.close()
        if self._handle is not None:
            await self._handle.close()
        self._discard()
        # Everything is cleaned up by now: a caller may start another with the same id at once.
        self._ended.set_result(_exit(status, self._reason))
        self._not_ready(self.failure() or SandboxFailed("The process was ended before its program listened."))


def _cancel_timer(timer: asyncio.TimerHandle, _: object) -> None:
    timer.cancel()


def _keep(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    # Half closed: the other direction may go on.
    writer.write_eof()


def _exit(status: int, reason: ExitReason | None) -> Exit:
    if reason is not None:
        return Exit(reason)
    if status >= 0:
        return Exit("exited", code=status)
    return Exit("signaled", signal=-status)


class ProcessDriver:
    """Implements `Driver`. Make it with `open`."""

    capabilities: frozenset[Capability] = frozenset()
    tier = Tier(
        "P",
        "No isolation (development)",
        ("Workflows run as ordinary processes of this user: they can read and change its files.",),
        "Unset CODEWORDS_SANDBOX.",
    )

    def __init__(self, instance: paths.DriverFolder, network: Network | None) -> None:
        self._instance = instance
        self._network = network
        self._live: dict[str, ProcessSandbox] = {}
        self._threads = ThreadPoolExecutor(_MOST, thread_name_prefix="process")
        self._closed = False

    @classmethod
    async def open(cls, network: Network | None, run_dir: Path) -> ProcessDriver:
        """Raises StorageFailed where `run_dir` cannot be used."""
        logger.warning("CODEWORDS_SANDBOX=process: workflows run without isolation, for development only")
        try:
            instance = await asyncio.to_thread(paths.DriverFolder, run_dir)
            await asyncio.to_thread(paths.clean, run_dir, instance.remover)
            return cls(instance, network)
        except OSError as error:
            raise StorageFailed(f"The sandboxes' folder cannot be used: {error.strerror}.") from error

    async def self_test(self) -> Tier:
        """There is nothing to test."""
        return self.tier

    async def start(self, spec: SandboxSpec) -> ProcessSandbox:
        """See `Driver.start`. Raises SandboxFailed."""
        if self._closed or spec.id in self._live:
            raise SandboxFailed(
                "The sandbox driver is closed." if self._closed else "This sandbox already runs."
            )

        network = self._network if spec.network else None
        sandbox = ProcessSandbox(spec, self._instance, network, self._threads)
        self._live[spec.id] = sandbox
        sandbox.on_end(partial(self._live.pop, spec.id, None))
        await sandbox.start()

        return sandbox

    async def prepare(self, environment: EnvironmentRef) -> None:
        """There is nothing to prepare."""

    async def close(self) -> None:
        """See `Driver.close`."""
        if self._closed:
            return
        self._closed = True
        await asyncio.gather(*(sandbox.kill() for sandbox in list(self._live.values())))
        # Threads wait for programs that are killed by now.
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._instance.close)
