"""A runtime with a provider on loopback, whose home has a key that reads metrics only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.gateway.helpers import KEYS
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home

from codewords_mcp.settings import Settings
from codewords_testing.providers import loopback_providers


@pytest.fixture(scope="package")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with loopback_providers(KEYS) as providers:
        settings = Settings.model_validate(
            {
                "home": make_home(tmp_path_factory.mktemp("monitored")), "port": 0, "api_key": ADMIN_KEY,
                "openai_base_url": providers.url, "budgets": {"day": 5.0}, "metrics_workflows": 2,
                "model_aliases": {"err-400": "gpt-4o-mini"},
            }
        )  # fmt: skip
        with Door(settings) as opened:
            with opened.client() as http:
                http.put("/secrets/OPENAI_API_KEY", json={"value": KEYS["openai"]}).raise_for_status()
            yield opened


@pytest.fixture(scope="package")
def reader(door: Door) -> str:
    """A key of a monitoring system."""
    return door.make_key(owner="monitoring", scopes=["metrics"])
