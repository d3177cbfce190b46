"""The environment of the hostile programs."""

from __future__ import annotations

import pytest
from tests.support.sandbox_programs import build_environment

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef


@pytest.fixture(scope="session")
def environment() -> EnvironmentRef:
    """FastAPI, uvicorn, hypercorn."""
    return build_environment()
