"""Real uv with a cache that outlives a test run, and this machine's sandboxes."""

from __future__ import annotations

import getpass
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uv

from codewords_mcp.runtime.sandboxes.base import Driver
from codewords_mcp.runtime.sandboxes.drivers import open_driver
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver
from codewords_mcp.runtime.workflows.environments.environment import Environments
from codewords_mcp.settings import Settings


def warm_cache() -> Path:
    """uv's cache and our built client, kept between test runs; only the first one downloads."""
    folder = Path(tempfile.gettempdir()) / f"codewords-tests-{getpass.getuser()}" / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def settings(home: Path, **others: Any) -> Settings:
    return Settings(home=home, **others)


def open_environments(home: Path) -> Environments:
    return Environments(home, settings(home, python_downloads=False), Path(uv.find_uv_bin()))


@pytest.fixture
async def environments(tmp_path: Path) -> AsyncIterator[Environments]:
    """Over a home of its own, of which only the cache is warm."""
    (tmp_path / "cache").symlink_to(warm_cache())
    opened = open_environments(tmp_path)
    yield opened
    await opened.close()


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
