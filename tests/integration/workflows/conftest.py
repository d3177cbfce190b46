"""Real uv with a cache that outlives a test run, and this machine's sandboxes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.workflows.helpers import open_environments
from tests.support.runtime import warm_folder

from codewords_mcp.runtime.workflows.environments.environment import Environments


@pytest.fixture
async def environments(tmp_path: Path) -> AsyncIterator[Environments]:
    """Over a home of its own, of which only the cache is warm."""
    (tmp_path / "cache").symlink_to(warm_folder() / "cache")
    opened = open_environments(tmp_path)
    yield opened
    await opened.close()
