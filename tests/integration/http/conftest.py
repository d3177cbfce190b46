"""One home for these tests, with limits small enough to be reached, and the probe deployed in it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.integration.http.helpers import deploy_probe, open_door
from tests.support.http_runtime import Door


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with open_door(tmp_path_factory.mktemp("home")) as opened:
        yield opened


@pytest.fixture
def http(door: Door) -> Iterator[httpx.Client]:
    with door.client() as client:
        yield client


@pytest.fixture(scope="session")
def probe(door: Door) -> str:
    """The service id of the deployed probe."""
    return deploy_probe(door)
