"""Where a run gets its sandbox from: one that is ready, one that is shared, or a new one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from codewords_mcp.runtime.auth.api_keys import RunKey
from codewords_mcp.runtime.egress import Egress, EgressEvent
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.runs.launcher import LaunchConfig, Launcher
from codewords_mcp.runtime.runs.lease import Lease, OneShot, PreparedSandbox
from codewords_mcp.runtime.runs.run_logs import RunLog
from codewords_mcp.runtime.runs.shared_sandboxes import Instances
from codewords_mcp.runtime.runs.warm_pool import ReadyPool
from codewords_mcp.runtime.sandboxes.base import Driver


class SandboxAllocator:
    """Gives each run a lease on a sandbox, and keeps sandboxes ready for scripts that run often."""

    def __init__(
        self,
        launcher: Launcher,
        driver: Callable[[], Awaitable[Driver]],
        egress: Egress,
        *,
        grace: float,
        ready: bool,
        has_room: Callable[[], bool],
    ) -> None:
        self._launcher = launcher
        self._driver = driver
        self._egress = egress
        self._grace = grace
        self._logs: dict[str, RunLog] = {}
        if ready:
            self._pool = ReadyPool(self._prepare, has_room)
        else:
            self._pool = None
        self._instances = Instances(self._start)

    async def take(self, kit: LaunchConfig, caller: Caller, run_log: RunLog) -> Lease:
        """A sandbox for this run; its key acts for the caller until the lease is released.

        Raises SandboxUnavailable, SandboxFailed.
        """
        if kit.servable.keep_warm:
            return await self._instances.take(kit, caller, run_log)

        if self._pool:
            prepared = self._pool.claim(kit)
        else:
            prepared = None

        if prepared is None:
            prepared = await self._start(kit, caller, run_log)
        else:
            self._give(prepared.sandbox.id, prepared.key, caller, run_log)

        return OneShot(
            prepared,
            run_log,
            kit.secrets,
            grace=self._grace,
            forget=self._forget,
            traffic=self._egress.traffic,
        )

    def _give(self, sandbox_id: str, key: RunKey, caller: Caller, run_log: RunLog) -> None:
        key.bind(caller)
        self._logs[sandbox_id] = run_log

    def forget(self, service_id: str) -> None:
        """What is live has changed: end what waits for runs of the old version."""
        if self._pool:
            self._pool.forget(service_id)
        self._instances.forget(service_id)

    def heard(self, sandbox_id: str, event: EgressEvent) -> None:
        """What a sandbox tried to reach belongs to the runs that it serves."""
        run_log = self._logs.get(sandbox_id)
        for one in [run_log] if run_log else self._instances.logs_of(sandbox_id):
            if event.kind == "request":
                one.asked(event.host, event.secrets, event.reason)
            else:
                one.reached(event.host, event.port, allowed=event.allowed, reason=event.reason)
            if not event.allowed:
                # the program itself may see no more than a connection that breaks off
                one.say(f"A {event.kind} to {event.host}:{event.port} was refused: {event.reason}.")

    async def close(self) -> None:
        """End every sandbox that no run holds."""
        await asyncio.gather(self._instances.close(), *([self._pool.close()] if self._pool else []))

    def _forget(self, sandbox_id: str) -> None:
        self._logs.pop(sandbox_id, None)

    async def _start(
        self, kit: LaunchConfig, caller: Caller | None = None, run_log: RunLog | None = None
    ) -> PreparedSandbox:
        """A new sandbox; for a run, if one is given, whose key and log it has from its first moment."""
        spec, key, interception = self._launcher.spec(kit)
        if caller and run_log:
            self._give(spec.id, key, caller, run_log)
        hosts, policy = kit.egress, self._egress.policy
        if hosts is not None or interception is not None:
            self._egress.expect(spec.id, policy if hosts is None else policy.narrowed(hosts), interception)
        driver = await self._driver()
        try:
            return PreparedSandbox(await driver.start(spec), key, ready=False, tier=driver.tier.id)
        except BaseException:
            key.unbind()
            self._forget(spec.id)
            raise
        finally:
            self._egress.forget(spec.id)

    async def _prepare(self, kit: LaunchConfig) -> PreparedSandbox:
        """A started sandbox that listens. Raises what starting and `wait_ready` raise."""
        prepared = await self._start(kit)
        try:
            await prepared.sandbox.wait_ready()
        except BaseException:
            await asyncio.shield(prepared.sandbox.kill())
            raise
        prepared.ready = True
        return prepared
