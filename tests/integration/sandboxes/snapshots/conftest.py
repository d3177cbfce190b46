"""A driver for the tests of a file, with a fork server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.integration.sandboxes.helpers import Opened

from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver


@pytest.fixture(scope="module")
async def driver(opened: Opened, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalDriver]:
    """The driver of the file's own: its snapshots are nobody else's."""
    async with opened(tmp_path_factory.mktemp("snapshots") / "run", True) as driver:
        yield driver
