"""A runtime whose runs give their sandboxes back soon, and a workflow that waits for a request. Modules may have their own."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.integration.approvals.helpers import WAITS_FOR_REQUEST, deploy_over
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home

from codewords_mcp.settings import Settings


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    home = make_home(tmp_path_factory.mktemp("approvals") / "home")
    settings = Settings.model_validate({"home": home, "port": 0, "api_key": ADMIN_KEY, "waiting_grace": 0.1})
    with Door(settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def service(door: Door) -> str:
    return deploy_over(door, WAITS_FOR_REQUEST, "Hooked")


@pytest.fixture
def http(door: Door) -> Iterator[httpx.Client]:
    with door.client() as client:
        yield client
