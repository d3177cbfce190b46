"""One sandbox driver for several runtimes of a process.

It lives on an event loop in a thread of its own. Each runtime has a `DriverShare`, which carries its calls there, and the sockets of
its sandboxes back to its own loop.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from tests.support.processes import SHARED_SERVERS
from tests.support.runtime import make_home

from codewords_mcp.errors import CodewordsError, SandboxFailed
from codewords_mcp.runtime.sandboxes import drivers
from codewords_mcp.runtime.sandboxes.base import (
    EnvironmentRef,
    Exit,
    ExitReason,
    Network,
    NetworkHandle,
    OutputChunk,
    Sandbox,
    SandboxSockets,
    SandboxSpec,
    Usage,
)
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver
from codewords_mcp.settings import Settings

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]


async def call_on(loop: asyncio.AbstractEventLoop, work: Work[T]) -> T:
    """Run a coroutine on the loop of another thread. Cancelled, it cancels that and waits for its end."""
    here, ended, tasks = asyncio.get_running_loop(), asyncio.Event(), list[asyncio.Task[T]]()

    def begin() -> None:
        task = loop.create_task(work())
        tasks.append(task)
        task.add_done_callback(lambda _: here.call_soon_threadsafe(ended.set))

    def cancel() -> None:
        # One turn later, when its first step is done: a kill begins there, whether or not anybody waits for it.
        loop.call_soon(tasks[0].cancel)

    loop.call_soon_threadsafe(begin)
    cancelled: asyncio.CancelledError | None = None
    while not ended.is_set():
        try:
            await ended.wait()
        except asyncio.CancelledError as error:
            cancelled = error
            loop.call_soon_threadsafe(cancel)

    (task,) = tasks
    if cancelled is not None:
        # Its error, if it has one, would be told as never retrieved.
        with suppress(asyncio.CancelledError):
            task.exception()
        raise cancelled
    return task.result()


class SharedDriver:
    """The driver and its thread."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self.shares: dict[str, DriverShare] = {}
        """By the ids of their sandboxes."""
        self._servers: set[int] = set()
        self._folder = tempfile.TemporaryDirectory(prefix="cw-shared-", ignore_cleanup_errors=True)
        self._thread = threading.Thread(target=self.loop.run_forever, name="shared driver", daemon=True)
        self._thread.start()
        home = make_home(Path(self._folder.name) / "home")
        self.driver = self._wait(lambda: drivers.open_driver(Settings(home=home), self, home / "run"))

    async def attach(self, sandbox_id: str, sockets: SandboxSockets) -> NetworkHandle:
        """See `Network`: the network of the sandbox's runtime, on that one's loop."""
        return await self.shares[sandbox_id].attach(sandbox_id, sockets)

    async def start(self, spec: SandboxSpec) -> Sandbox:
        """Start a sandbox, on the driver's loop. What its fork server costs counts for the tests that use it."""
        sandbox = await self.driver.start(spec)
        if isinstance(self.driver, LocalDriver):
            servers = {state["pid"] for state in self.driver.forks.describe() if state["pid"]}
            SHARED_SERVERS.difference_update(self._servers - servers)
            SHARED_SERVERS.update(servers)
            self._servers = servers
        return sandbox

    def close(self) -> None:
        """End the driver and its thread."""
        self._wait(self.driver.close)
        self._wait(self.loop.shutdown_asyncgens)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
        self._folder.cleanup()

    def _wait(self, work: Work[T]) -> T:
        return asyncio.run_coroutine_threadsafe(work(), self.loop).result()


class DriverShare:
    """The part of one runtime in the shared driver: a `Driver` on the runtime's own loop."""

    def __init__(self, shared: SharedDriver, network: Network) -> None:
        self.tier = shared.driver.tier
        self.capabilities = shared.driver.capabilities
        self._shared = shared
        self._network = network
        self._loop = asyncio.get_running_loop()
        self._sandboxes: dict[str, SharedSandbox] = {}
        self._starting: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def start(self, spec: SandboxSpec) -> Sandbox:
        """See `Driver`."""
        # A task of its own: `close` waits for it, also where its caller has been cancelled.
        starting = asyncio.create_task(self._start(spec))
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)
        try:
            return await starting
        except asyncio.CancelledError:
            await asyncio.wait({starting})
            if not starting.cancelled() and starting.exception() is None:
                await starting.result().kill()
            raise

    async def prepare(self, environment: EnvironmentRef) -> None:
        """See `Driver`."""
        await call_on(self._shared.loop, lambda: self._shared.driver.prepare(_resolved(environment)))

    async def close(self) -> None:
        """End the sandboxes of this runtime. The others' go on, and so do the fork servers."""
        self._closed = True
        if self._starting:
            await asyncio.wait(set(self._starting))
        living = list(self._sandboxes.values())
        await asyncio.gather(*(sandbox.kill() for sandbox in living))
        await asyncio.gather(*(sandbox.watching for sandbox in living))

    async def attach(self, sandbox_id: str, sockets: SandboxSockets) -> NetworkHandle:
        """Attach a sandbox to this runtime's network. Called on the driver's loop."""
        handle = await call_on(self._loop, lambda: _attached(self._network, sandbox_id, sockets))
        return _Handle(self._loop, handle)

    async def _start(self, spec: SandboxSpec) -> SharedSandbox:
        if self._closed:
            raise SandboxFailed("The sandbox driver is closed.")

        self._shared.shares[spec.id] = self
        placed = replace(spec, environment=_resolved(spec.environment))
        with ExitStack() as undo:
            undo.callback(self._shared.shares.pop, spec.id, None)
            inner = await call_on(self._shared.loop, lambda: self._shared.start(placed))
            undo.pop_all()

        sandbox = self._sandboxes[spec.id] = SharedSandbox(inner, self._shared.loop)
        sandbox.watching = asyncio.create_task(self._forget_at_end(sandbox))
        return sandbox

    async def _forget_at_end(self, sandbox: SharedSandbox) -> None:
        await sandbox.wait()
        self._sandboxes.pop(sandbox.id, None)
        self._shared.shares.pop(sandbox.id, None)


class SharedSandbox:
    """A sandbox of the shared driver, used on its runtime's loop."""

    watching: asyncio.Task[None]
    """Referred to here, since a loop keeps only weak references."""

    def __init__(self, inner: Sandbox, loop: asyncio.AbstractEventLoop) -> None:
        self.id = inner.id
        self._inner = inner
        self._loop = loop

    @property
    def socket_path(self) -> str:
        """See `Sandbox`."""
        return self._inner.socket_path

    async def wait_ready(self) -> None:
        """See `Sandbox`."""
        await call_on(self._loop, self._inner.wait_ready)

    async def output(self) -> AsyncIterator[OutputChunk]:
        """See `Sandbox`."""
        chunks = self._inner.output()
        while (chunk := await call_on(self._loop, lambda: _next(chunks))) is not None:
            yield chunk

    async def wait(self) -> Exit:
        """See `Sandbox`."""
        return await call_on(self._loop, self._inner.wait)

    async def stop(self, grace: float) -> Exit:
        """See `Sandbox`."""
        return await call_on(self._loop, lambda: self._inner.stop(grace))

    async def kill(self, reason: ExitReason = "killed") -> Exit:
        """See `Sandbox`."""
        return await call_on(self._loop, lambda: self._inner.kill(reason))

    def failure(self) -> CodewordsError | None:
        """See `Sandbox`."""
        return self._inner.failure()

    async def usage(self) -> Usage:
        """See `Sandbox`."""
        return await call_on(self._loop, self._inner.usage)


class _Handle:
    """A sandbox's network on its runtime's loop, closed from the driver's."""

    def __init__(self, loop: asyncio.AbstractEventLoop, inner: NetworkHandle) -> None:
        self._loop = loop
        self._inner = inner

    async def close(self) -> None:
        """See `NetworkHandle`."""
        await call_on(self._loop, self._inner.close)


async def _attached(network: Network, sandbox_id: str, sockets: SandboxSockets) -> NetworkHandle:
    return await network.attach(sandbox_id, sockets)


async def _next(chunks: AsyncIterator[OutputChunk]) -> OutputChunk | None:
    return await anext(chunks, None)


def _resolved(environment: EnvironmentRef) -> EnvironmentRef:
    """The environment by one path in all homes, which have links to a shared folder: it has one fork server then."""
    return replace(environment, path=environment.path.resolve())
