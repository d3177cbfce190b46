"""Sandboxes for runs: a warm one, a shared one, or a new one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Protocol

from codewords_mcp.errors import SandboxUnavailable
from codewords_mcp.errors.remedies import DIAGNOSE
from codewords_mcp.runtime.auth.run_keys import RunKey
from codewords_mcp.runtime.egress import Egress, EgressEvent
from codewords_mcp.runtime.egress.intercept.interception import Interception
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.measures import Measures
from codewords_mcp.runtime.recording.exchange_log import ExchangeLog
from codewords_mcp.runtime.recording.recorder import LiveRecorder
from codewords_mcp.runtime.recording.recording_session import RecordingSession
from codewords_mcp.runtime.runs.launcher import LaunchConfig, Launcher
from codewords_mcp.runtime.runs.lease import DedicatedLease, Lease, PreparedSandbox
from codewords_mcp.runtime.runs.run_logs import RunLog
from codewords_mcp.runtime.runs.shared_sandboxes import SharedSandboxes
from codewords_mcp.runtime.runs.warm_pool import WarmPool
from codewords_mcp.runtime.sandboxes.base import Capability, Driver
from codewords_mcp.runtime.secrets.scrub import Scrubber


class SandboxRecording(Protocol):
    """Hears what a sandbox sends; see `AttemptRecording`."""

    dedicated: bool

    def bind(self, interception: Interception | None, startup: ExchangeLog | None = None) -> None:
        """Record what this sandbox sends, after what it sent at its start."""
        ...


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
        measures: Measures,
    ) -> None:
        self._launcher = launcher
        self._measures = measures
        self._driver = driver
        self._egress = egress
        self._grace = grace
        self._logs: dict[str, RunLog] = {}
        if ready:
            self._pool = WarmPool(self._prepare, has_room)
        else:
            self._pool = None
        self._instances = SharedSandboxes(self._start)

    async def take(
        self,
        config: LaunchConfig,
        caller: Caller,
        run_log: RunLog,
        recording: SandboxRecording | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> Lease:
        """A sandbox for this run; its key acts for the caller until the lease is released.

        `recording` hears what the sandbox sends. `variables` are in its environment if it is started for this run.
        Raises SandboxUnavailable, SandboxFailed.
        """
        dedicated = recording is not None and recording.dedicated
        if config.servable.keep_warm and not dedicated:
            self._measures.sandboxes_taken.add("shared")
            return await self._instances.take(config, caller, run_log)

        # A warm sandbox may have sent something at its start, before a recorder could judge it.
        if self._pool and not dedicated:
            prepared = self._pool.claim(config)
        else:
            prepared = None

        if prepared is None:
            prepared = await self._start(config, caller, run_log, recording, variables)
            self._measures.sandboxes_taken.add("new")
        else:
            self._measures.sandboxes_taken.add("warm")
            self._assign(prepared.sandbox.id, prepared.key, caller, run_log)
            if recording is not None:
                recording.bind(prepared.interception, prepared.startup)

        return DedicatedLease(
            prepared,
            run_log,
            config.secrets,
            grace=self._grace,
            forget=self._forget,
            traffic=self._egress.traffic,
        )

    def joins(self, config: LaunchConfig, caller: Caller) -> bool:
        """Whether a run that came now, and may share a sandbox, would be one more of one that runs."""
        return config.servable.keep_warm and self._instances.would_take(config, caller)

    def _assign(self, sandbox_id: str, key: RunKey, caller: Caller, run_log: RunLog) -> None:
        key.bind(caller)
        self._logs[sandbox_id] = run_log

    def forget(self, service_id: str) -> None:
        """End the sandboxes that wait for runs of a version that is not live any more."""
        if self._pool:
            self._pool.forget(service_id)
        self._instances.forget(service_id)

    def debugged_draft(self, sandbox_id: str) -> str | None:
        """See `SharedSandboxes.debugged_draft`."""
        return self._instances.debugged_draft(sandbox_id)

    def count(self) -> dict[str, int]:
        """The number of sandboxes by state: those that serve one run, wait for one, are made ready, or are shared."""
        waiting, making = self._pool.count() if self._pool else (0, 0)
        return {
            "active": len(self._logs), "warm": waiting, "preparing": making, "shared": self._instances.count,
        }  # fmt: skip

    def on_egress(self, sandbox_id: str, event: EgressEvent) -> None:
        """Log an attempt of a sandbox to reach a host, in the runs that it serves."""
        run_log = self._logs.get(sandbox_id)
        for log in [run_log] if run_log else self._instances.logs_of(sandbox_id):
            if event.kind == "request":
                log.count_request(event.host, event.secrets, event.reason)
            else:
                log.count_connection(event.host, event.port, allowed=event.allowed, reason=event.reason)
            if not event.allowed:
                # the program itself may see no more than a connection that breaks off
                log.write_platform_line(
                    f"A {event.kind} to {event.host}:{event.port} was refused: {event.reason}."
                )

    async def close(self) -> None:
        """End every sandbox that no run holds."""
        await asyncio.gather(self._instances.close(), *([self._pool.close()] if self._pool else []))

    def _forget(self, sandbox_id: str) -> None:
        self._logs.pop(sandbox_id, None)

    async def _start(
        self,
        config: LaunchConfig,
        caller: Caller | None = None,
        run_log: RunLog | None = None,
        recording: SandboxRecording | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> PreparedSandbox:
        """Start a sandbox. With a caller and a log it is bound to that run from its first moment."""
        spec, key, interception = self._launcher.spec(
            config, records=recording is not None and recording.dedicated
        )
        # A variable that the script declares is the script's.
        spec = replace(spec, env={**variables, **spec.env})
        if caller and run_log:
            self._assign(spec.id, key, caller, run_log)
        startup: ExchangeLog | None = None
        if recording is not None:
            recording.bind(interception)
        elif interception is not None and interception.records:
            startup = ExchangeLog()
            session = RecordingSession(LiveRecorder(), Scrubber(config.secrets), startup)
            interception.recording = session

        hosts, policy = config.egress, self._egress.policy
        if hosts is not None or interception is not None:
            # Registered before the start: the network is attached while the sandbox is made.
            self._egress.expect(spec.id, policy if hosts is None else policy.narrowed(hosts), interception)
        try:
            driver = await self._driver()
            if recording is not None and recording.dedicated:
                require_egress_rules(driver)
            began = time.perf_counter()
            sandbox = await driver.start(spec)
            self._measures.sandbox_start.observe(time.perf_counter() - began)
            return PreparedSandbox(
                sandbox, key, ready=False, tier=driver.tier.id, interception=interception, startup=startup
            )
        except BaseException:
            key.unbind()
            self._forget(spec.id)
            raise
        finally:
            # By now the network is attached with these rules, or there is no sandbox.
            self._egress.forget(spec.id)

    async def _prepare(self, config: LaunchConfig) -> PreparedSandbox:
        """A started sandbox that listens. Raises what starting and `wait_ready` raise."""
        prepared = await self._start(config)
        try:
            await prepared.sandbox.wait_ready()
        except BaseException:
            # Shielded: of a sandbox that nobody holds, nobody would end the program.
            await asyncio.shield(prepared.sandbox.kill())
            raise
        prepared.ready = True
        return prepared


def require_egress_rules(driver: Driver) -> None:
    """Raise SandboxUnavailable where a program could send past the recorder of a dry run, or of one that may be resumed."""
    if Capability.EGRESS_RULES in driver.capabilities or driver.tier.id == "V":
        return

    remedy = None
    if not driver.tier.fix:
        remedy = DIAGNOSE
    raise SandboxUnavailable(
        "A dry run, or one with `resume = true`, needs a sandbox whose every connection passes the runtime, and this machine "
        "has none "
        f"(isolation {driver.tier.id}: {driver.tier.title}).",
        hint=driver.tier.fix,
        remedy=remedy,
    )
