"""The drivers of this package, for the command line and for our own tests: each a `MakeDriver`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from codewords_mcp.errors import SandboxUnavailable
from codewords_mcp.runtime.sandboxes.base import Driver, EnvironmentRef, Network
from codewords_mcp.settings import Settings
from codewords_mcp.testing.sandboxes.stage import MakeDriver

PACKAGES: Final = ("fastapi==0.115.12", "uvicorn[standard]==0.34.2", "httpx==0.28.1")
"""Packages of the environment that the checks run in; the first two are needed."""
_SCRIPT: Final = """# /// script
# requires-python = ">=3.11"
# dependencies = [{packages}]
# ///
"""


async def local(network: Network | None, folder: Path) -> Driver:
    """Namespaces of this machine. Raises SandboxUnavailable where it has no isolation."""
    driver = await _open("local", network, folder)
    # Tier D is no driver that can be checked: everything would fail for one reason.
    if driver.tier.id == "D":
        await driver.close()
        raise SandboxUnavailable(" ".join(driver.tier.facts), hint=driver.tier.fix)
    return driver


async def landlock(network: Network | None, folder: Path) -> Driver:
    """Landlock without namespaces, also where namespaces work. Raises SandboxUnavailable where it does not hold."""
    from codewords_mcp.runtime.sandboxes.landlock.driver import LandlockDriver

    driver = await LandlockDriver.open(network, folder / "run")
    # As above.
    if driver.tier.id == "D":
        await driver.close()
        raise SandboxUnavailable(" ".join(driver.tier.facts), hint=driver.tier.fix)
    return driver


async def process(network: Network | None, folder: Path) -> Driver:
    """No isolation."""
    return await _open("process", network, folder)


DRIVERS: Final[dict[str, MakeDriver]] = {
    "local": local,
    "landlock": landlock,
    "process": process,
}


async def _open(name: Any, network: Network | None, folder: Path) -> Driver:
    from codewords_mcp.runtime.sandboxes.drivers import open_driver

    return await open_driver(Settings(home=folder, sandbox=name), network, folder / "run")


async def build_environment(home: Path) -> EnvironmentRef:
    """The environment of the checks in `home`, built if it is not there.

    Raises EnvironmentFailed where the packages cannot be had, StorageFailed where `home` cannot be written.
    """
    # Imported here: other drivers' authors bring an environment of their own.
    import uv

    from codewords_mcp.runtime.workflows.environments.environment import Environments
    from codewords_mcp.runtime.workflows.script import parse_script

    packages = ", ".join(f'"{package}"' for package in PACKAGES)
    await asyncio.to_thread(home.mkdir, parents=True, exist_ok=True)
    environments = Environments(home, Settings(home=home), Path(uv.find_uv_bin()))

    try:
        return (await environments.ensure(parse_script(_SCRIPT.format(packages=packages)))).ref
    finally:
        await environments.close()
