"""Runtimes whose integrations ask stand-ins on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.integration.integrations.helpers import TOKEN
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home

from codewords_mcp.settings import Settings
from codewords_testing.apps import LoopbackApps, loopback_apps
from codewords_testing.pipedream import LoopbackConnect, loopback_connect


@pytest.fixture(scope="module")
def connect() -> Iterator[LoopbackConnect]:
    with loopback_connect() as running:
        yield running


@pytest.fixture(scope="module")
def apps() -> Iterator[LoopbackApps]:
    with loopback_apps(TOKEN) as running:
        yield running


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, connect: LoopbackConnect) -> Iterator[Door]:
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path_factory.mktemp("broker") / "home"),
            "port": 0,
            "api_key": ADMIN_KEY,
            "pipedream_base_url": connect.url,
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in connect.credentials:
            patch.delenv(name, raising=False)
        with Door(settings) as opened:
            with opened.client() as client:
                for name, value in connect.credentials.items():
                    client.put(f"/secrets/{name}", json={"value": value}).raise_for_status()
            yield opened


@pytest.fixture
def http(door: Door, connect: LoopbackConnect) -> Iterator[httpx.Client]:
    """Nobody has connected anything."""
    connect.forget_accounts()
    connect.runs.clear()
    connect.on_run = None
    with door.client() as client:
        yield client
