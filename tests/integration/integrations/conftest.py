"""Runtimes whose integrations ask stand-ins on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.integration.integrations.helpers import TOKEN, open_door
from tests.support.http_runtime import Door

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
    with open_door(tmp_path_factory.mktemp("broker"), connect) as opened:
        yield opened


@pytest.fixture
def http(door: Door, connect: LoopbackConnect) -> Iterator[httpx.Client]:
    """Nobody has connected anything."""
    connect.forget_accounts()
    connect.runs.clear()
    connect.on_run = None
    with door.client() as client:
        yield client
