"""One environment's fork server with its warm pool: sandboxes that are made before they are needed.

A *prepared* one is an isolation only; a *warm* one has an interpreter too, which waits for its program.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.sandboxes import authorities
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.forkserver.fork_isolation import ForkIsolation
from codewords_mcp.runtime.sandboxes.forkserver.fork_server import DriverResources, ForkServer
from codewords_mcp.runtime.sandboxes.host import processors

SERVER_TIMEOUT: Final = 0.3
"""Seconds that a start waits for a server which others wait for already; about what exec takes longer than that."""
CROWDED_SERVER_TIMEOUT: Final = 10.0
"""The same while all processors have work: a program that starts by exec would take turns with the server, and both cost
twice as much as a fork.
"""
MAX_FORKS: Final = 10_000
"""Forks of one server before another takes its place: they share its memory layout."""
IDLE: Final = 300.0
"""Seconds without a start after which nothing is kept ready."""
PREPARED: Final = 4
"""Prepared isolations of an environment that is in use. Each is for one program; a start that finds none has one made."""
# Seconds to wait before a server that failed is tried again; then the last one each time.
_RETRY: Final = (1.0, 10.0, 60.0, 600.0)
# Starts in a second from which on warm sandboxes would cost more than they save: each start is a
# fork then anyway.
_BUSY: Final = 25
# Seconds after a start before what it took is made anew, so that the two do not compete.
_SETTLE: Final = 0.015

logger = structlog.get_logger(__name__)


class ForkWarmPool:
    """Sandboxes for one environment while its fork server works; `why_not` says why it doesn't."""

    def __init__(self, environment: EnvironmentRef, resources: DriverResources, max_warm: int) -> None:
        self.environment = environment
        self.last_used = time.monotonic()
        self.why_not = ""
        """The reason why the last start was no fork."""
        self._resources = resources
        self._max_warm = max_warm
        self._server: ForkServer | None = None
        self._booting: asyncio.Task[None] | None = None
        self._boot_began = 0.0
        # Programs started by exec since then.
        self._execs = 0
        self._warm: deque[ForkIsolation] = deque()
        self._prepared: deque[ForkIsolation] = deque()
        self._unclaimed: set[ForkIsolation] = set()
        self._making: asyncio.Task[None] | None = None
        self._ahead = True
        self._failures = 0
        self._retry_at = 0.0
        self._starts: deque[float] = deque(maxlen=64)
        self._discarding: set[asyncio.Task[None]] = set()
        self._retired: set[ForkServer] = set()
        self._closed = False

    @property
    def warm_count(self) -> int:
        """Warm sandboxes that are ready."""
        return len(self._warm)

    @property
    def ready(self) -> int:
        """Warm sandboxes and prepared isolations that are ready."""
        return len(self._warm) + len(self._prepared)

    @property
    def names(self) -> set[str]:
        """Folder names of its servers, warm sandboxes and prepared isolations."""
        servers = {server for server in (self._server, *self._retired) if server is not None}
        return {server.name for server in servers} | {
            isolation.resources.folders.top.name for isolation in self._unclaimed
        }

    def describe(self) -> dict[str, Any]:
        """The way programs start in this environment, and the reason, for `doctor` and logs."""
        server = self._server
        if server is not None and server.ready:
            state = "forks"
        else:
            state = f"starts by exec: {self.why_not}"

        facts = server.facts if server is not None else {}
        forks = server.forks if server is not None else 0
        return {
            "environment": str(self.environment.path), "starts": state, "warm": self.warm_count,
            "prepared": len(self._prepared), "forks": forks, "pid": server.pid if server is not None else None, **facts,
        }  # fmt: skip

    async def take(self, *, network: bool, ahead: bool = True) -> ForkIsolation | None:
        """Take a warm or prepared isolation, or one still to be made. With `ahead` others are made for the next start.

        None without a server; then `why_not` is set.
        """
        self._ahead = ahead
        self._starts.append(time.monotonic())
        server = await self.server(network=network)
        if server is None:
            return None

        # What this start takes is replaced for the next.
        self._plan()
        # Both kinds that are ready have a network; a program without one gets an isolation made for
        # it.
        return (
            network and (self._pop_usable(self._warm) or self._pop_usable(self._prepared))
        ) or server.new_isolation(network=network)

    async def server(self, *, network: bool) -> ForkServer | None:
        """The server, waited for as by `take`."""
        self.last_used = now = time.monotonic()
        server = self._server
        if server is None or not server.ready:
            if not self.prepare() or not await self._await_server(now, network=network):
                self._execs += 1
                return None
            server = self._server
            if server is None or not server.ready:
                return None
        elif _is_due(server):
            # It serves on until its successor is ready.
            self.prepare()
        return server

    def _pop_usable(self, ready: deque[ForkIsolation]) -> ForkIsolation | None:
        """The first isolation that is still alive."""
        while ready:
            # Its processes may have been killed while it waited, as by the kernel out of memory.
            isolation = ready.popleft()
            if isolation.usable:
                self._unclaimed.discard(isolation)
                return isolation
            self._discard(isolation)
        return None

    async def _await_server(self, now: float, *, network: bool) -> bool:
        """Wait for the server that is being made, where that is quicker than exec. An isolation is prepared meanwhile."""
        crowded = self._execs >= processors.COUNT or self._resources.busy()
        # Exec is as quick as a server that has only just begun.
        if self._booting is None or (not crowded and now - self._boot_began < SERVER_TIMEOUT / 2):
            return False

        preparing = asyncio.create_task(self._prepare_early(network=network))
        try:
            done, _ = await asyncio.wait(
                {self._booting}, timeout=CROWDED_SERVER_TIMEOUT if crowded else SERVER_TIMEOUT
            )
            if done:
                await asyncio.wait({preparing})
            return bool(done)
        finally:
            preparing.cancel()

    async def _prepare_early(self, *, network: bool) -> None:
        """Prepare an isolation of a server that still imports packages. `take` finds it among those that are ready."""
        server = self._server
        if server is None or not network:
            return
        await server.supervised.wait()
        if server.refusal is None:
            await self._make(server.new_isolation(network=True), self._prepared, ForkIsolation.prepare)

    def prepare(self) -> bool:
        """Boot a server unless one runs or boots. False if there can't be one for now."""
        server = self._server
        if self._closed:
            return False
        if server is not None and server.refusal is None and not _is_due(server):
            return True
        if self._booting is not None:
            return True

        now = time.monotonic()
        # A server that could not be booted is not booted again at each start.
        if now < self._retry_at:
            return False

        self.why_not = "its fork server is being made"
        self._boot_began = now
        self._execs = 0
        self._booting = asyncio.create_task(self._boot(), name=f"fork server {self.environment.path}")

        return True

    def has(self, server: object) -> bool:
        """Whether this is its server."""
        return self._server is server

    def suspect(self) -> None:
        """Replace the server: a fork failed or timed out."""
        if self._server is not None:
            self._replace(None)
            self._failed("a fork failed")

    def trim(self, idle: float) -> None:
        """Discard prepared and warm isolations if nothing was started for `idle` seconds."""
        if time.monotonic() - self.last_used > idle:
            for ready in (self._warm, self._prepared):
                while ready:
                    self._discard(ready.popleft())

    async def close(self) -> None:
        """End the server and its unused isolations. Claimed ones have to be ended before."""
        self._closed = True
        for task in (self._booting, self._making):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

        self.trim(-1)
        self._replace(None)
        # Unused isolations are processes of the servers: the servers end after them.
        await asyncio.gather(*self._discarding)
        for server in list(self._retired):
            server.retire(insist=True)
            await server.ended.wait()

    async def _boot(self) -> None:
        server = ForkServer(self.environment, self._resources)
        # One that works stays in use until the new one can fork.
        if self._server is None or not self._server.ready:
            self._server = server
        try:
            await server.boot()
        except asyncio.CancelledError:
            self._retire(server)
            raise
        finally:
            self._booting = None

        if server.refusal is not None:
            self._failed(server.refusal)
            if self._server is server:
                # Also what was prepared meanwhile.
                self._replace(None)
            else:
                self._retire(server)
            return

        self._failures = 0
        self._replace(server)
        self._plan()

    def _replace(self, server: ForkServer | None) -> None:
        old, self._server = self._server, server
        if old is not None and old is not server:
            # What is ready was made by the old server and would keep it alive.
            self.trim(-1)
            self._retire(old)

    def _retire(self, server: ForkServer) -> None:
        server.retire()
        if not server.ended.is_set():
            self._retired.add(server)
            task = asyncio.create_task(server.ended.wait())
            task.add_done_callback(functools.partial(self._forget, server))

    def _forget(self, server: ForkServer, _: object) -> None:
        self._retired.discard(server)

    def _failed(self, why: str) -> None:
        self.why_not = why
        self._retry_at = time.monotonic() + _RETRY[min(self._failures, len(_RETRY) - 1)]
        self._failures += 1
        logger.warning("fork server unavailable", environment=str(self.environment.path), reason=why)

    def _plan(self) -> None:
        if self._ahead and self._making is None and not self._closed:
            self._making = asyncio.create_task(self._make_ready())

    async def _make_ready(self) -> None:
        """Make prepared isolations, then warm some of them, until both targets are met."""
        try:
            # After the start that took one, and not beside it.
            await asyncio.sleep(_SETTLE)
            while (server := self._server) is not None and server.ready:
                if len(self._prepared) < self._target_prepared():
                    await self._make(
                        server.new_isolation(network=True), self._prepared, ForkIsolation.prepare
                    )
                elif (
                    self.warm_count < self._target_warm()
                    and (prepared := self._pop_usable(self._prepared)) is not None
                ):
                    await self._make(prepared, self._warm, ForkIsolation.warm)
                else:
                    return
        finally:
            self._making = None

    async def _make(
        self,
        isolation: ForkIsolation,
        ready: deque[ForkIsolation],
        work: Callable[[ForkIsolation], Awaitable[None]],
    ) -> None:
        self._unclaimed.add(isolation)
        try:
            await work(isolation)
        except (CodewordsError, OSError) as error:
            logger.warning("warm pool not filled", reason=str(error))
            self._discard(isolation)
            # A machine that fails here fails for programs too; exec is tried for them until the
            # retry.
            self.suspect()
        except asyncio.CancelledError:
            self._discard(isolation)
            raise
        else:
            # The server may have been replaced while this was made.
            if isolation.server is self._server:
                ready.append(isolation)
            else:
                self._discard(isolation)

    def _target_prepared(self) -> int:
        if time.monotonic() - self.last_used <= IDLE:
            return PREPARED
        return 0

    def _target_warm(self) -> int:
        """The number of warm isolations to have, by the rate of recent starts."""
        if time.monotonic() - self.last_used > IDLE or self._started(_BUSY, 1):
            return 0
        return min(self._max_warm, 2 + self._started(10, 10) + self._started(30, 10))

    def _started(self, count: int, seconds: float) -> bool:
        """Whether there were `count` starts in the last `seconds`."""
        # The deque has the last 64 starts, more than any count that is asked for.
        return len(self._starts) >= count and time.monotonic() - self._starts[-count] < seconds

    def _discard(self, isolation: ForkIsolation) -> None:
        async def discard() -> None:
            await isolation.discard()
            self._unclaimed.discard(isolation)

        task = asyncio.create_task(discard())
        self._discarding.add(task)
        task.add_done_callback(self._discarding.discard)


def _is_due(server: ForkServer) -> bool:
    """Whether another should take its place: it forked often, or sandboxes share another authority by now."""
    return server.forks >= MAX_FORKS or server.authority != authorities.shared()
