"""The development driver: the workflow's Python as an ordinary process, without any isolation.

For machines that have none, and only where a person sets CODEWORDS_SANDBOX=process: the program sees and may change
whatever this user may. Limits are not held. The protocol is the same.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from codewords_mcp.errors import SandboxFailed, StorageFailed
from codewords_mcp.runtime.sandboxes.base import Capability, EnvironmentRef, Network, SandboxSpec, Tier
from codewords_mcp.runtime.sandboxes.host import paths
from codewords_mcp.runtime.sandboxes.process.sandbox import ProcessResources, ProcessSandbox

# Programs at once: a thread waits for each.
_MAX_PROGRAMS: Final = 256
_MAX_THREADS: Final = 4

logger = structlog.get_logger(__name__)


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
        self._executor = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="process")
        self._waiting = ThreadPoolExecutor(_MAX_PROGRAMS, thread_name_prefix="process-wait")
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

        resources = ProcessResources(
            folders=self._instance.next_folders(),
            discard=self._instance.discard,
            executor=self._executor,
            waiting=self._waiting,
            network=self._network if spec.network else None,
        )
        sandbox = ProcessSandbox(spec, resources)
        self._live[spec.id] = sandbox
        sandbox.on_end(partial(self._live.pop, spec.id, None))
        try:
            await sandbox.started()
        except BaseException:
            # Whoever asked may be cancelled a second time, and the process must not stay.
            await asyncio.shield(sandbox.kill())
            raise

        return sandbox

    async def prepare(self, environment: EnvironmentRef) -> None:
        """There is nothing to prepare."""

    async def close(self) -> None:
        """See `Driver.close`."""
        if self._closed:
            return
        self._closed = True
        await asyncio.gather(*(sandbox.kill() for sandbox in list(self._live.values())))
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._executor.shutdown()
        self._waiting.shutdown()
        self._instance.close()
