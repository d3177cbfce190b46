"""A plugin that lets runtimes of a test session share one sandbox driver.

The first deploy over a driver of its own starts a fork server: with its end, a second of processors. Output comes by way of another thread:
tests of what a log has when its run is answered, not when it has ended, need a runtime with a driver of its own.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.shared_driver import SharedDriver

    from codewords_mcp.runtime.sandboxes.base import Driver, Network
    from codewords_mcp.settings import Settings


class _Session:
    """The driver of a session, opened when a runtime first asks for it."""

    def __init__(self) -> None:
        self._shared: SharedDriver | None = None
        self._lock = threading.Lock()

    def driver(self) -> SharedDriver:
        """Open it, or return the open one. Blocks."""
        # Imported here: sessions without a runtime need none of it.
        from tests.support.shared_driver import SharedDriver

        with self._lock:
            if self._shared is None:
                self._shared = SharedDriver()
            return self._shared

    def pytest_unconfigure(self) -> None:
        _sessions.remove(self)
        if self._shared is not None:
            self._shared.close()


_sessions: list[_Session] = []


def pytest_configure(config: pytest.Config) -> None:
    session = _Session()
    _sessions.append(session)
    config.pluginmanager.register(session, "driver session")


async def open_shared_driver(settings: Settings, network: Network | None, run_dir: Path) -> Driver:
    """Open a share of the session's driver.

    Another driver is opened as ever where the settings name it, and any in a process without a session.
    """
    from tests.support.shared_driver import DriverShare

    from codewords_mcp.runtime.sandboxes.drivers import open_driver

    if settings.sandbox != "local" or network is None or not _sessions:
        return await open_driver(settings, network, run_dir)
    return DriverShare(await asyncio.to_thread(_sessions[-1].driver), network)
