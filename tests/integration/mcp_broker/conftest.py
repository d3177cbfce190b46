"""A runtime that may reach MCP servers on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.integration.mcp_broker.helpers import TOKEN, ServedMcp, notes_app, notes_sse_app, served
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home

from codewords_mcp.settings import Settings


@pytest.fixture(scope="module")
def notes() -> Iterator[ServedMcp]:
    with served(notes_app) as running:
        yield running


@pytest.fixture(scope="module")
def notes_with_token() -> Iterator[ServedMcp]:
    with served(notes_app, token=TOKEN) as running:
        yield running


@pytest.fixture(scope="module")
def notes_over_sse() -> Iterator[ServedMcp]:
    with served(notes_sse_app, path="/sse") as running:
        yield running


@pytest.fixture(scope="module")
def reachable(notes: ServedMcp, notes_with_token: ServedMcp, notes_over_sse: ServedMcp) -> list[int]:
    """Ports of loopback that the operator opens."""
    return [notes.port, notes_with_token.port, notes_over_sse.port]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, reachable: list[int]) -> Iterator[Door]:
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path_factory.mktemp("mcp") / "home"),
            "port": 0,
            "api_key": ADMIN_KEY,
            "egress_allow_private": [f"127.0.0.1:{port}" for port in reachable],
        }
    )
    with Door(settings) as opened:
        yield opened


@pytest.fixture
def http(door: Door, notes: ServedMcp) -> Iterator[httpx.Client]:
    """Nothing is connected, and nothing was called."""
    with door.client() as client:
        for account in client.get("/connections").json()["items"]:
            if account["backend"] == "mcp":
                client.delete(f"/connections/{account['id']}")
        notes.calls.clear()
        yield client
