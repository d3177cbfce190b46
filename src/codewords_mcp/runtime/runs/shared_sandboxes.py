"""Sandboxes that serve many runs, for workflows whose header asks for it: `[tool.codewords] isolation = "instance"`.

Runs of one instance share its process, its files and its key, so this is asked for, never the default. Each workflow
gets as many instances as its runs at once need, `concurrency` runs each; an instance ends when it is idle.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.runs.launcher import LaunchConfig
from codewords_mcp.runtime.runs.lease import Lease, PreparedSandbox, pump
from codewords_mcp.runtime.runs.run_logs import RunLog
from codewords_mcp.runtime.sandboxes.base import ExitReason, Usage
from codewords_mcp.runtime.sandboxes.http1 import Connections

IDLE = 60.0
"""Seconds without a run after which an instance ends."""
DEBUG_IDLE = 900.0
"""The same where a debugger may be attached to it."""
SWEEP = 5.0


class SharedSandbox:
    """One running program and the runs that it serves now."""

    def __init__(self, config: LaunchConfig, prepared: PreparedSandbox, pool_key: str) -> None:
        self.config = config
        self.pool_key = pool_key
        self.sandbox = prepared.sandbox
        self.tier = prepared.tier
        self.key = prepared.key
        self.connections = Connections(prepared.sandbox.socket_path)
        self.logs: list[RunLog] = []
        self.last_used = time.monotonic()
        self._pump = asyncio.create_task(pump(prepared.sandbox, self.logs, config.secrets))

    @property
    def can_join(self) -> bool:
        """Whether another run may join."""
        return len(self.logs) < self.config.servable.instance_concurrency and self.sandbox.failure() is None

    @property
    def is_idle(self) -> bool:
        """Whether it has served no run for so long that it ends."""
        longest = DEBUG_IDLE if self.config.servable.debugged else IDLE
        return not self.logs and self.last_used < time.monotonic() - longest

    async def end(self) -> None:
        """Kill it and take in its last output."""
        self.connections.close()
        self.key.unbind()
        await self.sandbox.kill()
        await self._pump


class SharedLease:
    """A run's place in an instance."""

    shared = True
    ready = True

    def __init__(
        self, instance: SharedSandbox, caller: Caller, run_log: RunLog, done: Callable[[SharedSandbox], None]
    ) -> None:
        self.sandbox = instance.sandbox
        self.tier = instance.tier
        self.connections: Connections | None = instance.connections
        self._instance = instance
        self._run_log = run_log
        self._done = done
        instance.logs.append(run_log)
        self._caller = caller
        # one program has one key: it acts for the run that came last, of those that go on
        instance.key.bind(caller)

    async def kill(self, reason: ExitReason) -> None:
        """See `Lease`: the others go on; hanging up is all that this run may do."""

    async def release(self) -> Usage | None:
        """See `Lease`."""
        self._instance.logs.remove(self._run_log)
        self._instance.last_used = time.monotonic()
        self._instance.key.unbind(self._caller)
        self._done(self._instance)
        return None


class SharedSandboxes:
    """The instances of every workflow that asks for them."""

    def __init__(self, start: Callable[[LaunchConfig], Awaitable[PreparedSandbox]]) -> None:
        self._start_sandbox = start
        self._running: dict[str, list[SharedSandbox]] = {}
        self._starting: dict[str, asyncio.Lock] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def take(self, config: LaunchConfig, caller: Caller, run_log: RunLog) -> Lease:
        """Take a slot in an instance; start an instance if all are full. Raises ProgramFailed, SandboxFailed."""
        pool_key = _pool_key(config, caller)
        instance = self._joinable(pool_key)
        if instance is None:
            # Runs that come at once share the first instance instead of starting one each.
            async with self._starting.setdefault(pool_key, asyncio.Lock()):
                instance = self._joinable(pool_key) or await self._start(pool_key, config, caller, run_log)
        return SharedLease(instance, caller, run_log, self._after)

    def would_take(self, config: LaunchConfig, caller: Caller) -> bool:
        """Whether a run that came now would start no instance."""
        return self._joinable(_pool_key(config, caller)) is not None

    def forget(self, service_id: str) -> None:
        """Let instances of this service end once their runs have."""
        for pool_key in [pool_key for pool_key in self._running if pool_key.startswith(f"{service_id}/")]:
            for instance in self._running.pop(pool_key):
                self._end_if_unused(instance)

    @property
    def count(self) -> int:
        """The number of instances that runs can join."""
        return sum(map(len, self._running.values()))

    def logs_of(self, sandbox_id: str) -> list[RunLog]:
        """The logs of the runs that an instance serves now."""
        every = (instance for instances in self._running.values() for instance in instances)
        return [
            run_log for instance in every if instance.sandbox.id == sandbox_id for run_log in instance.logs
        ]

    def debugged_draft(self, sandbox_id: str) -> str | None:
        """The draft that is debugged in a sandbox, while its code is the one that is served."""
        for instance in (instance for instances in self._running.values() for instance in instances):
            if instance.sandbox.id == sandbox_id and instance.config.servable.debugged:
                return instance.config.servable.service_id
        return None

    async def close(self) -> None:
        """End every instance."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for instances in self._running.values():
            for instance in instances:
                self._end(instance)
        self._running.clear()
        if self._ending:
            await asyncio.wait(self._ending)

    def _joinable(self, pool_key: str) -> SharedSandbox | None:
        instances = self._running.get(pool_key, [])
        for instance in [instance for instance in instances if instance.sandbox.failure() is not None]:
            instances.remove(instance)
            self._end(instance)
        return next((instance for instance in instances if instance.can_join), None)

    async def _start(
        self, pool_key: str, config: LaunchConfig, caller: Caller, run_log: RunLog
    ) -> SharedSandbox:
        """Start an instance. Its first output goes to the log of the run that it is started for."""
        instance = SharedSandbox(config, await self._start_sandbox(config), pool_key)
        instance.logs.append(run_log)
        if config.servable.debugged:
            # Until the instance ends: a sandbox whose key acts for no run loses its connections, and an editor
            # stays attached between two runs. The key has no authority beyond that of a run that goes on.
            instance.key.bind(caller)

        try:
            await instance.sandbox.wait_ready()
        except BaseException:
            await asyncio.shield(instance.end())
            raise
        finally:
            # The run's lease adds it again, if the instance came up.
            instance.logs.remove(run_log)

        self._running.setdefault(pool_key, []).append(instance)
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = asyncio.create_task(self._sweep())
        return instance

    async def _sweep(self) -> None:
        while self._running:
            await asyncio.sleep(SWEEP)
            # Copies: both are changed while they are walked through.
            for pool_key, instances in list(self._running.items()):
                for instance in [instance for instance in instances if instance.is_idle]:
                    instances.remove(instance)
                    self._end(instance)
                if not instances:
                    del self._running[pool_key]

    def _after(self, instance: SharedSandbox) -> None:
        if instance not in self._running.get(instance.pool_key, []):
            self._end_if_unused(instance)

    def _end_if_unused(self, instance: SharedSandbox) -> None:
        if not instance.logs:
            self._end(instance)

    def _end(self, instance: SharedSandbox) -> None:
        task = asyncio.create_task(instance.end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _pool_key(config: LaunchConfig, caller: Caller) -> str:
    # what a program's key may ask and spend is its caller's: who asks with another key gets another program
    return f"{config.pool_key}/{caller.owner}/{caller.key_id or ''}"
