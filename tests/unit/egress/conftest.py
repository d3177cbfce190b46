"""Fixtures of the egress tests."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.egress import Attach, attached


@pytest.fixture(scope="session", params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Both event loops: people without uvloop get the other."""
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture
def attach() -> Attach:
    """`async with attach(policy, …) as stage`."""
    return attached
