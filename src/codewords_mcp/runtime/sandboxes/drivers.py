"""Chooses the sandbox driver that the settings name, and on this machine the best isolation that can be proved."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from codewords_mcp.errors import SandboxUnavailable
from codewords_mcp.runtime.model.shortages import RAISE_OPEN_FILES
from codewords_mcp.runtime.sandboxes.base import Driver, Network
from codewords_mcp.runtime.sandboxes.host import descriptors
from codewords_mcp.settings import Settings

OpenDriver = Callable[[Settings, Network | None, Path], Awaitable[Driver]]
"""Opens the sandbox driver of a runtime, as `open_driver` does."""

log = structlog.get_logger(__name__)


async def open_driver(settings: Settings, network: Network | None, run_dir: Path) -> Driver:
    """Open the driver of `settings.sandbox`; `run_dir` (made if absent) holds what running sandboxes need on disk.

    What earlier runtimes left in `run_dir` is removed. `network` serves the sandboxes' way out; None: they have none.
    Raises SandboxUnavailable where the driver cannot exist here; a machine whose isolation fails its self-test says so
    at the first `start`, and in `tier`.
    """
    # Before any process of a sandbox is made, which inherits it.
    descriptors.raise_limit()
    if (few := descriptors.few()) is not None:
        log.warning("limit of open files is low", reason=few, hint=RAISE_OPEN_FILES)
    if settings.sandbox == "e2b":
        from codewords_mcp.runtime.sandboxes.e2b.driver import E2BDriver

        return await E2BDriver.open(settings, network, run_dir)
    if settings.sandbox == "process":
        from codewords_mcp.runtime.sandboxes.process.driver import ProcessDriver

        return await ProcessDriver.open(network, run_dir)
    # Namespaces first: they hold more than Landlock does.
    if sys.platform == "linux":
        return await _on_linux(network, run_dir)

    from codewords_mcp.runtime.sandboxes.host import diagnosis

    tier = diagnosis.none("")
    raise SandboxUnavailable(" ".join(tier.facts), hint=tier.fix)


async def _on_linux(network: Network | None, run_dir: Path) -> Driver:
    """Namespaces; Landlock where they cannot be proved and it can."""
    from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver

    local = await LocalDriver.open(network, run_dir)
    if local.tier.id != "D":
        return local

    from codewords_mcp.runtime.sandboxes.landlock.driver import LandlockDriver

    landlock = await LandlockDriver.open(network, run_dir)
    if landlock.tier.id != "D":
        log.info("no namespaces here, sandboxes are isolated by Landlock", reason=" ".join(local.tier.facts))
        # Its threads and its folder are not needed.
        await local.close()
        return landlock

    await landlock.close()
    return local
