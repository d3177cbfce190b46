"""The Landlock driver: sandboxes without namespaces, for machines that allow none."""

from __future__ import annotations

import asyncio
import functools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from codewords_mcp.errors import SandboxFailed, SandboxUnavailable, StorageFailed
from codewords_mcp.runtime.sandboxes.base import (
    Capability,
    EnvironmentRef,
    Limits,
    Network,
    SandboxSpec,
    Tier,
)
from codewords_mcp.runtime.sandboxes.host import cgroups, paths
from codewords_mcp.runtime.sandboxes.host.watchdog import Watchdog, memory_over
from codewords_mcp.runtime.sandboxes.landlock import selftest
from codewords_mcp.runtime.sandboxes.landlock.confinement import Landlock
from codewords_mcp.runtime.sandboxes.landlock.sandbox import LandlockResources, LandlockSandbox

_THREADS: Final = 16
# Sandboxes at once: a thread waits for each.
_MOST: Final = 1024

_UNTESTED: Final = Tier("D", "Not tested yet")


class LandlockDriver:
    """Implements `Driver`. Make it with `open`."""

    def __init__(
        self,
        instance: paths.DriverFolder,
        slice_: cgroups.Slice | None,
        network: Network | None,
    ) -> None:
        self.tier = _UNTESTED
        self.capabilities: frozenset[Capability] = frozenset()
        self._landlock = Landlock()
        self._instance = instance
        self._slice = slice_
        self._exact = slice_ is not None
        self._network = network
        self._live: dict[str, LandlockSandbox] = {}
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="sandbox")
        self._waiting = ThreadPoolExecutor(_MOST, thread_name_prefix="supervisor")
        self._watchdog = Watchdog(asyncio.get_running_loop(), memory_over)
        self._closed = False
        self._testing: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, network: Network | None, run_dir: Path) -> LandlockDriver:
        """Clean up after earlier runtimes, then run the self-test unless its answer is known.

        Raises StorageFailed where `run_dir` cannot be used.
        """
        try:
            instance, slice_ = await asyncio.to_thread(_prepare, run_dir)
        except OSError as error:
            raise StorageFailed(f"The sandboxes' folder cannot be used: {error.strerror}.") from error

        driver = cls(instance, slice_, network)
        known = await asyncio.to_thread(selftest.recall, run_dir, driver._landlock, slice_)
        if known is not None:
            driver._believe(known)
        await driver.self_test()
        return driver

    @property
    def cgroups(self) -> list[Path]:
        """The folders below which each sandbox has its cgroup; empty where there are none."""
        if self._slice:
            return list(self._slice.folders.values())
        return []

    async def self_test(self) -> Tier:
        """The tier that the self-test proved, waiting for it where it still runs. A failed one is tried again."""
        if self._testing is None and self.tier.id == "D" and not self._closed:
            self._testing = asyncio.create_task(self._test())
        if self._testing is not None:
            await asyncio.shield(self._testing)
        return self.tier

    async def start(self, spec: SandboxSpec) -> LandlockSandbox:
        """See `Driver.start`. Cancelling it destroys the sandbox."""
        tier = await self.self_test()
        if tier.id == "D":
            raise SandboxUnavailable(" ".join(tier.facts) or "No isolation here.", hint=tier.fix)
        return await self._start(spec, self._network if spec.network else None)

    async def prepare(self, environment: EnvironmentRef) -> None:
        """There is nothing to prepare: each program is started by its own Python."""

    async def close(self) -> None:
        """See `Driver.close`."""
        if self._closed:
            return
        self._closed = True
        # A copy: each sandbox takes itself out as it ends.
        await asyncio.gather(*(sandbox.kill() for sandbox in list(self._live.values())))
        if self._testing is not None:
            await asyncio.wait({self._testing})
        await asyncio.to_thread(self._close)

    async def _test(self) -> None:
        self._exact = self._slice is not None
        folder = self._instance.path
        finding = await selftest.run(self._start, self._landlock, folder, exact=self._exact)
        self._believe(finding)
        self._testing = None
        await asyncio.to_thread(selftest.remember, folder.parent, self._landlock, self._slice, finding)

    def _believe(self, finding: selftest.LandlockFinding) -> None:
        self.tier = finding.tier
        # A cgroup that did not hold is worse than the watchdog.
        self._exact = finding.proved.exact
        found: set[Capability] = set()

        if finding.tier.id != "D":
            if finding.proved.by_address:
                found.add(Capability.EGRESS_RULES)
            # As root a program stays root, without capabilities: it could have no other user's
            # files.
            if os.geteuid() != 0:
                found.add(Capability.UNPRIVILEGED_USER)
            if finding.proved.exact:
                found |= {Capability.EXACT_MEMORY_LIMIT, Capability.EXACT_PROCESS_LIMIT}

        self.capabilities = frozenset(found)

    async def _start(self, spec: SandboxSpec, network: Network | None) -> LandlockSandbox:
        if self._closed or spec.id in self._live:
            raise SandboxFailed(
                "The sandbox driver is closed." if self._closed else "This sandbox already runs."
            )

        sandbox = LandlockSandbox(spec, self._make_resources(spec, network))
        self._live[spec.id] = sandbox
        sandbox.on_end(functools.partial(self._live.pop, sandbox.id, None))
        self._watchdog.watch(sandbox)

        try:
            await sandbox.started()
        except BaseException:
            # Shielded: a start that is cancelled must not leave its program behind.
            await asyncio.shield(sandbox.kill())
            raise

        return sandbox

    def _make_resources(self, spec: SandboxSpec, network: Network | None) -> LandlockResources:
        folders = self._instance.next_folders()
        slice_ = self._slice if self._exact else None
        return LandlockResources(
            folders=folders,
            landlock=self._landlock,
            discard=self._instance.discard,
            make_group=functools.partial(_make_group, slice_, folders.top.name, spec.limits),
            executor=self._executor,
            waiting=self._waiting,
            network=network,
        )

    def _close(self) -> None:
        self._watchdog.close()
        self._executor.shutdown()
        self._waiting.shutdown()
        if self._slice is not None:
            self._slice.remove()
        self._instance.close()


def _make_group(slice_: cgroups.Slice | None, name: str, limits: Limits) -> cgroups.Group | None:
    return slice_.create(name, limits) if slice_ is not None else None


def _prepare(run_dir: Path) -> tuple[paths.DriverFolder, cgroups.Slice | None]:
    instance = paths.DriverFolder(run_dir)
    paths.clean(run_dir, instance.remover)
    slice_ = cgroups.find(f"codewords-{instance.name}", instance.record)
    return instance, slice_
