"""The environment of the checks, built once and kept between test runs."""

from __future__ import annotations

import pytest
from tests.support.runtime import warm_folder

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.testing.sandboxes import build_environment


@pytest.fixture(scope="session")
async def environment(anyio_backend: str) -> EnvironmentRef:
    return await build_environment(warm_folder())
