"""Runtimes whose integrations ask stand-ins on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from codewords_mcp.testing.apps import LoopbackApps, loopback_apps
from codewords_mcp.testing.pipedream import LoopbackConnect, loopback_connect

TOKEN = "token-of-the-tests-0123456789"
USER = "codewords-local"


@pytest.fixture(scope="module")
def connect() -> Iterator[LoopbackConnect]:
    with loopback_connect() as running:
        yield running


@pytest.fixture(scope="module")
def apps() -> Iterator[LoopbackApps]:
    with loopback_apps(TOKEN) as running:
        yield running
