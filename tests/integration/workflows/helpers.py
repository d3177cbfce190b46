"""Environments and sandboxes over a cache that outlives a test run."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uv

from codewords_mcp.runtime.sandboxes.base import Driver
from codewords_mcp.runtime.sandboxes.drivers import open_driver
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver
from codewords_mcp.runtime.workflows.environments.environment import Environments
from codewords_mcp.settings import Settings


def settings(home: Path, **others: Any) -> Settings:
    return Settings(home=home, **others)


def open_environments(home: Path) -> Environments:
    return Environments(home, settings(home, python_downloads=False), Path(uv.find_uv_bin()))


@asynccontextmanager
async def open_sandboxes(home: Path) -> AsyncGenerator[Driver]:
    """This machine's sandboxes; programs without isolation where it has none."""
    driver = await open_driver(settings(home), None, home / "run")
    if isinstance(driver, LocalDriver) and (await driver.self_test()).id == "D":
        await driver.close()
        driver = await open_driver(settings(home, sandbox="process"), None, home / "run")
    try:
        yield driver
    finally:
        await driver.close()
